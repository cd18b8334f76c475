"""Augmentation of four-channel fields, inside the `tf.data` graph and without state.

Every function takes a batch and a seed of two numbers and depends on nothing else, so that a training that
was cut off and resumed sees the same pictures as one left alone.
"""

from typing import TYPE_CHECKING

from lociscope.channels import YELLOW

if TYPE_CHECKING:
    import tensorflow as tf

    from lociscope.recipe import Augment


def augment(x: "tf.Tensor", seed: "tf.Tensor", settings: "Augment") -> "tf.Tensor":
    """Varies a batch as the recipe says.

    Args:
        x: (n, h, w, 4) of float32 in 0–1.
        seed: (2,) of int64: the recipe's seed and the number of the step.
        settings: The `[augment]` table.

    Returns:
        The batch, varied, in 0–1.
    """
    import tensorflow as tf

    seeds = tf.unstack(tf.random.split(seed, 7))
    if settings.flip:
        x = _flip(x, seeds[0])
    if settings.shift:
        x = _shift(x, settings.shift, seeds[1], seeds[2])
    if settings.gain:
        x = x * tf.random.stateless_uniform([tf.shape(x)[0], 1, 1, 4], seeds[3], 1 - settings.gain, 1 + settings.gain)
    if settings.noise:
        deviation = tf.random.stateless_uniform([tf.shape(x)[0], 1, 1, 4], seeds[4], 0, settings.noise)
        x = x + deviation * tf.random.stateless_normal(tf.shape(x), seeds[5])
    if settings.channel_dropout:
        x = _drop_er(x, settings.channel_dropout, seeds[6])
    return tf.clip_by_value(x, 0, 1)


def _flip(x: "tf.Tensor", seed: "tf.Tensor") -> "tf.Tensor":
    """One of the eight symmetries of the square for each field."""
    import tensorflow as tf

    coins = tf.random.stateless_uniform([3, tf.shape(x)[0], 1, 1, 1], seed) < 0.5
    x = tf.where(coins[0], x[:, ::-1], x)
    x = tf.where(coins[1], x[:, :, ::-1], x)
    return tf.where(coins[2], tf.transpose(x, [0, 2, 1, 3]), x)


def _shift(x: "tf.Tensor", most: float, seed_rows: "tf.Tensor", seed_columns: "tf.Tensor") -> "tf.Tensor":
    """Moves each field; what comes in at the edge is the field mirrored."""
    import tensorflow as tf

    for axis, seed in ((1, seed_rows), (2, seed_columns)):
        side = x.shape[axis]
        limit = int(most * side)
        moved = tf.random.stateless_uniform([tf.shape(x)[0], 1], seed, -limit, limit + 1, tf.int32)
        at = tf.abs(tf.range(side)[None] + moved)
        at = (side - 1) - tf.abs((side - 1) - at)
        x = tf.gather(x, at, axis=axis, batch_dims=1)
    return x


def _drop_er(x: "tf.Tensor", chance: float, seed: "tf.Tensor") -> "tf.Tensor":
    import tensorflow as tf

    dropped = tf.random.stateless_uniform([tf.shape(x)[0], 1, 1, 1], seed) < chance
    er = tf.one_hot([YELLOW], 4, on_value=True, off_value=False, dtype=tf.bool)[None, None]
    return tf.where(dropped & er, 0.0, x)
