"""Find fields that show the same cells, in one Catalog or in two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lociscope.artifacts.catalog import Catalog
from lociscope.data.similarity import Pair, find_similar_pairs
from lociscope.splits.groups import connected_components

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.data.scan import ScanResult

DUPLICATES = "duplicates"
"""A column of a Catalog: the least id of the fields that show the same cells, or null."""

COPIED_COLUMNS = ("antibody", "gene", "cell_line", "specimen", "plate", "well", "site")
"""Columns that are copied from a field of the same cells where they have no value."""


def mark_duplicates(catalog: Catalog, scan: ScanResult) -> Catalog:
    """Find the fields that show the same cells.

    Args:
        catalog: The fields.
        scan: The scan of these fields.

    Returns:
        The Catalog with the column `duplicates` replaced.
    """
    ids = catalog.ids
    pairs = [
        Pair(int(scan.rows[one]), int(scan.rows[other]), how) for one, other, how in find_similar_pairs(scan.thumbnails)
    ]
    return _set_column(catalog, DUPLICATES, name_clusters(ids, pairs))


def name_clusters(ids: Sequence[str], pairs: Sequence[Pair]) -> list[str | None]:
    """Return the name of each field's cluster.

    Args:
        ids: Ids of all fields.
        pairs: Fields that show the same cells, by number.

    Returns:
        For each field the least id of its cluster, or None where it is alone.
    """
    groups = connected_components(len(ids), [(pair.one, pair.other) for pair in pairs])
    members: dict[int, list[str]] = {}
    for name, group in zip(ids, groups, strict=True):
        members.setdefault(group, []).append(name)
    return [min(members[group]) if len(members[group]) > 1 else None for group in groups]


def copy_columns(
    catalog: Catalog, scan: ScanResult, reference: Catalog, reference_scan: ScanResult
) -> tuple[Catalog, int]:
    """Copy columns from the fields of another Catalog that show the same cells.

    Args:
        catalog: Fields with few columns filled in, such as the competition's.
        scan: The scan of these fields.
        reference: Fields with more columns filled in, such as the Human Protein Atlas'.
        reference_scan: The scan of those fields.

    Returns:
        The Catalog with the columns `COPIED_COLUMNS` filled where they had no value, and the number of fields found.
    """
    best: dict[int, Pair] = {}
    for pair in find_similar_pairs(reference_scan.thumbnails, scan.thumbnails):
        if pair.other not in best or pair.similarity > best[pair.other].similarity:
            best[pair.other] = pair
    found = {int(scan.rows[row]): int(reference_scan.rows[pair.one]) for row, pair in best.items()}
    for column in COPIED_COLUMNS:
        values, copied = catalog.table[column].to_pylist(), reference.table[column].to_pylist()
        for row, other in found.items():
            values[row] = copied[other] if values[row] is None else values[row]
        catalog = catalog.with_column(column, values)
    return catalog, len(found)


def _set_column(catalog: Catalog, column: str, values: list[Any]) -> Catalog:
    """Return the Catalog with a text column that `Entry` does not have."""
    import pyarrow as pa

    table, array = catalog.table, pa.array(values, pa.string())
    if column in table.column_names:
        table = table.drop_columns([column])
    return Catalog(table.append_column(column, array), catalog.folder)
