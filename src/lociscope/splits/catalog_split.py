"""Split a Catalog into train, validation and test data and into folds, by whole groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.errors import Code, LociscopeError, UsageError, suggest
from lociscope.labels import to_multi_hot
from lociscope.splits.folds import assign_groups
from lociscope.splits.groups import find_group_columns, group_ids, number_groups

if TYPE_CHECKING:
    from lociscope.artifacts.catalog import Catalog


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """How to split a Catalog.

    Attributes:
        folds: Number of folds of everything but the test data; 1 makes none.
        test: Share of the fields for testing; 0 keeps the rows whose column `split` says `test`.
        valid: Share of the rest for validation.
        group: Columns whose equal values keep fields together; empty uses those of `GROUP_COLUMNS` that have values.
        seed: Decides between equally good splits.
    """

    folds: int = 5
    test: float = 0.0
    valid: float = 0.0
    group: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class SplitPart:
    """The contents of one part of a split.

    Attributes:
        name: `test`, `valid`, `train` or `fold 0` …
        fields: Number of its labelled fields.
        groups: Number of its groups.
        counts: (28,) of int: number of its fields of each class.
    """

    name: str
    fields: int
    groups: int
    counts: np.ndarray


@dataclass(frozen=True, slots=True)
class SplitResult:
    """A Catalog with its columns `split` and `fold`, and what is in each part.

    Attributes:
        catalog: The Catalog.
        parts: The contents of each part; folds overlap `train` and `valid`.
        grouped_by: The columns that kept fields together.
        unlabelled: Number of fields without labels, which are in no part.
        scarce: For each class with fewer groups than there are parts to fill, the number of its groups: some part is
            without the class.
    """

    catalog: Catalog
    parts: tuple[SplitPart, ...]
    grouped_by: tuple[str, ...]
    unlabelled: int
    scarce: dict[int, int]


def split_catalog(catalog: Catalog, config: SplitConfig) -> SplitResult:
    """Split the labelled fields of a Catalog by whole groups, with each class in its proportion.

    Args:
        catalog: Fields with labels; those without get neither split nor fold.
        config: How to split it.

    Returns:
        The Catalog with new columns `split` and `fold`, and the contents of each part.

    Raises:
        LociscopeError: There are fewer than two labelled fields, or fewer groups than parts.
        UsageError: A column is not known.
    """
    rows = np.flatnonzero(catalog.table["target"].is_valid().to_numpy(zero_copy_only=False))
    if len(rows) < 2:
        raise LociscopeError(
            f"The Catalog has {len(rows)} labelled fields; splitting it needs 2 or more. Import it with labels.",
            code=Code.NOT_ENOUGH_DATA,
        )
    grouped_by = _check_columns(catalog, config.group) or find_group_columns(catalog)
    groups = number_groups(group_ids(catalog.select_labelled(), grouped_by))
    labels = to_multi_hot(catalog.table["target"].take(rows).to_pylist())
    split = _split(catalog, rows, labels, groups, config)
    fold = _fold(labels, groups, split, config)
    numbers: list[int | None] = [None] * len(catalog)
    names: list[str | None] = [None] * len(catalog)
    for row, name, number in zip(rows, split, fold, strict=True):
        names[row], numbers[row] = str(name), int(number) if number >= 0 else None
    return SplitResult(
        catalog.with_column("split", names).with_column("fold", numbers),
        _count_parts(labels, groups, split, fold),
        grouped_by,
        len(catalog) - len(rows),
        _find_scarce(labels, groups, max(config.folds, 2)),
    )


def _check_columns(catalog: Catalog, columns: tuple[str, ...]) -> tuple[str, ...]:
    for name in columns:
        if name not in catalog.table.column_names:
            raise UsageError(
                f"The Catalog has no column {name!r}.{suggest(name, catalog.table.column_names)}",
                code=Code.UNKNOWN_NAME,
            )
    return columns


def _split(
    catalog: Catalog, rows: np.ndarray, labels: np.ndarray, groups: list[str], config: SplitConfig
) -> np.ndarray:
    """Return (n,) of `train`, `valid`, `test`."""
    split = np.full(len(rows), "train", "<U5")
    if config.test:
        split[_hold_out(labels, groups, config.test, config.seed)] = "test"
    else:
        earlier = catalog.table["split"].take(rows).to_pylist()
        tested = {group for group, name in zip(groups, earlier, strict=True) if name == "test"}
        split[[group in tested for group in groups]] = "test"  # the whole group, though only a part was named
    rest = np.flatnonzero(split == "train")
    if config.valid:
        held = _hold_out(labels[rest], [groups[row] for row in rest], config.valid, config.seed + 1)
        split[rest[held]] = "valid"
    return split


def _hold_out(labels: np.ndarray, groups: list[str], share: float, seed: int) -> np.ndarray:
    """Return the row numbers of a share of the fields, with balanced classes."""
    _check_enough(groups, 2, "Holding fields out needs")
    return np.flatnonzero(assign_groups(labels, groups, [share, 1 - share], seed) == 0)


def _fold(labels: np.ndarray, groups: list[str], split: np.ndarray, config: SplitConfig) -> np.ndarray:
    """Return (n,) of int: the fold of each field; −1 where it is in none."""
    fold = np.full(len(split), -1)
    if config.folds < 2:
        return fold
    rest = np.flatnonzero(split != "test")
    within = [groups[row] for row in rest]
    _check_enough(within, config.folds, f"{config.folds} folds need")
    fold[rest] = assign_groups(labels[rest], within, [1 / config.folds] * config.folds, config.seed)
    return fold


def _check_enough(groups: list[str], parts: int, what: str) -> None:
    if (found := len({*groups})) < parts:
        raise LociscopeError(
            f"{what} {parts} groups of fields or more, received {found}. Pass fewer `folds`, or a column with "
            "more values as `group`.",
            code=Code.NOT_ENOUGH_DATA,
        )


def _count_parts(labels: np.ndarray, groups: list[str], split: np.ndarray, fold: np.ndarray) -> tuple[SplitPart, ...]:
    named = np.asarray(groups)
    masks = {name: split == name for name in ("test", "valid", "train")}
    masks |= {f"fold {number}": fold == number for number in range(int(fold.max()) + 1)}
    return tuple(
        SplitPart(name, int(rows.sum()), len({*named[rows]}), labels[rows].sum(axis=0))
        for name, rows in masks.items()
        if rows.any()
    )


def _find_scarce(labels: np.ndarray, groups: list[str], parts: int) -> dict[int, int]:
    named = np.asarray(groups)
    found = {number: len({*named[column > 0]}) for number, column in enumerate(labels.T)}
    return {number: count for number, count in found.items() if 0 < count < parts}
