"""Files become a Catalog."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from lociscope.catalog import Catalog, Entry, read_labels
from lociscope.errors import LociscopeError
from lociscope.images.sources import Failure, FieldSource, find_fields

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def import_kaggle(source: "Path", folder: "Path") -> tuple[Catalog, list[Failure]]:
    """Makes a Catalog of the competition's files.

    Args:
        source: Folder with `train.csv` and `train/`.
        folder: Where the Catalog will lie; its paths are relative to it.

    Returns:
        The labelled fields, and those of `train.csv` that have no, or not all, files.

    Raises:
        LociscopeError: There is no `train.csv`, a label in it is wrong, or no field has its files.
    """
    table = source / "train.csv"
    if not table.is_file():
        raise LociscopeError(
            f"'{source}' has no train.csv. Name the folder with the competition's train.csv and train/, or use "
            "`lociscope import folder` for other files."
        )
    catalog, failures = _labelled(source / "train", read_labels(table), folder)
    return Catalog.of(_described(catalog, source), folder), failures


def _described(catalog: Catalog, source: "Path") -> "Iterable[Entry]":
    """Adds what a simulated atlas says of its fields, or where the competition's come from."""
    truth = source / "truth.parquet"
    if not truth.is_file():
        return (replace(entry, source="HPA Image Classification, Kaggle 2018") for entry in catalog)
    import pyarrow.parquet as pq

    columns = ["id", "specimen", "cell_line", "pixel_size"]
    known = {row.pop("id"): row for row in pq.read_table(truth, columns=columns).to_pylist()}
    return (replace(entry, source="lociscope simulate", **known.get(entry.id, {})) for entry in catalog)


def import_folder(source: "Path", labels: "Path | None", folder: "Path") -> tuple[Catalog, list[Failure]]:
    """Makes a Catalog of a folder of plane files.

    Args:
        source: Folder of `<id>_{red,green,blue,yellow}.png`.
        labels: A CSV `Id,Target`, or None.
        folder: Where the Catalog will lie; its paths are relative to it.

    Returns:
        The fields, and those that are broken or that the labels name without there being files.

    Raises:
        LociscopeError: The folder holds no field, or a label is wrong.
    """
    if labels is not None:
        return _labelled(source, read_labels(labels), folder)
    found, failures = find_fields([source])
    return Catalog.of([_entry(field, folder, None) for field in found], folder), failures


def _labelled(pictures: "Path", labels: dict[str, tuple[int, ...]], folder: "Path") -> tuple[Catalog, list[Failure]]:
    found, failures = find_fields([pictures])
    here = {field.id for field in found} | {failure.id for failure in failures}
    failures += [
        Failure(name, str(pictures), f"The id '{name}' has labels but no files in '{pictures}'. Copy them there.")
        for name in labels
        if name not in here
    ]
    entries = [_entry(field, folder, labels[field.id]) for field in found if field.id in labels]
    if not entries:
        raise LociscopeError(
            f"None of the {len(labels)} labelled ids has files in '{pictures}' (found '{found[0].id if found else ''}' "
            "and the like). Name the folder that belongs to the labels."
        )
    return Catalog.of(entries, folder), failures


def _entry(field: FieldSource, folder: "Path", target: tuple[int, ...] | None) -> Entry:
    red, green, blue, yellow = (
        None if plane is None else os.path.relpath(plane, folder or ".") for plane in field.planes
    )
    return Entry(field.id, target, red, green, blue, yellow)
