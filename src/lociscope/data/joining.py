"""Join several Catalogs into one."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.artifacts.catalog import Catalog
from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

SHOWN = 5
"""Ids that an error lists."""


def join_catalogs(catalogs: Sequence[Catalog], names: Sequence[str | Path], folder: Path) -> Catalog:
    """Concatenate Catalogs.

    Args:
        catalogs: At least one.
        names: Their names in error messages, such as their files.
        folder: The folder of the result; relative paths are rewritten for it.

    Returns:
        All rows in order, with every column that one of them has; it is null where a Catalog lacks it.

    Raises:
        LociscopeError: An id is in two of them, or a column has different types.
    """
    import pyarrow as pa

    check_disjoint(zip(names, (catalog.ids for catalog in catalogs), strict=True))
    try:
        table = pa.concat_tables([_rebase(catalog, folder) for catalog in catalogs], promote_options="permissive")
    except pa.ArrowException as error:
        raise LociscopeError(
            f"The Catalogs cannot be joined: a column has different types in two of them ({error}). Rename it.",
            code=Code.INVALID_VALUE,
        ) from error
    return Catalog(table, folder)


def check_disjoint(parts: Iterable[tuple[str | Path, Iterable[str]]]) -> None:
    """Refuse ids that occur twice.

    Args:
        parts: For each Catalog its name in error messages, and its ids.

    Raises:
        LociscopeError: An id does; the first are listed.
    """
    origins = defaultdict(list)
    for name, ids in parts:
        for each in ids:
            origins[each].append(name)
    doubled = {each: found for each, found in origins.items() if len(found) > 1}
    if doubled:
        listed = ", ".join(f"'{each}' ('{found[0]}' and '{found[1]}')" for each, found in list(doubled.items())[:SHOWN])
        more = f" and {len(doubled) - SHOWN} more" if len(doubled) > SHOWN else ""
        raise LociscopeError(
            f"{len(doubled)} {'id comes' if len(doubled) == 1 else 'ids come'} from two sources: {listed}{more}. "
            "Rename them, or leave one of the two out.",
            code=Code.DUPLICATE,
        )


def _rebase(catalog: Catalog, folder: Path) -> pa.Table:
    """Return a Catalog's table with its paths relative to another folder."""
    import pyarrow as pa

    if catalog.folder.resolve() == folder.resolve():
        return catalog.table
    table = catalog.table
    for name in CHANNEL_NAMES:
        paths = [
            None if path is None else _rewrite_path(folder, catalog.folder, path) for path in table[name].to_pylist()
        ]
        table = table.set_column(table.column_names.index(name), name, pa.array(paths, table[name].type))
    return table


def _rewrite_path(folder: Path, before: Path, path: str) -> str:
    return path if Path(path).is_absolute() else os.path.relpath(before / path, folder or ".")
