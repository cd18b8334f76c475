"""Choose the devices of a training: CPU or GPU, one or several, and explain errors of memory."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError
from lociscope.models.backend import load_keras
from lociscope.training.stages import flatten_layers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import keras
    import tensorflow as tf

    from lociscope.artifacts.recipe import Recipe
    from lociscope.training.trainer import Device

logger = logging.getLogger(__name__)


def choose_device(device: Device) -> None:
    """Restrict TensorFlow to a kind of device; call it before TensorFlow is loaded.

    Raises:
        LociscopeError: A GPU is asked for, and TensorFlow finds none.
        MissingExtraError: TensorFlow is not installed.
    """
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    load_keras()
    import tensorflow as tf

    if device == "gpu" and not tf.config.list_physical_devices("GPU"):
        raise LociscopeError(
            "`device=gpu` was asked for, and TensorFlow finds no GPU. Install the extra 'gpu' and NVIDIA's driver, "
            "or leave `device` out.",
            code=Code.UNAVAILABLE,
        )


def warn_of_slow_precision(recipe: Recipe) -> None:
    """Log a warning if the recipe's precision is slow on this machine: bfloat16 on a CPU without AVX-512.

    Measured with the recipe `small` on such a CPU: 12 s of processor time for a step, where float32 takes 1 s.
    """
    import tensorflow as tf

    if recipe.train.precision != "mixed_bfloat16" or tf.config.list_physical_devices("GPU"):
        return
    flags = read_cpu_flags()
    if flags and "avx512f" not in flags:
        _warn_once(
            "This CPU has no AVX-512, and computes in mixed_bfloat16 about ten times as slowly as in float32. "
            "Set train.precision=float32."
        )


@cache
def _warn_once(text: str) -> None:
    """Log a warning the first time only: a search of hyperparameters checks a recipe for every trial."""
    logger.warning(text)


def read_cpu_flags(path: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return the instruction sets of the first CPU, as Linux names them; empty where that is not known."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    line = next((each for each in lines if each.startswith("flags")), "")
    return frozenset(line.partition(":")[2].split())


def start_tensorflow(seed: int) -> None:
    """Load TensorFlow, seed all random generators, and make results repeatable to the last bit.

    Raises:
        MissingExtraError: TensorFlow is not installed.
    """
    load_keras()
    import keras
    import tensorflow as tf

    keras.backend.clear_session()  # state of earlier trainings in this process
    tf.get_logger().setLevel("ERROR")  # each stage and each Run has a graph, and TensorFlow warns of their number
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def make_strategy(recipe: Recipe) -> tf.distribute.Strategy:
    """Return the strategy that shares each batch between `train.devices` GPUs, or without a GPU virtual CPUs.

    Raises:
        LociscopeError: There are fewer devices, or they cannot share a batch evenly.
    """
    import tensorflow as tf

    wanted = recipe.train.devices
    if wanted == 1:
        return tf.distribute.get_strategy()
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    found = [device.name for device in tf.config.list_logical_devices(kind)]
    if len(found) < wanted:
        raise LociscopeError(
            f"train.devices is {wanted}, and TensorFlow finds {len(found)} {kind}{'s' * (len(found) > 1)}. "
            f"Set train.devices={len(found)}.",
            code=Code.UNAVAILABLE,
        )
    if recipe.train.batch % wanted:
        raise LociscopeError(
            f"A batch of {recipe.train.batch} cannot be shared by {wanted} devices. Choose train.batch so that "
            f"{wanted} divides it.",
            code=Code.INVALID_VALUE,
        )
    return tf.distribute.MirroredStrategy(found[:wanted])


def synchronise_batch_norm(model: keras.Model, synchronised: bool) -> None:
    """Make batch normalisation take its statistics over the whole batch, across all devices, or over each part."""
    import keras

    for layer in flatten_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = synchronised


@contextmanager
def explain_memory_errors(recipe: Recipe) -> Iterator[None]:
    """Replace TensorFlow's out-of-memory error by one that names the batch to try.

    Raises:
        LociscopeError: Memory did not suffice.
    """
    import tensorflow as tf

    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        batch, size = recipe.train.batch, recipe.data.size
        remedy = f"train.batch={batch // 2}" if batch > 1 else f"data.size={size // 2}"
        raise LociscopeError(
            f"Memory did not suffice for a batch of {batch} fields of {size} px. Try {remedy} in another Run.",
            code=Code.OUT_OF_MEMORY,
        ) from error
