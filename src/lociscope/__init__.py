"""lociscope says where in the cell a protein is."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.predict.predictor import Predictor

__version__ = "0.1.0"
__all__ = ["__version__", "open_bundle"]


def open_bundle(path: "Path | str | None" = None) -> "Predictor":
    """Opens a bundle for prediction: `lociscope.open_bundle().predict(array)`.

    Args:
        path: The bundle's folder; None is the one that ships with lociscope.

    Returns:
        A predictor that has passed its self-test on this machine.

    Raises:
        lociscope.errors.LociscopeError: The bundle is altered, incomplete, of a newer schema, or fails.
    """
    from lociscope.predict import predictor

    return predictor.open_bundle(path)
