"""Write the metadata of an OME-Zarr plate, https://ngff.openmicroscopy.org/0.5/#plate-md, while its fields arrive."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_WELL = re.compile(r"([A-Za-z]+)(\d+)")
_METADATA = "zarr.json"


def find_well_path(well: str) -> str:
    """Return the path of a well in a plate: `A/1` for `A1`.

    Raises:
        ValueError: The name is not letters followed by digits.
    """
    row, column = _split(well)
    return f"{row}/{column}"


def write_well(root: Path, well: str, images: Mapping[str, int]) -> None:
    """Write the metadata of a well, and of its row.

    Args:
        root: The plate, by convention `<name>.ome.zarr`.
        well: The well.
        images: The path of each image in the well, letters and digits only, with the number of its acquisition.

    Raises:
        LociscopeError: A file cannot be written.
    """
    folder = root / find_well_path(well)
    if not (folder.parent / _METADATA).exists():
        _write_group(folder.parent, {})
    fields = [{"path": path, "acquisition": acquisition} for path, acquisition in images.items()]
    _write_group(folder, {"ome": {"version": "0.5", "well": {"images": fields}}})


def write_plate(root: Path, name: str, grid: Sequence[str], wells: Sequence[str], acquisitions: Sequence[str]) -> None:
    """Write the metadata of a plate.

    Args:
        root: The plate, by convention `<name>.ome.zarr`.
        name: Its name.
        grid: The wells whose rows and columns viewers lay out.
        wells: The wells that have images, some of `grid`.
        acquisitions: Name of each acquisition; its position is its number.

    Raises:
        LociscopeError: The file cannot be written.
    """
    split = [_split(well) for well in grid]
    rows = sorted({row for row, _ in split}, key=lambda row: (len(row), row))
    columns = sorted({column for _, column in split}, key=int)
    listed = []
    for row, column in map(_split, wells):
        listed.append({"path": f"{row}/{column}", "rowIndex": rows.index(row), "columnIndex": columns.index(column)})
    plate = {
        "name": name,
        "rows": [{"name": row} for row in rows],
        "columns": [{"name": column} for column in columns],
        "wells": listed,
        "acquisitions": [{"id": number, "name": each} for number, each in enumerate(acquisitions)],
    }
    _write_group(root, {"ome": {"version": "0.5", "plate": plate}})


def _split(well: str) -> tuple[str, str]:
    match = _WELL.fullmatch(well)
    if match is None:
        raise ValueError(f"{well!r} is not the name of a well")
    return match[1], match[2]


def _write_group(folder: Path, attributes: dict[str, Any]) -> None:
    about = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    with atomic_write(folder / _METADATA) as part:
        part.write_text(json.dumps(about, ensure_ascii=False), "utf-8")
