"""Import image files as a Catalog."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from lociscope.artifacts.catalog import Catalog, Entry, read_labels
from lociscope.data.challenge_2021 import is_of_2021, read_labels_2021
from lociscope.data.joining import check_disjoint
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.naming import DEFAULT_RULES, Rules
from lociscope.images.discovery.sources import Failure, FieldSource, find_fields
from lociscope.images.io.read import assign_loose_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lociscope.images.io.container import PlaneRef

_WITHIN_A_PLATE = ("images", "timepoint_1")
"""Folders in which Harmony and MetaXpress put the files of a plate, within a folder named after the plate."""

Labels: TypeAlias = "Mapping[str, tuple[int, ...] | None]"


def import_kaggle(source: Path, folder: Path) -> tuple[Catalog, list[Failure]]:
    """Import the files of the competition of 2018, or of the challenge of 2021, as a Catalog.

    Args:
        source: Folder with `train.csv` and `train/` or `train.zip`, which is read in place.
        folder: The folder of the Catalog; its paths are relative to it.

    Returns:
        The labelled fields, and those of `train.csv` without files, or with some missing. Fields of 2021 with a
        label that is wider than the 28 classes have no target.

    Raises:
        LociscopeError: `train.csv` does not exist, a label in it is wrong, or no field has files.
    """
    table = source / "train.csv"
    if not table.is_file():
        raise LociscopeError(
            f"'{source}' has no train.csv. Pass the folder with the competition's train.csv and train/, or use "
            "`lociscope import folder` for other files.",
            code=Code.NOT_FOUND,
        )
    pictures = source / "train"
    if not pictures.is_dir() and (source / "train.zip").is_file():
        pictures = source / "train.zip"
    of_2021 = is_of_2021(table)
    labels = read_labels_2021(table) if of_2021 else read_labels(table)
    catalog, failures = _import_labelled(pictures, labels, folder)
    known = "HPA Single Cell Classification, Kaggle 2021" if of_2021 else "HPA Image Classification, Kaggle 2018"
    return Catalog.from_entries(_add_source(catalog, source, known), folder), failures


def _add_source(catalog: Catalog, source: Path, known_as: str) -> Iterable[Entry]:
    """Add the columns of a simulated atlas, or the source of the competition's fields."""
    truth = source / "truth.parquet"
    if not truth.is_file():
        return (replace(entry, source=known_as) for entry in catalog)
    import pyarrow.parquet as pq

    columns = ["id", "specimen", "cell_line", "pixel_size"]
    known = {row.pop("id"): row for row in pq.read_table(truth, columns=columns).to_pylist()}
    return (replace(entry, source="lociscope simulate", **known.get(entry.id, {})) for entry in catalog)


def import_folder(
    source: Path | Sequence[Path], labels: Path | None, folder: Path, rules: Rules = DEFAULT_RULES
) -> tuple[Catalog, list[Failure]]:
    """Import folders, archives or files as a Catalog.

    Args:
        source: Folders, archives or files, as for `find_fields`; several are searched one by one.
        labels: A CSV `Id,Target`, or None.
        folder: The folder of the Catalog; its paths are relative to it.
        rules: Rules for parsing file names, and which channels are optional.

    Returns:
        The fields, and those that are damaged, or that have labels but no files. Plate, well and site come from a
        pattern or from the Atlas' names.

    Raises:
        LociscopeError: A folder has no field, a label is wrong, or an id comes from two sources.
    """
    if labels is not None:
        return _import_labelled(source, read_labels(labels), folder, rules)
    found, failures = _find(source, rules)
    entries = _make_entries(found, {}, folder, failures)
    if not entries:
        raise LociscopeError(failures[0].reason, code=Code(failures[0].code))
    return Catalog.from_entries(entries, folder), failures


def _find(source: Path | Sequence[Path], rules: Rules) -> tuple[list[FieldSource], list[Failure]]:
    """Find the fields of each source; an id may come from one of them only."""
    sources = [source] if isinstance(source, Path) else list(source)
    parts = [find_fields([each], rules) for each in sources]
    check_disjoint(
        (each, [*(field.id for field in found), *(failure.id for failure in failures)])
        for each, (found, failures) in zip(sources, parts, strict=True)
    )
    return sorted(chain(*(found for found, _ in parts)), key=lambda field: field.id), list(
        chain(*(failures for _, failures in parts))
    )


def import_plate(
    source: Path, labels: Path | None, folder: Path, rules: Rules = DEFAULT_RULES
) -> tuple[Catalog, list[Failure]]:
    """Import a plate as a Catalog: as `import_folder`, but every field must have a well.

    Fields whose names have no plate get the folder's name as plate.

    Raises:
        LociscopeError: The folder has no field, a label is wrong, or a name has no well.
    """
    catalog, failures = import_folder(source, labels, folder, rules)
    here = source.resolve()
    plate = (here.parent if here.name.casefold() in _WITHIN_A_PLATE else here).stem
    rows = [replace(entry, plate=entry.plate or plate) for entry in catalog]
    without = next((entry.id for entry in rows if entry.well is None), None)
    if without is not None:
        raise LociscopeError(
            f"The name '{without}' has no well. Pass the form of the names as "
            "`pattern='{plate}_{well}_{site}_{channel}'` or `preset`, or use `lociscope import folder`.",
            code=Code.INVALID_VALUE,
        )
    return Catalog.from_entries(rows, folder), failures


def import_hpa(
    source: Path | Sequence[Path], labels: Path | None, folder: Path, rules: Rules = DEFAULT_RULES
) -> tuple[Catalog, list[Failure]]:
    """Import files of the Human Protein Atlas as a Catalog.

    Args:
        source: Folders of its images, `<antibody>_<plate>_<well>_<site>_<colour>.jpg`, or with the names of its site.
        labels: A CSV `Id,Target` of its fields, or None.
        folder: The folder of the Catalog.
        rules: Channels that are optional.

    Returns:
        The fields, with plate, well, site and antibody where their names contain them, and those that are damaged.

    Raises:
        LociscopeError: The folder has no field, or a label is wrong.
    """
    catalog, failures = import_folder(source, labels, folder, rules)
    # The licence differs between releases, and no name contains the release: that column stays empty.
    return Catalog.from_entries(
        (replace(entry, source="Human Protein Atlas, proteinatlas.org") for entry in catalog), folder
    ), failures


def _import_labelled(
    pictures: Path | Sequence[Path], labels: Labels, folder: Path, rules: Rules = DEFAULT_RULES
) -> tuple[Catalog, list[Failure]]:
    found, failures = _find(pictures, rules)
    if not found:
        raise LociscopeError(failures[0].reason, code=Code(failures[0].code))
    where = str(pictures) if isinstance(pictures, Path) else "', '".join(map(str, pictures))
    here = {field.id for field in found} | {failure.id for failure in failures}
    failures += [
        Failure(name, where, f"The id '{name}' has labels but no files in '{where}'. Copy them there.", Code.NOT_FOUND)
        for name in labels
        if name not in here
    ]
    entries = _make_entries([field for field in found if field.id in labels], labels, folder, failures)
    if not entries:
        raise LociscopeError(
            f"None of the {len(labels)} labelled ids has files in '{where}' (found '{found[0].id}' "
            "and the like). Pass the folder that belongs to the labels.",
            code=Code.NOTHING_FOUND,
        )
    return Catalog.from_entries(entries, folder), failures


def _make_entries(found: Iterable[FieldSource], labels: Labels, folder: Path, failures: list[Failure]) -> list[Entry]:
    """Return rows of the fields; those whose metadata do not assign the channels become failures."""
    entries = []
    for field in found:
        try:
            entries.append(_make_entry(assign_loose_files(field), folder, labels.get(field.id)))
        except LociscopeError as error:
            failures.append(Failure(field.id, field.first_path, str(error), error.code))
    return entries


def _make_entry(field: FieldSource, folder: Path, target: tuple[int, ...] | None) -> Entry:
    red, green, blue, yellow = (None if plane is None else _relative(plane, folder) for plane in field.planes)
    entry = Entry(field.id, target, red, green, blue, yellow, plane=field.plane, pixel_size=field.pixel_size)
    return replace(entry, **field.origin)  # type: ignore[arg-type] # columns of text


def _relative(ref: PlaneRef, folder: Path) -> str:
    return os.path.relpath(str(ref), folder or ".")
