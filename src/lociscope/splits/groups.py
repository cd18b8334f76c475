"""Find the groups of fields that a split must keep together.

Fields of one specimen or of one antibody are similar. A group that is in both the training and the validation data
leaks information (the score then measures memory), and an interval that resamples single fields is too narrow.
Splits, confidence intervals, reports and ensembles therefore use the same groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lociscope.artifacts.catalog import Catalog

GROUP_COLUMNS = ("antibody", "specimen", "duplicates")
"""Columns whose equal values group fields, where a Catalog has them."""


def find_group_columns(catalog: Catalog) -> tuple[str, ...]:
    """Return the columns of `GROUP_COLUMNS` that have a value in at least one row of a Catalog."""
    table = catalog.table
    return tuple(
        name for name in GROUP_COLUMNS if name in table.column_names and table[name].null_count < table.num_rows
    )


def group_ids(catalog: Catalog, columns: Sequence[str] | None = None) -> list[str]:
    """Return the group of each field: the connected components of "shares a value in one of the columns".

    Two fields that share an antibody are in one group, and so is a third that shares its specimen with one of them.

    Args:
        catalog: The fields.
        columns: Columns that group fields; None uses those of `GROUP_COLUMNS` that have values.

    Returns:
        A name for each row. It is the specimen, else the antibody, else the id of the first field of the group: where
        only one of these columns has values, it is the value itself.
    """
    table = catalog.table
    names = find_group_columns(catalog) if columns is None else columns
    pairs: list[tuple[int, int]] = []
    for name in names:
        first: dict[str, int] = {}
        values = table[name].to_pylist()
        pairs += [(first.setdefault(str(value), row), row) for row, value in enumerate(values) if value is not None]
    roots = connected_components(table.num_rows, pairs)
    own = zip(table["specimen"].to_pylist(), table["antibody"].to_pylist(), catalog.ids, strict=True)
    wanted = [
        (specimen if "specimen" in names else None) or (antibody if "antibody" in names else None) or name
        for specimen, antibody, name in own
    ]
    named: dict[int, str] = {}
    taken: set[str] = set()
    for root in roots:
        if root not in named:  # a specimen may be called like an antibody of another group
            named[root] = wanted[root] if wanted[root] not in taken else f"{wanted[root]}, {catalog.ids[root]}"
            taken.add(named[root])
    return [named[root] for root in roots]


def number_groups(groups: Sequence[str]) -> list[str]:
    """Rename each group to the row of its first field, as text: names that seeds of splits belong to."""
    first: dict[str, int] = {}
    return [str(first.setdefault(name, row)) for row, name in enumerate(groups)]


def connected_components(n: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Return the connected component of each of `n` numbers.

    Args:
        n: How many numbers there are, from 0.
        pairs: Numbers that belong together.

    Returns:
        For each number the least number of its component.
    """
    root = list(range(n))

    def find(row: int) -> int:
        while root[row] != row:
            root[row] = root[root[row]]
            row = root[row]
        return row

    for pair in pairs:
        one, other = sorted(map(find, pair))
        root[other] = one
    return [find(row) for row in range(n)]
