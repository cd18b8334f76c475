"""Write an atlas: simulated fields in the competition's layout, and their truth.

train.csv                Id,Target
train/<id>_<colour>.png  four grey pictures a field
truth.parquet            one row per field: simulated locations (`drawn`), labels, specimen, cell line, scale
cells.parquet            one row per cell: centre, box, state, strength of each location
truth/<id>.npz           nuclei, cells, and one bit mask per simulated location
atlas.json               size, seed, number of fields, whether it is finished
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.io.write import write_planes
from lociscope.labels import N_LABELS, format_target
from lociscope.simulate.field import VERSION, SimulatedField, check_field, field_id, simulate_fields
from lociscope.simulate.specimen import REFERENCE_SIZE, sample_specimen
from lociscope.storage.atomic import atomic_write
from lociscope.storage.schema import check_schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA = 1
Progress = Callable[[int, int], None]
"""Called with the number of fields done and the number of all."""


def write_atlas(
    folder: Path | str,
    *,
    fields: int,
    size: int = REFERENCE_SIZE,
    seed: int = 0,
    locations: Sequence[int] | None = None,
    cell_line: str | None = None,
    label_noise: float = 0.0,
    balance: float = 0.0,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write fields 0 to `fields` − 1; an interrupted atlas is resumed, and a finished one is left unchanged.

    Args:
        folder: Where to; made if it does not exist.
        fields: How many, 1 or more. An atlas of the same size and seed may be enlarged.
        size: Side of a field in pixels.
        seed: Seed of the atlas.
        locations: As in `simulate_field`, for every field.
        cell_line: As in `simulate_field`, for every field.
        label_noise: As in `simulate_field`.
        balance: As in `simulate_field`.
        workers: Processes that simulate.
        progress: Called after each field.

    Returns:
        The folder.

    Raises:
        UsageError: No fields are asked for.
        LociscopeError: The folder holds another atlas or other files, or cannot be written.
    """
    if fields < 1:
        raise UsageError(f"An atlas needs at least one field, received {fields}.", code=Code.INVALID_VALUE)
    check_field(0, seed, size, None, label_noise, balance, locations or ())
    sample_specimen(
        np.random.default_rng(0), locations, cell_line
    )  # refuse an unknown location or line before a file is written
    root = Path(folder)
    recipe: dict[str, Any] = {
        "schema": SCHEMA, "version": VERSION, "size": size, "seed": seed,
        "places": None if locations is None else sorted(set(locations)),
        "cell_line": cell_line, "label_noise": label_noise, "balance": balance,
    }  # fmt: skip
    return _write(root, recipe, fields, workers, progress)


def _write(root: Path, recipe: dict[str, Any], fields: int, workers: int | None, progress: Progress | None) -> Path:
    finished = _open_atlas(root, recipe)
    if finished >= fields:
        if progress:
            progress(fields, fields)
        return root
    if not (root / "atlas.json").exists():
        _replace(root / "atlas.json", _to_json(recipe | {"fields": 0}))
    seed = recipe["seed"]
    missing = [i for i in range(fields) if not (root / "truth" / f"{field_id(seed, i)}.npz").exists()]
    done = fields - len(missing)
    options = {key: recipe[key] for key in ("size", "seed", "cell_line", "label_noise", "balance")}
    for field in simulate_fields(missing, locations=recipe["places"], workers=workers, **options):
        _write_field(root, field)
        done += 1
        if progress:
            progress(done, fields)
    _write_tables(root, [field_id(seed, i) for i in range(fields)])
    _replace(root / "atlas.json", _to_json(recipe | {"fields": fields}))
    return root


def _open_atlas(root: Path, recipe: dict[str, Any]) -> int:
    """Return the number of fields of a finished atlas of this recipe; 0 where there is none yet.

    Raises:
        LociscopeError: Something else is there.
    """
    if root.exists() and not root.is_dir():
        raise LociscopeError(
            f"'{root}' is a file, not a folder. Choose another folder for the atlas.", code=Code.WRONG_FILE
        )
    if not root.is_dir() or not any(path.suffix != ".part" for path in root.iterdir()):
        return 0
    try:
        found = json.loads((root / "atlas.json").read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("not an object")
    except FileNotFoundError:
        raise LociscopeError(
            f"'{root}' holds other files and no atlas.json. Choose an empty folder for the atlas.", code=Code.CONFLICT
        ) from None
    except ValueError:
        raise LociscopeError(
            f"'{root / 'atlas.json'}' is not a JSON object. Choose another folder for the atlas.", code=Code.CORRUPT
        ) from None
    check_schema(found.get("schema"), SCHEMA, f"The atlas in '{root}'")
    found.setdefault("balance", 0.0)  # an atlas of before there was any
    other = {key: found.get(key) for key in recipe if found.get(key) != recipe[key]}
    if other:
        given = ", ".join(f"{key} {value}" for key, value in other.items())
        wanted = ", ".join(f"{key} {recipe[key]}" for key in other)
        raise LociscopeError(
            f"'{root}' holds another atlas ({given}), not {wanted}. Choose another folder.", code=Code.CONFLICT
        )
    return int(found["fields"])


def _write_field(root: Path, field: SimulatedField) -> None:
    """Write the four images, then the truth: a field with its truth is complete."""
    write_planes(root / "train", field.id, field.pixels)
    _replace(root / "truth" / f"{field.id}.npz", _pack_truth(field))


def _pack_truth(field: SimulatedField) -> bytes:
    """Return masks, and the rows of the field and of its cells, as bytes; the tables are made from them."""
    row = {
        "id": field.id, "specimen": field.specimen, "cell_line": field.cell_line, "drawn": list(field.simulated),
        "target": list(field.target), "pixel_size": field.pixel_size, "seed": field.seed,
        "size": len(field.pixels),
    }  # fmt: skip
    cells = [
        {
            "id": field.id, "cell": cell.cell, "y": cell.y, "x": cell.x, "top": cell.box[0], "left": cell.box[1],
            "bottom": cell.box[2], "right": cell.box[3], "state": cell.state,
            "places": [location for location, strength in cell.strengths.items() if strength > 0],
            "strengths": [strength for strength in cell.strengths.values() if strength > 0],
        }
        for cell in field.table
    ]  # fmt: skip
    masks = {f"place_{location:02d}": np.packbits(mask) for location, mask in field.locations.items()}
    memory = io.BytesIO()
    np.savez_compressed(
        memory, schema=SCHEMA, nuclei=field.nuclei, cells=field.cells, shape=np.array(field.cells.shape),
        row=np.array(json.dumps(row)), table=np.array(json.dumps(cells)), allow_pickle=False, **masks,
    )  # fmt: skip
    return memory.getvalue()


def read_truth(path: Path | str) -> dict[str, NDArray[Any]]:
    """Read the masks of one field.

    Args:
        path: `truth/<id>.npz` of an atlas.

    Returns:
        `nuclei` and `cells` (size, size) uint16, and `places` (28, size, size) bool, empty where not simulated.
    """
    with np.load(path) as saved:
        height, width = saved["shape"]
        locations = np.zeros((N_LABELS, height, width), bool)
        for name in saved.files:
            if name.startswith("place_"):
                bits = np.unpackbits(saved[name], count=height * width)
                locations[int(name.removeprefix("place_"))] = bits.reshape(height, width)
        return {"nuclei": saved["nuclei"], "cells": saved["cells"], "places": locations}


def _write_tables(root: Path, ids: list[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, cells = [], []
    for name in ids:
        with np.load(root / "truth" / f"{name}.npz") as saved:
            rows.append(json.loads(str(saved["row"])))
            cells += json.loads(str(saved["table"]))
    locations = pa.list_(pa.int8())
    whole = [(name, pa.int32()) for name in ("top", "left", "bottom", "right")]
    schemas = {
        "truth.parquet": pa.schema(
            [("id", pa.string()), ("specimen", pa.string()), ("cell_line", pa.string()), ("drawn", locations),
             ("target", locations), ("pixel_size", pa.float64()), ("seed", pa.int64()), ("size", pa.int32())]
        ),
        "cells.parquet": pa.schema(
            [("id", pa.string()), ("cell", pa.int32()), ("y", pa.float64()), ("x", pa.float64()), *whole,
             ("state", pa.string()), ("places", locations), ("strengths", pa.list_(pa.float32()))]
        ),
    }  # fmt: skip
    for (name, schema), table in zip(schemas.items(), (rows, cells), strict=True):
        memory = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(table, schema.with_metadata({"schema": str(SCHEMA)})), memory)
        _replace(root / name, memory.getvalue())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("Id", "Target"))
    writer.writerows((row["id"], format_target(row["target"])) for row in rows)
    _replace(root / "train.csv", text.getvalue().encode())


def _to_json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def _replace(path: Path, content: bytes) -> None:
    with atomic_write(path) as part:
        part.write_bytes(content)
