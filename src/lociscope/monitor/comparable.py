"""What two samples have in common that can be compared, and why the rest cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lociscope.images.statistics import INTENSITIES, STATISTICS

if TYPE_CHECKING:
    from lociscope.monitor.samples import Sample

LOCATIONS, PIXELS, EMBEDDINGS = "locations", "pixel statistics", "embeddings"
"""What a check compares."""

INPUT_PIXELS = f"{PIXELS} at the scale of the input"
"""The part of the statistics that depends on the input size of the model."""


@dataclass(frozen=True, slots=True)
class Comparable:
    """What of two samples is compared.

    Attributes:
        columns: Of the statistics.
        checked: Which of `LOCATIONS`, `PIXELS` and `EMBEDDINGS`.
        not_checked: Why each of the others is not, or not wholly.
    """

    columns: list[int]
    checked: list[str]
    not_checked: dict[str, str]


def comparable(window: Sample, reference: Sample) -> Comparable:
    """Find what can be compared.

    Args:
        window: The fields to check.
        reference: What they should be like.
    """
    not_checked: dict[str, str] = {}
    columns = list(range(len(STATISTICS)))
    sides = (("window", window), ("reference", reference))
    if window.bundle and reference.bundle and window.bundle != reference.bundle:
        reason = f"The window is of bundle {window.bundle[:12]}, the reference of {reference.bundle[:12]}."
        not_checked = dict.fromkeys((LOCATIONS, INPUT_PIXELS, EMBEDDINGS), reason)
        columns = [number for number, name in enumerate(STATISTICS) if name.partition("_")[0] in INTENSITIES]
    without = [side for side, sample in sides if sample.statistics is None]
    if without:
        columns = []
        not_checked.pop(INPUT_PIXELS, None)
        not_checked[PIXELS] = f"{_of(without)} none; a log and a bundle's reference have them."
    if EMBEDDINGS not in not_checked and (reason := _unlike(window, reference)):
        not_checked[EMBEDDINGS] = reason
    checked = [name for name in (LOCATIONS, PIXELS, EMBEDDINGS) if name not in not_checked]
    return Comparable(columns, checked, not_checked)


def _unlike(window: Sample, reference: Sample) -> str:
    """Why embeddings cannot be compared; empty where they can."""
    sides = (("window", window), ("reference", reference))
    without = [side for side, sample in sides if sample.embedding is None]
    if without:
        return f"{_of(without)} none of all fields. Predict with --log, or with --embeddings."
    wide = {sample.embedding.shape[1] for _, sample in sides if sample.embedding is not None}
    return "They are of unlike length, so they are of two models." if len(wide) > 1 else ""


def _of(sides: list[str]) -> str:
    return "The window and the reference have" if len(sides) > 1 else f"The {sides[0]} has"
