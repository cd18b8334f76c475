"""Data augmentation of four-channel fields, inside the `tf.data` graph and without state.

The augmentation of a field is a pure function of (seed, epoch, index) (`lociscope.data.pipeline.sample_random`): a
training that was interrupted and resumed, or read by other workers, sees the same images. In order: flips and whole
shifts (`geometry.flip_and_shift`, on bytes), mixing with a partner (`mixing.mix`), resampling, and intensity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lociscope.data.augment.geometry import flip_and_shift, has_resampling_ops, warp
from lociscope.data.augment.intensity import blur, change_intensity, has_intensity_ops
from lociscope.data.augment.mixing import mix
from lociscope.data.augment.xla import run_compiled

if TYPE_CHECKING:
    import tensorflow as tf

    from lociscope.artifacts.recipe import Augment
    from lociscope.data.pipeline.sample_random import PerSampleRng


def augment(
    x: tf.Tensor,
    y: tf.Tensor,
    rng: PerSampleRng,
    settings: Augment,
    partner: tuple[tf.Tensor, tf.Tensor] | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Augment a batch as a recipe says.

    Args:
        x: (n, side, side, 4) of uint8.
        y: (n, 28) of uint8.
        rng: The random generators of the samples.
        settings: The `[augment]` table.
        partner: Pixels and labels to mix with, of the same shapes and types, where `has_mixing_ops(settings)`.

    Returns:
        Pixels in 0–1 and labels, float32.
    """
    pixels, labels = _to_float(x, y, rng, settings)
    if partner is not None:
        pixels, labels = run_compiled(mix, rng, settings, pixels, labels, *_to_float(*partner, rng, settings))
    if has_resampling_ops(settings):
        pixels = warp(pixels, rng, settings)
    if settings.blur:
        pixels = run_compiled(blur, rng, settings, pixels)
    if has_intensity_ops(settings):
        pixels = run_compiled(change_intensity, rng, settings, pixels)
    return pixels, labels


def _to_float(x: tf.Tensor, y: tf.Tensor, rng: PerSampleRng, settings: Augment) -> tuple[tf.Tensor, tf.Tensor]:
    """Flip and shift bytes, and convert them to numbers in 0–1."""
    import tensorflow as tf

    return tf.cast(flip_and_shift(x, rng, settings), tf.float32) / 255, tf.cast(y, tf.float32)
