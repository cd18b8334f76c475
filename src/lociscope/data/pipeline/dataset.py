"""Make `tf.data` streams of fields, in an order that is a pure function of seed and step."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from lociscope.data.augment import augment
from lociscope.data.augment.mixing import has_mixing_ops
from lociscope.data.pipeline.online import OnlineSimulation
from lociscope.data.pipeline.sample_random import PerSampleRng
from lociscope.data.pipeline.sampler import WHOLE, EpochSampler, Shard
from lociscope.errors import LociscopeError
from lociscope.labels import N_LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import tensorflow as tf

    from lociscope.artifacts.recipe import Recipe
    from lociscope.data.cache.fields import PackedFields

_unread: list[LociscopeError] = []
"""Errors of fields that a stream of this process could not read: TensorFlow passes on their text only."""


@contextmanager
def reraise_read_errors() -> Iterator[None]:
    """Re-raise the original error when reading a dataset fails inside TensorFlow.

    Raises:
        LociscopeError: A field cannot be read.
    """
    _unread.clear()
    try:
        yield
    except Exception as error:
        if _unread:
            raise _unread[0] from error
        raise


def steps_per_epoch(fields: PackedFields | OnlineSimulation, recipe: Recipe) -> int:
    """Return the number of steps in an epoch, which repeats fields of rare classes if the recipe says so."""
    return _sampler(fields, recipe).steps(_batch(fields, recipe))


def training_batches(
    fields: PackedFields | OnlineSimulation, recipe: Recipe, first_step: int, shard: Shard = WHOLE
) -> tf.data.Dataset:
    """Return an endless stream of augmented batches that can begin at any step.

    Args:
        fields: The training fields: cached, read from image files, or simulated online.
        recipe: Its `[train]` and `[augment]` tables.
        first_step: Number of the first batch; batch k does not depend on it.
        shard: The part of each batch for this worker, where several share it.

    Returns:
        Dataset of (x, y): (batch, h, w, 4) float32 in 0–1 and (batch, 28) float32.

    Raises:
        LociscopeError: The workers cannot share a batch evenly.
    """
    if isinstance(fields, OnlineSimulation):
        return _online_stream(fields, recipe, first_step, shard).prefetch(2)
    return _row_stream(fields, recipe, first_step, shard).prefetch(2)


def _row_stream(packed: PackedFields, recipe: Recipe, first_step: int, shard: Shard) -> tf.data.Dataset:
    """Return a stream of fields that can be read in any order."""
    import tensorflow as tf

    batch, sampler = _batch(packed, recipe), _sampler(packed, recipe)
    steps, part = sampler.steps(batch), shard.part(batch)

    def load(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        epoch, position = step // steps, step % steps
        rows, index = sampler.rows(epoch, position * batch + tf.constant(part))
        rng, partner = PerSampleRng(recipe.train.seed, epoch, index), None
        if has_mixing_ops(recipe.augment):
            partner = _read(packed, tf.cast(rng.uniform("partner", 0, len(packed))[:, 0], tf.int64))
        return augment(*_read(packed, rows), rng, recipe.augment, partner)

    return tf.data.Dataset.range(first_step, np.iinfo(np.int64).max).map(load, tf.data.AUTOTUNE)


def _online_stream(online: OnlineSimulation, recipe: Recipe, first_step: int, shard: Shard) -> tf.data.Dataset:
    """Return a stream of fields that have one order; a field is mixed with the next one of its batch."""
    import tensorflow as tf

    batch = _batch(online, recipe)
    steps, part = _sampler(online, recipe).steps(batch), shard.part(batch)
    side = recipe.data.size
    signature = (tf.TensorSpec([len(part), side, side, 4], tf.uint8), tf.TensorSpec([len(part), N_LABELS], tf.uint8))

    def augment_fields(step: tf.Tensor, fields: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        epoch, position = step // steps, step % steps
        rng = PerSampleRng(recipe.train.seed, epoch, position * batch + tf.constant(part))
        partner = (tf.roll(fields[0], -1, 0), tf.roll(fields[1], -1, 0)) if has_mixing_ops(recipe.augment) else None
        return augment(*fields, rng, recipe.augment, partner)

    simulated = tf.data.Dataset.from_generator(
        lambda: online.batches(batch, first_step, shard), output_signature=signature
    )
    return tf.data.Dataset.zip(tf.data.Dataset.range(first_step, np.iinfo(np.int64).max), simulated).map(augment_fields)


def evaluation_batches(packed: PackedFields, batch: int) -> tf.data.Dataset:
    """Return every field once, in order, without augmentation.

    Args:
        packed: The fields.
        batch: Fields in one batch.

    Returns:
        Dataset of (x, y) as in `training_batches`; the last batch may be smaller.
    """
    import tensorflow as tf

    def load(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x, y = _read(packed, rows)
        return tf.cast(x, tf.float32) / 255, tf.cast(y, tf.float32)

    return tf.data.Dataset.range(len(packed)).batch(batch).map(load).prefetch(2)


def _batch(fields: PackedFields | OnlineSimulation, recipe: Recipe) -> int:
    return min(recipe.train.batch, len(fields))


def _sampler(fields: PackedFields | OnlineSimulation, recipe: Recipe) -> EpochSampler:
    if isinstance(fields, OnlineSimulation):
        return EpochSampler(recipe.train.seed, len(fields), len(fields))
    return EpochSampler.of(fields.y, recipe.train)


def _read(packed: PackedFields, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return bytes and labels of rows; pixels on disk are read now, so that memory does not grow with the cache."""
    import tensorflow as tf

    def read(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            return packed.x[numbers], packed.y[numbers]
        except LociscopeError as error:
            _unread.append(error)
            raise

    x, y = tf.numpy_function(read, [rows], [tf.uint8, tf.uint8], stateful=False)
    return tf.ensure_shape(x, [None, *packed.x.shape[1:]]), tf.ensure_shape(y, [None, packed.y.shape[1]])
