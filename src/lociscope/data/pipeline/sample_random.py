"""Random numbers per sample: pure functions of (seed, epoch, index), inside the `tf.data` graph.

TensorFlow's stateless generators take one seed for a whole tensor, so that a sample's numbers would depend on its
batch. Here each sample has its own numbers, by a counter-based generator: SplitMix64 (Steele, Lea and Flood, OOPSLA
2014) over the seed, the epoch, the sample's number and a name. They depend neither on the batch size, nor on the
number of workers, nor on other random numbers.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

_GOLDEN = 0x9E3779B97F4A7C15
_POOL = 1 << 20
"""Normal numbers in the pool for noise: 4 MiB, 16 times what a field of 128 px needs."""


@dataclass(frozen=True)
class PerSampleRng:
    """Random generator with a state for each sample of a batch.

    Attributes:
        seed: The recipe's, int64.
        epoch: () of int64.
        index: (n,) of int64: the fields' numbers in the store.
    """

    seed: int
    epoch: tf.Tensor
    index: tf.Tensor

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0, each: int = 1) -> tf.Tensor:
        """Sample from the uniform distribution on [low, high).

        Args:
            name: Name of the numbers; another name gives other numbers.
            low: Lower bound, included.
            high: Upper bound, not included.
            each: Numbers for each sample.

        Returns:
            (n, each) of float32.
        """
        import tensorflow as tf

        counters = zlib.crc32(name.encode()) * 4096 + np.arange(each, dtype=np.uint64)
        bits = _mixed(self._key[:, None] + tf.constant(counters) * tf.constant(_GOLDEN, tf.uint64))
        share = tf.cast(tf.bitwise.right_shift(bits, tf.constant(40, tf.uint64)), tf.float32) / 2**24
        return low + (high - low) * share

    def noise(self, name: str, rows: int, length: int) -> tf.Tensor:
        """Return normal noise, (n, rows, length) of float32: rows of one pool, in an order that depends on the sample.

        New numbers would take longer than all other augmentation of a field.
        """
        import tensorflow as tf

        count = _POOL // length
        pool = tf.constant(np.random.default_rng(0).standard_normal((count, length), np.float32))
        first, step = tf.split(tf.cast(self.uniform(name, 0, count, each=2), tf.int32), 2, axis=1)
        return tf.gather(pool, (first + (2 * step + 1) * tf.range(rows)) % count)

    @cached_property
    def _key(self) -> tf.Tensor:
        """(n,) of uint64."""
        import tensorflow as tf

        key = _mixed(tf.constant(self.seed, tf.uint64) + tf.constant(_GOLDEN, tf.uint64))
        key = _mixed(tf.bitwise.bitwise_xor(key, tf.cast(self.epoch, tf.uint64)) + tf.constant(_GOLDEN, tf.uint64))
        return _mixed(tf.bitwise.bitwise_xor(key, tf.cast(self.index, tf.uint64)))


def _mixed(bits: tf.Tensor) -> tf.Tensor:
    """Apply SplitMix64's finaliser."""
    import tensorflow as tf

    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(shift, tf.uint64)))
        bits = bits * tf.constant(factor, tf.uint64)
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(31, tf.uint64)))
