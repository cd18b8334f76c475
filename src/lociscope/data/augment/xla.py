"""Compile steps of augmentation with XLA, one at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import tensorflow as tf

    from lociscope.artifacts.recipe import Augment
    from lociscope.data.pipeline.sample_random import PerSampleRng


def run_compiled(step: Callable[..., Any], rng: PerSampleRng, settings: Augment, *tensors: tf.Tensor) -> Any:  # noqa: ANN401
    """Run a step compiled as one function, which passes over the pixels once instead of once for each operation.

    A step reads its input from memory. Two steps compiled as one would be fused: the result of the first would be
    computed again for each pixel of the second that uses it, nine times for a blur.

    Args:
        step: A pure function of (tensors…, rng, settings).
        rng: The random generators of the samples.
        settings: The `[augment]` table.
        tensors: Its input.

    Returns:
        The result of the step, which is not compiled outside a graph or where TensorFlow has no XLA.
    """
    import tensorflow as tf

    if tf.executing_eagerly() or not tf.test.is_built_with_xla():
        return step(*tensors, rng, settings)

    def run(*given: tf.Tensor) -> Any:  # noqa: ANN401
        return step(*given, replace(rng), settings)  # a cached key would belong to the outer graph

    return tf.function(run, jit_compile=True, autograph=False)(*tensors)
