"""Mix two fields and their labels: mixup (Zhang et al., ICLR 2018) and CutMix (Yun et al., ICCV 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

    from lociscope.artifacts.recipe import Augment
    from lociscope.data.pipeline.sample_random import PerSampleRng


def has_mixing_ops(settings: Augment) -> bool:
    """Return whether a recipe mixes fields, which needs a partner for each."""
    return bool(settings.mixup or settings.cutmix)


def mix(
    x: tf.Tensor, y: tf.Tensor, other_x: tf.Tensor, other_y: tf.Tensor, rng: PerSampleRng, settings: Augment
) -> tuple[tf.Tensor, tf.Tensor]:
    """Blend some fields with their partners, and paste a window of the partner into others.

    Args:
        x: (n, h, w, 4).
        y: (n, 28): labels, 0–1.
        other_x: The partners.
        other_y: Their labels.
        rng: The random generators of the samples.
        settings: `mixup` and `cutmix` are the chances of each.

    Returns:
        Pixels and labels; a label has the weight of its field, the field itself at least half.
    """
    import tensorflow as tf

    side, channels = x.shape[1], x.shape[3]
    # Channels side by side, so that what belongs to a field or a row is not repeated for each channel.
    one, two = (tf.reshape(each, [-1, side, side * channels]) for each in (x, other_x))
    which = rng.uniform("mixing")[:, 0]
    blended = which < settings.mixup
    part = rng.uniform("mixing share", 0, 0.5)[:, 0]  # of the partner
    share = tf.where(blended, part, 0)
    if settings.mixup:
        one += share[:, None, None] * (two - one)
    if settings.cutmix:
        pasted = ~blended & (which < settings.mixup + settings.cutmix)
        rows, columns = _window(side, part, rng)
        rows &= pasted[:, None]
        area = tf.reduce_sum(tf.cast(rows, tf.float32), 1) * tf.reduce_sum(tf.cast(columns, tf.float32), 1)
        share += area / side**2
        one = tf.where(rows[:, :, None] & tf.repeat(columns, channels, axis=1)[:, None], two, one)
    return tf.reshape(one, tf.shape(x)), y + share[:, None] * (other_y - y)


def _window(side: int, part: tf.Tensor, rng: PerSampleRng) -> tuple[tf.Tensor, tf.Tensor]:
    """Return rows and columns, (n, side) of bool, of a square of about `part` of the area, anywhere in the field."""
    import tensorflow as tf

    width = tf.round(tf.sqrt(part) * side)[:, None]
    first = tf.floor(rng.uniform("mixing window", each=2) * (side + 1 - width))
    at = tf.range(side, dtype=tf.float32)
    rows, columns = ((at >= first[:, i, None]) & (at < first[:, i, None] + width) for i in (0, 1))
    return rows, columns
