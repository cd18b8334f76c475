"""Name what may have changed in a window that drifted: images, proteins, or cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import CHANNEL_NAMES, GREEN
from lociscope.monitor.causes import find_causes, is_physical
from lociscope.monitor.compare import run_mmd_test
from lociscope.monitor.effect import GREEN_LEVELS
from lociscope.monitor.label_mix import match_fields
from lociscope.monitor.report import Cause, CauseKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.monitor.compare import Distance
    from lociscope.monitor.report import EmbeddingFinding, LocationFinding, StatisticFinding
    from lociscope.monitor.samples import Sample

MAX_REMAINING = 0.5
"""Share of the MMD² that may remain between fields of the same locations, for a changed mix to explain it."""

MATCHED_LEVEL = 0.05
_PERMUTATIONS = 199


def diagnose(
    window: Sample,
    reference: Sample,
    columns: Sequence[int],
    statistics: Sequence[StatisticFinding],
    embedding: EmbeddingFinding | None,
    locations: Sequence[LocationFinding],
    fading: Sequence[Cause],
    seed: int,
) -> list[Cause]:
    """Return what may have changed, the most certain first.

    A cause in the images explains what follows from it in the model's output. Only without one are the proteins and
    the cells considered: if the locations occur in other shares, and fields of the same locations have similar
    embeddings, the mix of locations has changed.

    Args:
        window: The fields to check.
        reference: The fields to compare them with.
        columns: The columns of the statistics that were compared.
        statistics: Their findings.
        embedding: The finding of the embeddings, if they were compared.
        locations: The findings of the locations.
        fading: Stains that fade within the window.
        seed: Seed of the selection of matched fields.
    """
    moved = [each for each in statistics if each.moved]
    embedding_moved, mix_moved = bool(embedding and embedding.moved), any(each.moved for each in locations)
    if not (moved or embedding_moved or mix_moved):
        return [*fading]
    causes = find_causes(window, reference, columns, fading)
    names = [each.name for each in moved]
    if is_physical(causes) or (not (embedding_moved or mix_moved) and GREEN_LEVELS.issuperset(names)):
        return causes
    if not (embedding_moved or mix_moved):
        return [*causes, *_name_unexplained(names)]
    explained = _compare_matched(window, reference, embedding, seed)
    if mix_moved and explained is not False:
        stains = [name for name in names if CHANNEL_NAMES[GREEN] not in name]
        return [*causes, Cause(kind=CauseKind.LABEL_MIX), *(_name_unexplained(stains) if stains else [])]
    return [*causes, *_name_unexplained(names)]


def _compare_matched(window: Sample, reference: Sample, embedding: EmbeddingFinding | None, seed: int) -> bool | None:
    """Return whether fields of the same locations have similar embeddings; None if it cannot be determined."""
    matched = match_fields(window, reference, np.random.default_rng([seed, 3]))
    if matched is None or embedding is None or window.embedding is None or reference.embedding is None:
        return None
    rows, reference_rows = matched
    found: Distance = run_mmd_test(
        window.embedding[rows], reference.embedding[reference_rows], np.random.default_rng([seed, 4]), _PERMUTATIONS
    )
    return found.p > MATCHED_LEVEL or found.value <= MAX_REMAINING * embedding.mmd2


def _name_unexplained(moved: Sequence[str]) -> list[Cause]:
    """Return the cause of what no change of the microscope explains: other cells if their stains look different."""
    stains = {name for statistic in moved for name in statistic.split("_")[1:]} - {CHANNEL_NAMES[GREEN]}
    if any(CHANNEL_NAMES[GREEN] not in statistic for statistic in moved):
        return [Cause(kind=CauseKind.OTHER_CELLS, channels=tuple(name for name in CHANNEL_NAMES if name in stains))]
    return [Cause(kind=CauseKind.NEW_PATTERN, channels=(CHANNEL_NAMES[GREEN],))]
