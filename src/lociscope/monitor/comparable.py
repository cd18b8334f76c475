"""Decide which parts of two samples can be compared, and why the others cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lociscope.images.statistics import INTENSITIES, STATISTICS
from lociscope.monitor.report import NotChecked, Part, Reason, Side

if TYPE_CHECKING:
    from lociscope.monitor.samples import Sample


@dataclass(frozen=True, slots=True)
class Comparable:
    """The parts of two samples that can be compared.

    Attributes:
        columns: Columns of the statistics.
        checked: Which of locations, pixel statistics and embeddings.
        not_checked: Why each of the others is not compared, or not completely.
    """

    columns: list[int]
    checked: list[Part]
    not_checked: list[NotChecked]


def find_comparable(window: Sample, reference: Sample) -> Comparable:
    """Return which parts of two samples can be compared.

    Locations, embeddings and the statistics at the scale of the input depend on the model. They are compared only if
    one bundle predicted both samples; intensities are compared in any case.

    Args:
        window: The fields to check.
        reference: The fields to compare them with.
    """
    not_checked: dict[Part, NotChecked] = {}
    columns = list(range(len(STATISTICS)))
    if window.bundle and reference.bundle and window.bundle != reference.bundle:
        bundles = (window.bundle, reference.bundle)
        for part in (Part.LOCATIONS, Part.INPUT_PIXELS, Part.EMBEDDINGS):
            not_checked[part] = NotChecked(part=part, reason=Reason.OTHER_BUNDLE, bundles=bundles)
        columns = [number for number, name in enumerate(STATISTICS) if name.partition("_")[0] in INTENSITIES]
    sides = ((Side.WINDOW, window), (Side.REFERENCE, reference))
    without = tuple(side for side, sample in sides if sample.statistics is None)
    if without:
        columns = []
        not_checked.pop(Part.INPUT_PIXELS, None)
        not_checked[Part.PIXELS] = NotChecked(part=Part.PIXELS, reason=Reason.NO_STATISTICS, sides=without)
    if Part.EMBEDDINGS not in not_checked and (obstacle := _compare_embeddings(window, reference)):
        not_checked[Part.EMBEDDINGS] = obstacle
    checked = [part for part in (Part.LOCATIONS, Part.PIXELS, Part.EMBEDDINGS) if part not in not_checked]
    return Comparable(columns, checked, list(not_checked.values()))


def _compare_embeddings(window: Sample, reference: Sample) -> NotChecked | None:
    """Return why embeddings cannot be compared; None if they can."""
    sides = ((Side.WINDOW, window), (Side.REFERENCE, reference))
    without = tuple(side for side, sample in sides if sample.embedding is None)
    if without:
        return NotChecked(part=Part.EMBEDDINGS, reason=Reason.NO_EMBEDDINGS, sides=without)
    lengths = {sample.embedding.shape[1] for _, sample in sides if sample.embedding is not None}
    return NotChecked(part=Part.EMBEDDINGS, reason=Reason.OTHER_LENGTH) if len(lengths) > 1 else None
