"""Intensity augmentation: what stains, lamps, optics and cameras change from field to field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lociscope.channels import BLUE, GREEN, RED, YELLOW

if TYPE_CHECKING:
    import tensorflow as tf

    from lociscope.artifacts.recipe import Augment
    from lociscope.data.pipeline.sample_random import PerSampleRng

_HOT_STEP = (-0.5, 1.0)
"""What a hot or dead pixel adds, of full scale; they are hot more often than dead."""


def has_intensity_ops(settings: Augment) -> bool:
    """Return whether a recipe changes brightness."""
    chosen = settings.offset, settings.gain, settings.gamma, settings.noise, settings.hot_pixels
    return any((*chosen, settings.channel_dropout, settings.red_dropout, settings.blue_dropout))


def change_intensity(x: tf.Tensor, rng: PerSampleRng, settings: Augment) -> tf.Tensor:
    """Apply offset, gain, gamma, noise, hot pixels and channel dropout, to each channel independently.

    Args:
        x: (n, h, w, 4) in 0–1.
        rng: The random generators of the samples.
        settings: The `[augment]` table.

    Returns:
        The same shape, in 0–1.
    """
    import tensorflow as tf

    def each(name: str, low: float, high: float) -> tf.Tensor:
        return rng.uniform(name, low, high, each=4)[:, None, None]

    if settings.offset:
        x = x + each("offset", -settings.offset, settings.offset)
    if settings.gain:
        x = x * each("gain", 1 - settings.gain, 1 + settings.gain)
    if settings.gamma:
        # A power of every pixel takes as long as all other operations; x + g x(1 − x) is similar: slope 1 + g at 0.
        x = tf.clip_by_value(x, 0, 1)
        x = x + each("gamma", -settings.gamma, settings.gamma) * x * (1 - x)
    if settings.noise:
        x = _add_noise(x, rng, settings.noise)
    if settings.hot_pixels:
        x = _add_hot_pixels(x, rng, settings.hot_pixels)
    return _drop_channels(tf.clip_by_value(x, 0, 1), rng, settings)


def blur(x: tf.Tensor, rng: PerSampleRng, settings: Augment) -> tf.Tensor:
    """Blend each channel with its mean over 3 × 3 pixels; a share of 1 is a blur of 0.8 px (standard deviation)."""
    import tensorflow as tf

    share = rng.uniform("blur", 0, settings.blur, each=4)[:, None, None]
    wide = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    rows = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]  # sums of views: compiled, a third of the time of a pooling
    return x + share * ((rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9 - x)


def _add_noise(x: tf.Tensor, rng: PerSampleRng, most: float) -> tf.Tensor:
    """Add normal noise; its standard deviation is sampled for each channel, up to `most`."""
    import tensorflow as tf

    _, height, width, channels = x.shape
    noise = tf.reshape(rng.noise("noise", height, width * channels), [-1, height, width, channels])
    return x + rng.uniform("noise level", 0, most, each=channels)[:, None, None] * noise


def _add_hot_pixels(x: tf.Tensor, rng: PerSampleRng, most: int) -> tf.Tensor:
    """Add 0 to `most` single pixels that are too bright, or too dark, to each channel.

    They are sums of outer products of rows and columns, because XLA scatters slowly on a CPU.
    """
    import tensorflow as tf

    _, height, width, channels = x.shape
    each = channels * most
    share = tf.repeat(rng.uniform("hot pixel share", each=channels), most, axis=1)
    step = rng.uniform("hot pixel step", *_HOT_STEP, each=each)
    step = tf.where(rng.uniform("hot pixel present", each=each) < share, step, 0.0)
    row = tf.one_hot(tf.cast(rng.uniform("hot pixel row", 0, height, each=each), tf.int32), height)
    column = tf.one_hot(tf.cast(rng.uniform("hot pixel column", 0, width, each=each), tf.int32), width)
    rows = tf.reshape(row * step[:, :, None], [-1, channels, most, height])
    columns = tf.reshape(column, [-1, channels, most, width])
    return x + tf.transpose(tf.matmul(rows, columns, transpose_a=True), [0, 2, 3, 1])


def _drop_channels(x: tf.Tensor, rng: PerSampleRng, settings: Augment) -> tf.Tensor:
    """Set the ER to 0, and less often the microtubules or the nuclei: users' fields may lack them."""
    import tensorflow as tf

    chances = {YELLOW: settings.channel_dropout, RED: settings.red_dropout, BLUE: settings.blue_dropout, GREEN: 0.0}
    if not any(chances.values()):
        return x
    limits = tf.constant([chances[channel] for channel in range(4)])
    return tf.where((rng.uniform("channel dropout", each=4) < limits)[:, None, None], 0.0, x)
