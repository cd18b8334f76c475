"""Augmentation of four-channel fields, inside the `tf.data` graph and without state.

What is done to a field is a pure function of (seed, epoch, index) (`lociscope.data.draws`): a training that was cut
off and resumed, or read by other workers, sees the same pictures. In order: flips and whole shifts (`geometry.place`,
on bytes), mixing with a partner (`mixing.mix`), resampling, and what changes brightness.
"""

from typing import TYPE_CHECKING

from lociscope.data.augment.geometry import warp, warps
from lociscope.data.augment.intensity import blur, brightness, drop_channels, noise

if TYPE_CHECKING:
    import tensorflow as tf

    from lociscope.data.draws import Draws
    from lociscope.recipe import Augment


def augment(x: "tf.Tensor", draws: "Draws", settings: "Augment") -> "tf.Tensor":
    """Resamples a batch and changes its brightness as the recipe says.

    Args:
        x: (n, h, w, 4) of float32 in 0–1.
        draws: The fields' random numbers.
        settings: The `[augment]` table.

    Returns:
        The batch, varied, in 0–1.
    """
    import tensorflow as tf

    if warps(settings):
        x = warp(x, draws, settings)
    if settings.blur:
        x = blur(x, draws, settings.blur)
    x = brightness(x, draws, settings)
    if settings.noise:
        x = noise(x, draws, settings.noise)
    return drop_channels(tf.clip_by_value(x, 0, 1), draws, settings)
