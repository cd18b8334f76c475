"""Write pictures that show where the evidence for the predicted locations of fields is."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from lociscope.channels import BLUE, CHANNELS, GREEN
from lociscope.errors import LociscopeError
from lociscope.images.io.read import read_field
from lociscope.labels import LABELS
from lociscope.predict.explain import Evidence, Explanation, explain_field
from lociscope.processes.progress import ProgressCallback, ignore_progress
from lociscope.storage.atomic import atomic_write
from lociscope.storage.file_errors import unwritable_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lociscope.images.discovery.field_source import FieldSource
    from lociscope.predict.predictor import Predictor

SIDE = 384
"""Longer side of a panel, px."""

MAX_PANELS = 6
_CAPTION = 20
_HEAT = np.array([255, 140, 0], np.float32)


def create_folder(folder: Path) -> None:
    """Create the folder of the pictures, so that a location that cannot be written is reported before the work.

    Raises:
        LociscopeError: It cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable_error(folder, error, "explain") from error


def explain_files(
    predictor: Predictor, sources: Sequence[FieldSource], folder: Path, progress: ProgressCallback = ignore_progress
) -> int:
    """Write `<id>.png` for each field that has none yet: the field, and the evidence for its predicted locations.

    Args:
        predictor: The model.
        sources: Fields; one that cannot be read is left out, since the predictions list it.
        folder: An existing folder.
        progress: Called with (done, total).

    Returns:
        The number of pictures written.
    """
    written = 0
    for done, source in enumerate(sources, 1):
        path = folder / f"{quote(source.id, safe=' ()[]+,=@')}.png"
        if not path.exists():
            try:
                explanation = explain_field(predictor, read_field(source))
            except LociscopeError:
                continue
            write_picture(path, explanation)
            written += 1
        progress(done, len(sources), "explaining")
    return written


def write_picture(path: Path, explanation: Explanation) -> None:
    """Write a PNG: the field in colour, then for each location the protein in grey with its evidence in orange."""
    from PIL import Image, ImageDraw

    pixels = explanation.pixels
    weights = np.array([channel.colour for channel in CHANNELS], np.float32)
    weights[BLUE] = (0.3, 0.3, 1.0)  # pure blue is too dark to be seen
    panels = [("field", np.minimum(pixels.astype(np.float32) @ weights, 255))]
    panels += [(_caption(each), overlay(pixels, each.map)) for each in explanation.evidence[:MAX_PANELS]]
    scale = SIDE / max(pixels.shape[:2])
    width, height = (max(1, round(side * scale)) for side in (pixels.shape[1], pixels.shape[0]))
    sheet = Image.new("RGB", (len(panels) * (width + 4) - 4, height + _CAPTION), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (caption, panel) in enumerate(panels):
        picture = Image.fromarray(np.rint(panel).astype(np.uint8)).resize((width, height), Image.Resampling.BILINEAR)
        sheet.paste(picture, (number * (width + 4), _CAPTION))
        pen.text((number * (width + 4) + 2, 4), caption, fill="black")
    with atomic_write(path) as part:
        sheet.save(part, format="PNG")


def overlay(pixels: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """Return the protein in grey with evidence (y, x) of 0–1 in orange: (y, x, 3) of float32, 0–255."""
    grey = np.repeat(pixels[..., GREEN, None].astype(np.float32), 3, axis=-1)
    share = 0.6 * np.clip(evidence, 0, 1)[..., None]
    return np.asarray(grey * (1 - share) + share * _HEAT)


def _caption(evidence: Evidence) -> str:
    return f"{LABELS[evidence.location]} {evidence.probability:.2f}"
