"""What the steps are computed on: CPU or GPU, one or several, and what to do where its memory does not suffice."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from lociscope.errors import Code, LociscopeError
from lociscope.models.backend import load_keras
from lociscope.training.stages import flatten_layers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import keras
    import tensorflow as tf

    from lociscope.artifacts.recipe import Recipe

Device = Literal["auto", "cpu", "gpu"]


def choose_device(device: Device) -> None:
    """Restricts TensorFlow to a kind of device; must come before it is loaded.

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
            "--device gpu was asked for, and TensorFlow finds no GPU. Install the extra 'gpu' and NVIDIA's driver, "
            "or leave --device out.",
            code=Code.UNAVAILABLE,
        )


def make_strategy(recipe: Recipe) -> tf.distribute.Strategy:
    """How each step is shared by as many devices as the recipe says: GPUs, or where there are none, virtual CPUs.

    Raises:
        LociscopeError: There are not so many, or they cannot share a batch evenly.
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
            code=Code.INVALID_VALUE,
        )
    if recipe.train.batch % wanted:
        raise LociscopeError(
            f"A batch of {recipe.train.batch} cannot be shared by {wanted} devices. Choose train.batch so that "
            f"{wanted} divides it.",
            code=Code.INVALID_VALUE,
        )
    return tf.distribute.MirroredStrategy(found[:wanted])


def synchronise_batch_norm(model: keras.Model, together: bool) -> None:
    """Has batch normalisation take its statistics of the whole batch, on whichever devices its parts are."""
    import keras

    for layer in flatten_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = together


@contextmanager
def explain_memory_errors(recipe: Recipe) -> Iterator[None]:
    """Turns a device's lack of memory into a sentence that says which batch to try.

    Raises:
        LociscopeError: In place of TensorFlow's error.
    """
    import tensorflow as tf

    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        batch, size = recipe.train.batch, recipe.data.size
        remedy = f"train.batch={batch // 2}" if batch > 1 else f"data.size={size // 2}"
        raise LociscopeError(
            f"Memory did not suffice for a batch of {batch} fields of {size} px. Try --set {remedy} in another Run.",
            code=Code.OUT_OF_MEMORY,
        ) from error
