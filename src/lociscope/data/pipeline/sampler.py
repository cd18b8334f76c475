"""Sample the fields of each epoch: shuffled, with repeat factors for rare classes, the same for every worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.data.pipeline.sample_random import PerSampleRng
from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    import tensorflow as tf

    from lociscope.artifacts.recipe import Train


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several workers that share each batch evenly; together they see the batch of a single worker.

    Attributes:
        number: Its number, from 0.
        of: Number of workers.
    """

    number: int = 0
    of: int = 1

    def part(self, batch: int) -> np.ndarray:
        """Return its positions in a batch.

        Raises:
            LociscopeError: The workers cannot share the batch evenly.
        """
        if batch % self.of:
            raise LociscopeError(
                f"A batch of {batch} cannot be shared by {self.of} workers. Set train.batch so that "
                f"{self.of} divides it.",
                code=Code.INVALID_VALUE,
            )
        return np.arange(self.number, batch, self.of)


WHOLE = Shard()


def repeat_factors(y: np.ndarray, share: float, most: float) -> np.ndarray:
    """Return how often each field is repeated in an epoch.

    The repeat factor of a class with a share below `share` is sqrt(share / its share), and that of a field is the one
    of its rarest class (repeat factor sampling: Gupta, Dollár and Girshick, LVIS, CVPR 2019).

    Args:
        y: (n, classes) of 0 and 1.
        share: Classes with a share below it are repeated; 0 repeats none.
        most: Largest factor: more repeats of a class with few fields would lead to overfitting.

    Returns:
        (n,) of float, 1 or more.
    """
    frequency = np.maximum(y.mean(axis=0), 1e-12)
    lifted = np.clip(np.sqrt(share / frequency), 1, most)
    return np.asarray(np.where(y > 0, lifted, 1).max(axis=1))


@dataclass(frozen=True, slots=True)
class EpochSampler:
    """Sampler of the fields of every epoch, a pure function of (seed, epoch, position).

    Attributes:
        seed: The recipe's.
        fields: Number of fields.
        length: Positions in an epoch.
        ends: (fields,) of float: the end of each field's positions; None where each field has one.
    """

    seed: int
    fields: int
    length: int
    ends: np.ndarray | None = None

    @classmethod
    def of(cls, y: np.ndarray, settings: Train) -> EpochSampler:
        """Make the sampler of a recipe for fields with labels (n, 28)."""
        if not settings.repeat_threshold:
            return cls(settings.seed, len(y), len(y))
        wanted = repeat_factors(y, settings.repeat_threshold, settings.most_repeats)
        length = int(np.ceil(wanted.sum()))  # rounded up, so that every field has a whole position
        return cls(settings.seed, len(y), length, np.cumsum(wanted) * (length / wanted.sum()))

    def steps(self, batch: int) -> int:
        """Return the number of batches in an epoch; a last incomplete batch is dropped."""
        return max(self.length // batch, 1)

    def rows(self, epoch: tf.Tensor, positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the fields at some positions of an epoch.

        A field with a repeat factor of 2.3 occurs two or three times, 2.3 times on average: the positions are a comb
        over the fields' factors, with another start in each epoch.

        Args:
            epoch: () of int64.
            positions: (n,) of int64.

        Returns:
            Row numbers (n,), and the sample numbers for their augmentation: another one for each repeat of a field.
        """
        import tensorflow as tf

        key = tf.stack([tf.constant(self.seed, tf.int64), epoch])
        numbers = tf.random.experimental.index_shuffle(positions, key, self.length - 1)
        if self.ends is None:
            return numbers, numbers
        first = PerSampleRng(self.seed, epoch, tf.zeros([1], tf.int64)).uniform("sampling")[0, 0]
        teeth = tf.cast(numbers, tf.float64) + tf.cast(first, tf.float64)
        rows = tf.searchsorted(tf.constant(self.ends), teeth, "right", tf.int64)
        return tf.minimum(rows, self.fields - 1), numbers
