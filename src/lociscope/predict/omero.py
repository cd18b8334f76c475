"""Write predictions for `omero metadata populate`, which makes an OMERO.table of a CSV."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any

from lociscope.labels import LABELS
from lociscope.predict.summaries import find_keys, summarize
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lociscope.artifacts.catalog import Catalog
    from lociscope.artifacts.predictions import Predictions

LOCATION_COLUMNS: tuple[str, ...] = tuple(re.sub(r"\W+", "_", name) for name in LABELS)
"""Names of the columns of probabilities; OMERO can only query columns whose name has no space."""


def write_omero_images(predictions: Predictions, path: Path, *, suffix: str = "") -> None:
    """Write one row for each image of a Dataset.

    Args:
        predictions: The fields.
        path: The CSV.
        suffix: What the images' names in OMERO have after the fields' names, such as `.ome.tif`.

    Raises:
        LociscopeError: The file cannot be written.
    """
    rows = [
        [
            name + suffix,
            "; ".join(LABELS[number] for number in predictions.predicted[row]),
            predictions.status[row],
            "; ".join(map(str, predictions.warnings[row])),
            *_format(predictions.probability[row]),
        ]
        for row, name in enumerate(predictions.ids)
    ]
    columns = [("Image Name", "s"), ("locations", "s"), ("status", "s"), ("warnings", "s")]
    _write(path, [*columns, *((name, "d") for name in LOCATION_COLUMNS)], rows)


def write_omero_wells(predictions: Predictions, path: Path, catalog: Catalog | None = None) -> None:
    """Write one row for each well of a Screen, or of a Plate where no plate is known.

    Args:
        predictions: The fields.
        path: The CSV.
        catalog: Gives plate and well; see `lociscope.predict.summaries.find_keys`.

    Raises:
        LociscopeError: No well is known, or the file cannot be written.
    """
    names, keys = find_keys(predictions, "well", catalog)
    groups = [row for row in summarize(predictions, names, keys) if row["well"]]
    plates = any(row["plate"] for row in groups)
    rows = [
        [
            row["well"],
            *([row["plate"]] if plates else []),
            row["fields"],
            row["excluded"],
            row["locations"],
            *_format(row[f"p{number:02d}"] for number in range(len(LABELS))),
        ]
        for row in groups
    ]
    columns = [("Well", "well"), *([("Plate", "plate")] if plates else [])]
    columns += [("fields", "l"), ("excluded", "l"), ("locations", "s")]
    _write(path, [*columns, *((name, "d") for name in LOCATION_COLUMNS)], rows)


def _format(values: Iterable[float | None]) -> list[str]:
    return ["nan" if value is None else f"{value:.6f}" for value in values]


def _write(path: Path, columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[Any]]) -> None:
    """Write the types of the columns as `# header`, their names, and the rows."""
    with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        file.write("# header " + ",".join(kind for _, kind in columns) + "\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([name for name, _ in columns])
        writer.writerows(rows)
