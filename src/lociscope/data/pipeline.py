"""The Dataset: packed fields as a `tf.data` stream, in an order that is a pure function of seed and step."""

from typing import TYPE_CHECKING

import numpy as np

from lociscope.data.augment import augment
from lociscope.data.augment.geometry import place
from lociscope.data.augment.mixing import mix, mixes
from lociscope.data.draws import Draws

if TYPE_CHECKING:
    import tensorflow as tf

    from lociscope.data.pack import Packed
    from lociscope.recipe import Recipe


def steps_per_epoch(fields: int, batch: int) -> int:
    """Steps in which an epoch sees every field once; the few that fill no batch wait for the next epoch."""
    return max(fields // batch, 1)


def training_batches(packed: "Packed", recipe: "Recipe", first_step: int) -> "tf.data.Dataset":
    """An endless stream of augmented batches that can begin at any step.

    Args:
        packed: The training fields.
        recipe: Its `[train]` and `[augment]` tables.
        first_step: Number of the first batch; batch k is the same wherever the stream began.

    Returns:
        Dataset of (x, y): (batch, h, w, 4) float32 in 0–1 and (batch, 28) float32.
    """
    import tensorflow as tf

    n, batch, seed = len(packed), min(recipe.train.batch, len(packed)), recipe.train.seed
    steps = steps_per_epoch(n, batch)

    def fields(rows: "tf.Tensor", draws: Draws) -> "tuple[tf.Tensor, tf.Tensor]":
        x, y = _read(packed, rows)
        return tf.cast(place(x, draws, recipe.augment), tf.float32) / 255, tf.cast(y, tf.float32)

    def load(step: "tf.Tensor") -> "tuple[tf.Tensor, tf.Tensor]":
        epoch, position = step // steps, step % steps
        places = position * batch + tf.range(batch, dtype=tf.int64)
        rows = tf.random.experimental.index_shuffle(places, tf.stack([tf.constant(seed, tf.int64), epoch]), n - 1)
        draws = Draws(seed, epoch, rows)
        pixels, labels = fields(rows, draws)
        if mixes(recipe.augment):
            partners = tf.cast(draws.uniform("partner", 0, n)[:, 0], tf.int64)
            pixels, labels = mix(pixels, labels, *fields(partners, draws), draws, recipe.augment)
        return augment(pixels, draws, recipe.augment), labels

    return tf.data.Dataset.range(first_step, np.iinfo(np.int64).max).map(load, tf.data.AUTOTUNE).prefetch(2)


def evaluation_batches(packed: "Packed", batch: int) -> "tf.data.Dataset":
    """Every field once, in order, as it is.

    Args:
        packed: The fields.
        batch: Fields in one batch.

    Returns:
        Dataset of (x, y) as in `training_batches`; the last batch may be smaller.
    """
    import tensorflow as tf

    def load(rows: "tf.Tensor") -> "tuple[tf.Tensor, tf.Tensor]":
        x, y = _read(packed, rows)
        return tf.cast(x, tf.float32) / 255, tf.cast(y, tf.float32)

    return tf.data.Dataset.range(len(packed)).batch(batch).map(load).prefetch(2)


def _read(packed: "Packed", rows: "tf.Tensor") -> "tuple[tf.Tensor, tf.Tensor]":
    """Bytes and labels of rows; pixels that lie on disk are read now, so that memory does not grow with the store."""
    import tensorflow as tf

    def read(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return packed.x[numbers], packed.y[numbers]

    x, y = tf.numpy_function(read, [rows], [tf.uint8, tf.uint8], stateful=False)
    return tf.ensure_shape(x, [None, *packed.x.shape[1:]]), tf.ensure_shape(y, [None, packed.y.shape[1]])
