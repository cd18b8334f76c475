"""The split of a Catalog: what is tested on, what is validated on, and the folds, by whole groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.data.splits.folds import assign_groups, joined
from lociscope.errors import Code, LociscopeError, UsageError, suggest
from lociscope.labels import LABELS, to_multi_hot

if TYPE_CHECKING:
    from lociscope.artifacts.catalog import Catalog

GROUPS = ("antibody", "specimen", "duplicates")
"""Columns that bind fields together by default, where they hold anything."""


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """How a Catalog is to be parted.

    Attributes:
        folds: Folds of what is not tested on; 1 makes none.
        test: Share of the fields to test on; 0 keeps the rows that are of the split `test` already.
        valid: Share of the rest to validate on.
        groups: Columns whose equal values bind fields together; empty takes `GROUPS`.
        seed: Decides between what is equally good.
    """

    folds: int = 5
    test: float = 0.0
    valid: float = 0.0
    groups: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """What one part holds.

    Attributes:
        name: `test`, `valid`, `train` or `fold 0` …
        fields: Its labelled fields.
        groups: Its groups.
        counts: (28,) of int: its fields of each class.
    """

    name: str
    fields: int
    groups: int
    counts: np.ndarray


@dataclass(frozen=True, slots=True)
class SplitResult:
    """A Catalog with its columns `split` and `fold`, and what they mean.

    Attributes:
        catalog: The Catalog.
        parts: What each part holds; folds overlap `train` and `valid`.
        bound: The columns that bound fields together.
        notes: What its user should know, a sentence each.
    """

    catalog: Catalog
    parts: tuple[Part, ...]
    grouped_by: tuple[str, ...]
    notes: tuple[str, ...]


def split_catalog(catalog: Catalog, config: SplitConfig) -> SplitResult:
    """Parts the labelled fields of a Catalog.

    Args:
        catalog: Fields with labels; those without get neither split nor fold.
        config: How to split it.

    Returns:
        The Catalog with the columns `split` and `fold` written anew.

    Raises:
        LociscopeError: There are fewer than two labelled fields, or fewer groups than parts.
        UsageError: There is no such column.
    """
    rows = np.flatnonzero(catalog.table["target"].is_valid().to_numpy(zero_copy_only=False))
    if len(rows) < 2:
        raise LociscopeError(
            f"The Catalog has {len(rows)} labelled fields; parting them needs 2 or more. Import it with labels.",
            code=Code.INVALID_LABELS,
        )
    grouped_by = _group_columns(catalog, config.groups)
    columns = [catalog.table[name].take(rows).to_pylist() for name in grouped_by]
    ids = [str(row) for row in rows]
    groups = joined(*([_text(value) for value in column] for column in columns)) if columns else ids
    labels = to_multi_hot(catalog.table["target"].take(rows).to_pylist())
    split = _split(catalog, rows, labels, groups, config)
    fold = _fold(labels, groups, split, config)
    numbers: list[int | None] = [None] * len(catalog)
    names: list[str | None] = [None] * len(catalog)
    for row, name, number in zip(rows, split, fold, strict=True):
        names[row], numbers[row] = str(name), int(number) if number >= 0 else None
    made = catalog.with_column("split", names).with_column("fold", numbers)
    parts = _parts(labels, groups, split, fold)
    return SplitResult(
        made, parts, grouped_by, tuple(_notes(labels, groups, grouped_by, config, len(catalog) - len(rows)))
    )


def _group_columns(catalog: Catalog, groups: tuple[str, ...]) -> tuple[str, ...]:
    for name in groups:
        if name not in catalog.table.column_names:
            raise UsageError(
                f"The Catalog has no column {name!r}.{suggest(name, catalog.table.column_names)}",
                code=Code.INVALID_VALUE,
            )
    return groups or tuple(
        name for name in GROUPS if name in catalog.table.column_names and catalog.table[name].null_count < len(catalog)
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _split(
    catalog: Catalog, rows: np.ndarray, labels: np.ndarray, groups: list[str], config: SplitConfig
) -> np.ndarray:
    """(n,) of `train`, `valid`, `test`."""
    split = np.full(len(rows), "train", "<U5")
    if config.test:
        split[_held(labels, groups, config.test, config.seed)] = "test"
    else:
        earlier = catalog.table["split"].take(rows).to_pylist()
        tested = {group for group, name in zip(groups, earlier, strict=True) if name == "test"}
        split[[group in tested for group in groups]] = "test"  # the whole group, though only a part was named
    rest = np.flatnonzero(split == "train")
    if config.valid:
        split[rest[_held(labels[rest], [groups[row] for row in rest], config.valid, config.seed + 1)]] = "valid"
    return split


def _held(labels: np.ndarray, groups: list[str], share: float, seed: int) -> np.ndarray:
    """Row numbers of what is held out."""
    _check_enough(groups, 2, "holding fields out")
    return np.flatnonzero(assign_groups(labels, groups, [share, 1 - share], seed) == 0)


def _fold(labels: np.ndarray, groups: list[str], split: np.ndarray, config: SplitConfig) -> np.ndarray:
    """(n,) of int; −1 where a field is in no fold."""
    fold = np.full(len(split), -1)
    if config.folds < 2:
        return fold
    rest = np.flatnonzero(split != "test")
    within = [groups[row] for row in rest]
    _check_enough(within, config.folds, f"{config.folds} folds")
    fold[rest] = assign_groups(labels[rest], within, [1 / config.folds] * config.folds, config.seed)
    return fold


def _check_enough(groups: list[str], parts: int, what: str) -> None:
    if (found := len({*groups})) < parts:
        raise LociscopeError(
            f"{what[0].upper()}{what[1:]} needs {parts} groups of fields or more, received {found}. Ask for fewer "
            "folds, or bind less together with --group.",
            code=Code.NOT_ENOUGH_DATA,
        )


def _parts(labels: np.ndarray, groups: list[str], split: np.ndarray, fold: np.ndarray) -> tuple[Part, ...]:
    named = np.asarray(groups)
    chosen = {name: split == name for name in ("test", "valid", "train")}
    chosen |= {f"fold {number}": fold == number for number in range(int(fold.max()) + 1)}
    return tuple(
        Part(name, int(rows.sum()), len({*named[rows]}), labels[rows].sum(axis=0))
        for name, rows in chosen.items()
        if rows.any()
    )


def _notes(
    labels: np.ndarray, groups: list[str], grouped_by: tuple[str, ...], config: SplitConfig, unlabelled: int
) -> list[str]:
    notes = []
    if unlabelled:
        notes.append(f"Fields without a label, which are in no part: {unlabelled}.")
    if "antibody" not in grouped_by:
        notes.append("Antibody unknown: fields of one antibody may lie in several parts, and intervals are too narrow.")
    named = np.asarray(groups)
    for number, column in enumerate(labels.T):
        found = len({*named[column > 0]})
        if 0 < found < max(config.folds, 2):
            notes.append(f"{LABELS[number]} has {found} group{'s' * (found > 1)}: some part is without it.")
    return notes
