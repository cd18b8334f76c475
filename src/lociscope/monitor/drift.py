"""The check: a window of fields against a reference, with one level of false alarms over all tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lociscope.errors import Code, LociscopeError
from lociscope.images.statistics import STATISTICS
from lociscope.labels import LABELS
from lociscope.monitor.comparable import EMBEDDINGS, LOCATIONS, Comparable, comparable
from lociscope.monitor.compare import Distance, fisher, holm, kolmogorov_smirnov, mmd
from lociscope.monitor.describe import in_words

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Sequence

    from lociscope.monitor.samples import Sample

    Test = Callable[[np.ndarray, np.ndarray], list[Distance]]

SCHEMA = 1
LEVEL = 0.05
"""Chance that a window of unchanged fields raises an alarm."""

LEAST = 5
"""Fields, or groups of them, below which a window says nothing."""

FEW = 30
"""Fields below which only large shifts are seen (`benchmarks/monitor.py`)."""

DRAWS = 25
"""How often one field of each group is drawn."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StatisticFinding(_Frozen):
    """One statistic: its quantiles (5, 25, 50, 75, 95 %) on both sides; p is corrected for all tests."""

    name: str
    window: tuple[float, ...]
    reference: tuple[float, ...]
    distance: float = Field(description="Largest difference of the cumulative distributions, 0–1.")
    p: float
    moved: bool


class EmbeddingFinding(_Frozen):
    """The embeddings: their maximum mean discrepancy; p is corrected for all tests."""

    mmd2: float
    p: float
    moved: bool


class PlaceFinding(_Frozen):
    """One place: the fields in which it is found; p is corrected for all tests."""

    number: int
    label: str
    window: int
    reference: int
    p: float
    moved: bool


class Drift(_Frozen):
    """What the check found, and what `lociscope monitor check --json` prints."""

    schema_: int = Field(SCHEMA, alias="schema")
    window: str
    fields: int
    groups: int | None = Field(None, description="Groups of fields that belong together, where they are known.")
    reference: str
    reference_fields: int
    level: float
    drifted: bool = Field(description="Whether anything that was checked has moved.")
    checked: list[str] = Field(description="What was compared: locations, pixel statistics, embeddings.")
    not_checked: dict[str, str] = Field(description="What of these was not compared, and why.")
    sentences: list[str] = Field(description="What moved, in plain words.")
    statistics: list[StatisticFinding]
    embedding: EmbeddingFinding | None
    places: list[PlaceFinding]
    notes: list[str]


def check(
    window: Sample,
    reference: Sample,
    *,
    level: float = LEVEL,
    group: re.Pattern[str] | None = None,
    seed: int = 0,
) -> Drift:
    """Compares a window of fields with a reference.

    Three families of tests: Kolmogorov and Smirnov's for each statistic, the maximum mean discrepancy of the
    embeddings with a permutation test, Fisher's for the rate of each place. Within a family p is corrected by Holm,
    and each of those that can be made gets an equal share of the level, so that a window of fields like the
    reference's raises any alarm at all with a chance of at most `level`.

    Fields of one specimen or plate are alike, and tests that take them for independent raise false alarms. Where
    `group` tells which belong together, one field of each group is drawn, and that is repeated; the p of a test is
    twice the mean over the draws, which is a valid p however they depend (Vovk and Wang, Biometrika 107, 791–808,
    2020). A field that is there more than once, predicted again or by two commands, counts once.

    Args:
        window: The fields to check.
        reference: What they should be like.
        level: The chance of a false alarm.
        group: Searched in each id on both sides; fields belong together where it finds the same text (its first
            group, if it has one). A field in which it finds nothing stands alone.
        seed: Of permutations and draws.

    Returns:
        What was found.

    Raises:
        LociscopeError: A side is too small, or they have nothing in common that can be compared.
    """
    again = len(window)
    window, reference = window.distinct(), reference.distinct()
    again -= len(window)
    rows, others = _groups(window.ids, group), _groups(reference.ids, group)
    _check_size(window, rows, reference, others)
    common = comparable(window, reference)
    if not common.checked:
        reasons = " ".join(f"{name[:1].upper()}{name[1:]}: {why}" for name, why in common.not_checked.items())
        raise LociscopeError(f"Nothing can be compared. {reasons} Name another --reference.", code=Code.INVALID_VALUE)
    notes = _unrecorded(window, reference)
    families = _families(window, reference, common, seed)
    found = {
        name: _corrected(test, rows, others, len(families), np.random.default_rng([seed, 2]))
        for name, test in families.items()
    }
    if again:
        notes.append(f"{again} rows are of fields that were predicted more than once; each field counts once.")
    both = len({*window.prints()} & {*reference.prints()})
    if both:
        notes.append(f"{both} fields are in the window and in the reference: they hide what moved.")
    if len(rows) < FEW:
        notes.append(f"A window of {_counted(len(window), len(rows))} shows only large shifts.")
    findings = _statistics(window, reference, common.columns, found.get("statistics", []), level)
    embedding = _embedding(found.get("embedding", []), level)
    rates = _places(window, reference, found.get("places", []), level)
    drifted = any(each.moved for each in findings) or any(each.moved for each in rates)
    drifted = drifted or (embedding is not None and embedding.moved)
    return Drift(
        window=window.what,
        fields=len(window),
        groups=None if group is None else len(rows),
        reference=reference.what,
        reference_fields=len(reference),
        level=level,
        drifted=drifted,
        checked=common.checked,
        not_checked=common.not_checked,
        sentences=in_words(findings, embedding, rates, (len(window), len(reference))),
        statistics=findings,
        embedding=embedding,
        places=rates,
        notes=notes,
    )


def _unrecorded(window: Sample, reference: Sample) -> list[str]:
    unknown = [side for side, each in (("window", window), ("reference", reference)) if each.bundle is None]
    if not unknown:
        return []
    return [
        f"It is not recorded which bundle predicted the {' and the '.join(unknown)}: locations and embeddings of two "
        "models differ whatever the fields are."
    ]


def _families(window: Sample, reference: Sample, common: Comparable, seed: int) -> dict[str, Test]:
    """The tests that can be made: each compares rows of the window with rows of the reference."""
    rng = np.random.default_rng([seed, 1])
    families: dict[str, Test] = {}
    columns = common.columns
    if columns:
        families["statistics"] = lambda here, there: kolmogorov_smirnov(
            _of(window.statistics, here)[:, columns], _of(reference.statistics, there)[:, columns]
        )
    if EMBEDDINGS in common.checked:
        families["embedding"] = lambda here, there: [
            mmd(_of(window.embedding, here), _of(reference.embedding, there), rng)
        ]
    if LOCATIONS in common.checked:
        families["places"] = lambda here, there: fisher(window.places[here], reference.places[there])
    return families


def _groups(ids: Sequence[str], group: re.Pattern[str] | None) -> list[np.ndarray]:
    """The rows of each group."""
    rows: dict[tuple[str, bool], list[int]] = {}
    for row, name in enumerate(ids):
        found = group.search(name) if group else None
        key = (found.group(min(found.re.groups, 1)) or "", True) if found else (f"{row}", False)
        rows.setdefault(key, []).append(row)
    return [np.array(each) for each in rows.values()]


def _counted(fields: int, groups: int) -> str:
    return f"{fields} fields" if fields == groups else f"{fields} fields in {groups} groups"


def _check_size(window: Sample, rows: list[np.ndarray], reference: Sample, others: list[np.ndarray]) -> None:
    for sample, groups, remedy in (
        (window, rows, "Widen it: an earlier --since, a later --until, more fields."),
        (reference, others, "Name a larger one with --reference."),
    ):
        if len(groups) < LEAST:
            raise LociscopeError(
                f"{sample.what[:1].upper()}{sample.what[1:]} is too small to tell drift from chance: "
                f"{_counted(len(sample), len(groups))}, and {LEAST} are the least. {remedy}",
                code=Code.NOT_ENOUGH_DATA,
            )


def _of(table: np.ndarray | None, rows: np.ndarray | None = None) -> np.ndarray:
    if table is None:
        raise AssertionError("checked before")
    return table if rows is None else table[rows]


def _corrected(
    test: Test,
    rows: list[np.ndarray],
    others: list[np.ndarray],
    families: int,
    rng: np.random.Generator,
) -> list[Distance]:
    """One family's distances, with p corrected for its tests and for the number of families."""
    single = all(len(each) == 1 for each in (*rows, *others))
    draws = [
        test(*(np.array([rng.choice(each) for each in groups]) for groups in (rows, others)))
        for _ in range(1 if single else DRAWS)
    ]
    value = np.mean([[each.value for each in draw] for draw in draws], axis=0)
    p = np.mean([[each.p for each in draw] for draw in draws], axis=0) * (1 if single else 2)
    corrected = np.minimum(holm(np.minimum(p, 1)) * families, 1)
    return [Distance(*pair) for pair in zip(value.tolist(), corrected.tolist(), strict=True)]


def _statistics(
    window: Sample, reference: Sample, columns: list[int], found: list[Distance], level: float
) -> list[StatisticFinding]:
    if not columns:
        return []
    sides = [np.quantile(_of(each.statistics)[:, columns], QUANTILES, axis=0).T for each in (window, reference)]
    return [
        StatisticFinding(
            name=STATISTICS[column],
            window=tuple(sides[0][row].tolist()),
            reference=tuple(sides[1][row].tolist()),
            distance=found[row].value,
            p=found[row].p,
            moved=found[row].p <= level,
        )
        for row, column in enumerate(columns)
    ]


def _embedding(found: list[Distance], level: float) -> EmbeddingFinding | None:
    return EmbeddingFinding(mmd2=found[0].value, p=found[0].p, moved=found[0].p <= level) if found else None


def _places(window: Sample, reference: Sample, found: list[Distance], level: float) -> list[PlaceFinding]:
    here, there = window.places.sum(axis=0).tolist(), reference.places.sum(axis=0).tolist()
    return [
        PlaceFinding(
            number=number, label=LABELS[number], window=here[number], reference=there[number], p=each.p,
            moved=each.p <= level,
        )
        for number, each in enumerate(found)
    ]  # fmt: skip
