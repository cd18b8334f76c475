"""Compare a window of fields with a reference, with one false-alarm level over all tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.decide.holm import adjust_holm
from lociscope.errors import Code, LociscopeError
from lociscope.images.statistics import STATISTICS
from lociscope.labels import LABELS, to_nullable
from lociscope.monitor.causes import find_fading
from lociscope.monitor.comparable import Comparable, find_comparable
from lociscope.monitor.compare import (
    Distance,
    run_fisher_tests,
    run_kolmogorov_smirnov_tests,
    run_mmd_test,
)
from lociscope.monitor.describe import count_fields, describe_obstacle
from lociscope.monitor.diagnose import diagnose
from lociscope.monitor.effect import GREEN_LEVELS, MIN_MMD2, MIN_RATE_DIFFERENCE, is_relevant_shift
from lociscope.monitor.label_mix import estimate_shares
from lociscope.monitor.report import (
    DriftReport,
    EmbeddingFinding,
    LocationFinding,
    Note,
    NoteKind,
    Part,
    Side,
    StatisticFinding,
)

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Sequence

    from lociscope.monitor.samples import Sample

    Test = Callable[[np.ndarray, np.ndarray], list[Distance]]

LEVEL = 0.05
"""Chance that a window of unchanged fields raises an alarm."""

MIN_FIELDS = 5
"""Fewest fields, or groups of them, that can be compared."""

FEW_FIELDS = 30
"""Number of fields below which only large shifts are detected (`benchmarks/monitor.py`)."""

GROUP_SAMPLES = 25
"""How often one field of each group is sampled."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def compare_samples(
    window: Sample,
    reference: Sample,
    *,
    level: float = LEVEL,
    group: re.Pattern[str] | None = None,
    seed: int = 0,
) -> DriftReport:
    """Compare a window of fields with a reference.

    Three families of tests: Kolmogorov and Smirnov's for each statistic, the maximum mean discrepancy of the
    embeddings with a permutation test, and Fisher's for the rate of each location. Within a family p is corrected by
    Holm, and each family that can be tested gets an equal share of the level (a last share is for Spearman's test of
    stains that fade within the window), so that a window of fields like the
    reference's raises any alarm at all with a chance of at most `level`.

    Fields of one specimen or plate are similar, and tests that assume independent fields raise false alarms. If
    `group` identifies fields that belong together, one field of each group is sampled, repeatedly; the p of a test is
    twice the mean over these samples, which is a valid p however they depend on each other (Vovk and Wang, Biometrika
    107, 791–808, 2020). A field that occurs more than once, predicted again or by two commands, counts once.

    Args:
        window: The fields to check.
        reference: The fields to compare them with.
        level: The chance of a false alarm.
        group: Searched in each id of both samples; fields belong together if it finds the same text (its first
            group, if it has one). A field without a match forms a group alone.
        seed: Seed of permutations and samples.

    Returns:
        The report.

    Raises:
        LociscopeError: A sample is too small, or the two have nothing in common that can be compared.
    """
    valid, reference = window.drop_invalid(), reference.drop_invalid().deduplicate()
    invalid, repeated = len(window) - len(valid), len(valid)
    window = valid.deduplicate()
    repeated -= len(window)
    window_groups, reference_groups = _group_rows(window.ids, group), _group_rows(reference.ids, group)
    _check_size(window, len(window_groups), group, "Widen it: an earlier `since`, a later `until`, more fields.")
    _check_size(reference, len(reference_groups), group, "Pass a larger `reference`.")
    common = _find_comparable(window, reference)
    distances = _run_tests(_select_tests(window, reference, common, seed), window_groups, reference_groups, seed)
    statistics = _make_statistics(window, reference, common.columns, distances.get(Part.PIXELS, []), level)
    embedding = _make_embedding(distances.get(Part.EMBEDDINGS, []), level)
    locations = _make_locations(window, reference, distances.get(Part.LOCATIONS, []), level)
    families = len(distances) + (Part.PIXELS in distances)
    fading = find_fading(window, window_groups, level / families) if Part.PIXELS in distances else []
    drifted = has_drifted(statistics, embedding, locations) or bool(fading)
    return DriftReport(
        window=window.name,
        fields=len(window),
        groups=None if group is None else len(window_groups),
        reference=reference.name,
        reference_fields=len(reference),
        level=level,
        drifted=drifted,
        causes=diagnose(window, reference, common.columns, statistics, embedding, locations, fading, seed),
        checked=common.checked,
        not_checked=common.not_checked,
        statistics=statistics,
        embedding=embedding,
        locations=locations,
        notes=[
            *([Note(kind=NoteKind.NOT_FINITE, count=invalid)] if invalid else []),
            *_make_notes(window, reference, repeated, len(window_groups)),
            *([Note(kind=NoteKind.GREEN_LEVEL)] if not drifted and any(each.moved for each in statistics) else []),
        ],
    )


def has_drifted(
    statistics: Sequence[StatisticFinding], embedding: EmbeddingFinding | None, locations: Sequence[LocationFinding]
) -> bool:
    """Return whether anything has moved besides the brightness of the protein channel."""
    pixels = any(each.moved and each.name not in GREEN_LEVELS for each in statistics)
    return pixels or bool(embedding and embedding.moved) or any(each.moved for each in locations)


def _find_comparable(window: Sample, reference: Sample) -> Comparable:
    """Return what can be compared; refuse samples of which nothing can."""
    common = find_comparable(window, reference)
    if not common.checked:
        reasons = " ".join(
            f"{each.part[:1].upper()}{each.part[1:]}: {describe_obstacle(each)}" for each in common.not_checked
        )
        raise LociscopeError(f"Nothing can be compared. {reasons} Pass another `reference`.", code=Code.INVALID_VALUE)
    return common


def _make_notes(window: Sample, reference: Sample, repeated: int, groups: int) -> list[Note]:
    notes = []
    sides = ((Side.WINDOW, window), (Side.REFERENCE, reference))
    unknown = tuple(side for side, sample in sides if sample.bundle is None)
    if unknown:
        notes.append(Note(kind=NoteKind.UNKNOWN_BUNDLE, sides=unknown))
    if repeated:
        notes.append(Note(kind=NoteKind.REPEATED, count=repeated))
    overlap = len({*window.fingerprints()} & {*reference.fingerprints()})
    if overlap:
        notes.append(Note(kind=NoteKind.OVERLAP, count=overlap))
    if groups < FEW_FIELDS:
        notes.append(Note(kind=NoteKind.SMALL_WINDOW))
    return notes


def _select_tests(window: Sample, reference: Sample, common: Comparable, seed: int) -> dict[Part, Test]:
    """Return the tests that can be run: each compares rows of the window with rows of the reference."""
    rng = np.random.default_rng([seed, 1])
    tests: dict[Part, Test] = {}
    columns = common.columns
    if columns:
        tests[Part.PIXELS] = lambda here, there: run_kolmogorov_smirnov_tests(
            _take(window.statistics, here)[:, columns], _take(reference.statistics, there)[:, columns]
        )
    if Part.EMBEDDINGS in common.checked:
        tests[Part.EMBEDDINGS] = lambda here, there: [
            run_mmd_test(_take(window.embedding, here), _take(reference.embedding, there), rng)
        ]
    if Part.LOCATIONS in common.checked:
        tests[Part.LOCATIONS] = lambda here, there: run_fisher_tests(window.locations[here], reference.locations[there])
    return tests


def _run_tests(
    tests: dict[Part, Test], window_groups: list[np.ndarray], reference_groups: list[np.ndarray], seed: int
) -> dict[Part, list[Distance]]:
    families = len(tests) + (Part.PIXELS in tests)  # one more for stains that fade within the window
    return {
        part: _run_corrected(test, window_groups, reference_groups, families, np.random.default_rng([seed, 2]))
        for part, test in tests.items()
    }


def _group_rows(ids: Sequence[str], group: re.Pattern[str] | None) -> list[np.ndarray]:
    """Return the rows of each group."""
    rows: dict[tuple[str, bool], list[int]] = {}
    for row, name in enumerate(ids):
        match = group.search(name) if group else None
        key = (match.group(min(match.re.groups, 1)) or "", True) if match else (f"{row}", False)
        rows.setdefault(key, []).append(row)
    return [np.array(each) for each in rows.values()]


def _check_size(sample: Sample, groups: int, group: re.Pattern[str] | None, remedy: str) -> None:
    if groups < MIN_FIELDS:
        counted = count_fields(len(sample), None if group is None else groups)
        raise LociscopeError(
            f"{sample.name[:1].upper()}{sample.name[1:]} is too small to distinguish drift from chance: {counted}, "
            f"expected {MIN_FIELDS} or more. {remedy}",
            code=Code.NOT_ENOUGH_DATA,
        )


def _take(table: np.ndarray | None, rows: np.ndarray | None = None) -> np.ndarray:
    if table is None:
        raise AssertionError("find_comparable excludes this part")
    return table if rows is None else table[rows]


def _run_corrected(
    test: Test,
    window_groups: list[np.ndarray],
    reference_groups: list[np.ndarray],
    families: int,
    rng: np.random.Generator,
) -> list[Distance]:
    """Return the distances of one family, with p corrected for its tests and for the number of families."""
    single = all(len(each) == 1 for each in (*window_groups, *reference_groups))
    results = [
        test(*(np.array([rng.choice(each) for each in groups]) for groups in (window_groups, reference_groups)))
        for _ in range(1 if single else GROUP_SAMPLES)
    ]
    value = np.mean([[each.value for each in result] for result in results], axis=0)
    p = np.mean([[each.p for each in result] for result in results], axis=0) * (1 if single else 2)
    corrected = np.minimum(adjust_holm(np.minimum(p, 1)) * families, 1)
    return [Distance(*pair) for pair in zip(value.tolist(), corrected.tolist(), strict=True)]


def _make_statistics(
    window: Sample, reference: Sample, columns: list[int], distances: list[Distance], level: float
) -> list[StatisticFinding]:
    if not columns:
        return []
    sides = [np.quantile(_take(each.statistics)[:, columns], QUANTILES, axis=0).T for each in (window, reference)]
    return [
        StatisticFinding(
            name=STATISTICS[column],
            window=tuple(here.tolist()),
            reference=tuple(there.tolist()),
            distance=distance.value,
            p=distance.p,
            moved=distance.p <= level and is_relevant_shift(STATISTICS[column], here[1:4], there[1:4], distance),
        )
        for column, distance, here, there in zip(columns, distances, *sides, strict=True)
    ]


def _make_embedding(distances: list[Distance], level: float) -> EmbeddingFinding | None:
    if not distances:
        return None
    mmd2, p = distances[0]
    return EmbeddingFinding(mmd2=mmd2, p=p, moved=p <= level and mmd2 >= MIN_MMD2)


def _make_locations(
    window: Sample, reference: Sample, distances: list[Distance], level: float
) -> list[LocationFinding]:
    here, there = window.locations.sum(axis=0).tolist(), reference.locations.sum(axis=0).tolist()
    estimates: list[float | None] = [None] * len(distances)
    if distances and window.probability is not None and reference.probability is not None:
        estimates = to_nullable(estimate_shares(window.probability, reference.probability).round(4))
    return [
        LocationFinding(
            number=number,
            label=LABELS[number],
            window=here[number],
            reference=there[number],
            p=each.p,
            moved=each.p <= level and abs(each.value) >= MIN_RATE_DIFFERENCE,
            estimate=estimates[number],
        )
        for number, each in enumerate(distances)
    ]
