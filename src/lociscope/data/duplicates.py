"""The same picture twice in a Catalog, or in two: named as a cluster, or known by what another Catalog says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lociscope.artifacts.catalog import Catalog
from lociscope.data.similarity import Pair, alike
from lociscope.data.splits.folds import connected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.data.scan import Glances

COLUMN = "duplicates"
"""A further column of a Catalog: the least id of the fields that show the same cells, or null."""

KNOWN = ("antibody", "gene", "cell_line", "specimen", "plate", "well", "site")
"""What a field takes over from the one that it is the same as, where it says nothing itself."""


def mark_duplicates(catalog: Catalog, seen: Glances) -> Catalog:
    """Finds the fields that show the same cells.

    Args:
        catalog: The fields.
        seen: What was seen of them.

    Returns:
        The Catalog with the column `duplicates` written anew.
    """
    ids = catalog.ids
    pairs = [Pair(int(seen.rows[one]), int(seen.rows[other]), how) for one, other, how in alike(seen.thumbnails)]
    return _with(catalog, COLUMN, clusters(ids, pairs))


def clusters(ids: Sequence[str], pairs: Sequence[Pair]) -> list[str | None]:
    """Names the clusters that pairs make.

    Args:
        ids: Names of all fields.
        pairs: Which are alike, by number.

    Returns:
        For each field the least id of its cluster, or None where it is like no other.
    """
    groups = connected(len(ids), [(pair.one, pair.other) for pair in pairs])
    members: dict[int, list[str]] = {}
    for name, group in zip(ids, groups, strict=True):
        members.setdefault(group, []).append(name)
    return [min(members[group]) if len(members[group]) > 1 else None for group in groups]


def match(catalog: Catalog, seen: Glances, known: Catalog, seen_known: Glances) -> tuple[Catalog, int]:
    """Fills in what another Catalog says of the same pictures.

    Args:
        catalog: Fields of which little is known: the competition's.
        seen: What was seen of them.
        known: Fields of which more is known: the Human Protein Atlas'.
        seen_known: What was seen of those.

    Returns:
        The Catalog with the columns `KNOWN` filled where they held nothing, and how many fields were found.
    """
    best: dict[int, Pair] = {}
    for pair in alike(seen_known.thumbnails, seen.thumbnails):
        if pair.other not in best or pair.likeness > best[pair.other].likeness:
            best[pair.other] = pair
    found = {int(seen.rows[row]): int(seen_known.rows[pair.one]) for row, pair in best.items()}
    for column in KNOWN:
        values, said = catalog.table[column].to_pylist(), known.table[column].to_pylist()
        for row, other in found.items():
            values[row] = said[other] if values[row] is None else values[row]
        catalog = catalog.with_column(column, values)
    return catalog, len(found)


def _with(catalog: Catalog, column: str, values: list[Any]) -> Catalog:
    """The Catalog with a column of text that `Entry` does not have."""
    import pyarrow as pa

    table, array = catalog.table, pa.array(values, pa.string())
    if column in table.column_names:
        table = table.drop_columns([column])
    return Catalog(table.append_column(column, array), catalog.folder)
