"""Two fields made one, with their labels: mixup (Zhang et al., ICLR 2018) and CutMix (Yun et al., ICCV 2019)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

    from lociscope.data.draws import Draws
    from lociscope.recipe import Augment


def mixes(settings: "Augment") -> bool:
    """Whether a recipe asks for mixing, and so for a partner of each field."""
    return bool(settings.mixup or settings.cutmix)


def mix(
    x: "tf.Tensor", y: "tf.Tensor", other_x: "tf.Tensor", other_y: "tf.Tensor", draws: "Draws", settings: "Augment"
) -> "tuple[tf.Tensor, tf.Tensor]":
    """Blends some fields with their partners, and pastes a window of the partner into others.

    Args:
        x: (n, h, w, 4).
        y: (n, 28): labels, 0–1.
        other_x: The partners.
        other_y: Their labels.
        draws: The fields' random numbers.
        settings: `mixup` and `cutmix` are the chances of each.

    Returns:
        Pixels and labels; a label counts as much as its field takes part, the field itself at least half.
    """
    import tensorflow as tf

    which = draws.uniform("mixing")[:, 0]
    blended = which < settings.mixup
    pasted = ~blended & (which < settings.mixup + settings.cutmix)
    part = draws.uniform("mixing share", 0, 0.5)[:, 0]  # of the partner
    window = _window(x, part, draws)
    weight = tf.where(blended, part, 0)[:, None, None, None] + tf.where(pasted[:, None, None, None], window, 0)
    share = tf.where(blended, part, tf.where(pasted, tf.reduce_mean(window, [1, 2, 3]), 0))[:, None]
    return x + weight * (other_x - x), y + share * (other_y - y)


def _window(x: "tf.Tensor", part: "tf.Tensor", draws: "Draws") -> "tf.Tensor":
    """(n, h, w, 1) of 0 and 1: a square of about `part` of the area, anywhere within the field."""
    import tensorflow as tf

    side = x.shape[1]
    width = tf.round(tf.sqrt(part) * side)[:, None]
    first = tf.floor(draws.uniform("mixing window", each=2) * (side + 1 - width))
    at = tf.range(side, dtype=tf.float32)
    rows, columns = ((at >= first[:, i, None]) & (at < first[:, i, None] + width) for i in (0, 1))
    return tf.cast(rows[:, :, None] & columns[:, None, :], tf.float32)[..., None]
