"""Load Keras and its backend, without the messages that TensorFlow prints from C++."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lociscope.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator


def load_keras() -> None:
    """Load Keras with the backend that `KERAS_BACKEND` names, by default TensorFlow.

    Raises:
        MissingExtraError: Keras or its backend is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with _silent_stderr():
            import keras

            if keras.backend.backend() == "tensorflow":
                import tensorflow as tf

                tf.config.list_logical_devices()  # what it has to say of missing GPUs, it says here
    except ModuleNotFoundError as error:
        raise MissingExtraError("Training", "train") from error


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Redirect the file descriptor of stderr, the only way to silence C++; not with debug logging."""
    if sys.stderr is None or logging.getLogger().isEnabledFor(logging.DEBUG):
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
