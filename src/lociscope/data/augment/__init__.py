"""Augmentation of four-channel fields, inside the `tf.data` graph and without state.

What is done to a field is a pure function of (seed, epoch, index) (`lociscope.data.pipeline.sample_random`): a
training that was interrupted and resumed, or read by other workers, sees the same pictures. In order: flips and whole
shifts (`geometry.place`, on bytes), mixing with a partner (`mixing.mix`), resampling, and what changes brightness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lociscope.data.augment.compiled import compiled
from lociscope.data.augment.geometry import place, warp, warps
from lociscope.data.augment.intensity import blur, brightness, shades
from lociscope.data.augment.mixing import mix

if TYPE_CHECKING:
    import tensorflow as tf

    from lociscope.artifacts.recipe import Augment
    from lociscope.data.pipeline.sample_random import Draws


def vary(
    x: tf.Tensor,
    y: tf.Tensor,
    draws: Draws,
    settings: Augment,
    partner: tuple[tf.Tensor, tf.Tensor] | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Does to a batch everything that a recipe says.

    Args:
        x: (n, side, side, 4) of uint8.
        y: (n, 28) of uint8.
        draws: The fields' random numbers.
        settings: The `[augment]` table.
        partner: Pixels and labels to mix with, of the same shapes and types, where `mixes(settings)`.

    Returns:
        Pixels in 0–1 and labels, float32.
    """
    pixels, labels = _floats(x, y, draws, settings)
    if partner is not None:
        pixels, labels = compiled(mix, draws, settings, pixels, labels, *_floats(*partner, draws, settings))
    if warps(settings):
        pixels = warp(pixels, draws, settings)
    if settings.blur:
        pixels = compiled(blur, draws, settings, pixels)
    if shades(settings):
        pixels = compiled(brightness, draws, settings, pixels)
    return pixels, labels


def _floats(x: tf.Tensor, y: tf.Tensor, draws: Draws, settings: Augment) -> tuple[tf.Tensor, tf.Tensor]:
    """Bytes flipped and shifted, then as numbers in 0–1."""
    import tensorflow as tf

    return tf.cast(place(x, draws, settings), tf.float32) / 255, tf.cast(y, tf.float32)
