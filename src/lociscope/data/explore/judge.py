"""Gather all findings about fields that were inspected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.data.explore.channels import find_swapped
from lociscope.data.explore.copies import find_copies
from lociscope.data.explore.findings import Finding, FindingKind
from lociscope.data.explore.inspect import stack_features, stack_thumbnails
from lociscope.data.explore.outliers import MIN_DEVIATION, score_outliers
from lociscope.data.explore.pixels import find_pixel_faults, usable_channels

if TYPE_CHECKING:
    from lociscope.artifacts.catalog import Catalog
    from lociscope.data.explore.inspect import Inspection

EXPLAINED = frozenset(
    {
        FindingKind.SWAPPED_CHANNELS,
        FindingKind.REPEATED_CHANNEL,
        FindingKind.MISSING_CHANNEL,
        FindingKind.BLANK,
        FindingKind.SATURATED,
        FindingKind.BLURRED,
    }
)
"""Faults of pixels that already say why a field resembles no other."""

UNTRUSTED = EXPLAINED | {FindingKind.OUTLIER}
"""Findings about pixels that already say why a model contradicts the labels of a field."""


def judge_fields(catalog: Catalog, inspection: Inspection, embedding: np.ndarray | None) -> list[Finding]:
    """Return the findings about pixels and duplicates.

    Args:
        catalog: The fields.
        inspection: What was kept of their pixels.
        embedding: (n, d) of the fields that can be read; None without a model.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    all_ids, fields = catalog.ids, inspection.fields
    found = [
        Finding(FindingKind.UNREADABLE, (failure.id,), 1.0, reason=failure.reason) for failure in inspection.failures
    ]
    if not fields:
        return found
    ids = [all_ids[row] for row in inspection.rows]
    found += find_pixel_faults(ids, fields)
    found += find_swapped(ids, [field.channels for field in fields], np.all(usable_channels(fields), axis=1))
    targets = {
        name: None if target is None else tuple(sorted(target))
        for name, target in zip(all_ids, catalog.table["target"].to_pylist(), strict=True)
    }
    parts = dict(zip(all_ids, catalog.table["split"].to_pylist(), strict=True))
    shown = np.flatnonzero(np.any(usable_channels(fields), axis=1))  # empty fields are alike, but no copies
    if len(shown):
        found += find_copies([ids[row] for row in shown], stack_thumbnails(inspection)[shown], targets, parts)
    explained = {name for each in found if each.kind in EXPLAINED for name in each.ids}
    scores = score_strangeness(inspection, embedding)
    found += [
        Finding(FindingKind.OUTLIER, (name,), score, figures={"deviations": score})
        for name, score in zip(ids, scores.tolist(), strict=True)
        if score >= MIN_DEVIATION and name not in explained
    ]
    return found


def score_strangeness(inspection: Inspection, embedding: np.ndarray | None) -> np.ndarray:
    """Return (n,) how little each field resembles the others: by its channels, or by its embedding, whichever is more.

    Args:
        inspection: The fields, at least one.
        embedding: (n, d), or None.
    """
    scores = [score_outliers(each) for each in (stack_features(inspection), embedding) if each is not None]
    return np.asarray(np.max(scores, axis=0))
