"""lociscope says where in the cell a protein is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lociscope.predict.predictor import Predictor
    from lociscope.storage.atomic import AnyPath

# The official builds of ONNX Runtime report to their maker which models they run, and keep an id in the home folder,
# unless this is set before they are imported. Nothing leaves the machine here; 0 allows it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__: str
__all__ = ["__version__", "open_bundle"]


def __getattr__(name: str) -> object:
    """Return the installed version, which pyproject.toml alone states."""
    if name == "__version__":
        from importlib.metadata import version

        return version("lociscope")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def open_bundle(path: AnyPath | None = None, threads: int = 0, *, tta: bool = False) -> Predictor:
    """Open a bundle for prediction: `lociscope.open_bundle().predict(array)`.

    Args:
        path: The bundle's folder; None is the one that ships with lociscope.
        threads: Threads of one call; 0 takes every core.
        tta: Test-time augmentation: average over the eight quarter turns and mirror images of each field, in eight
            times the time.

    Returns:
        A predictor that has passed its self-test on this machine.

    Raises:
        lociscope.errors.LociscopeError: The bundle is altered, incomplete, of a newer schema, or fails; or there is no
            such number of threads or views.
    """
    from lociscope.predict import predictor

    return predictor.open_bundle(path, threads, tta=tta)
