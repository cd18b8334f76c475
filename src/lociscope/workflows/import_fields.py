"""Import image files: find the fields in folders and archives, and write them with their labels as a Catalog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lociscope.artifacts.catalog import Catalog
from lociscope.data.duplicates import copy_columns
from lociscope.data.importing import import_folder, import_hpa, import_kaggle, import_plate
from lociscope.data.joining import join_catalogs
from lociscope.data.scan import scan_catalog
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.discovery.naming import DEFAULT_RULES, Rules
from lociscope.images.discovery.sources import Failure, write_failures
from lociscope.processes.progress import ProgressCallback, ignore_progress
from lociscope.storage.paths import as_path, as_paths
from lociscope.storage.table_files import check_suffix

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lociscope.storage.paths import AnyPath

    Imported = tuple[Catalog, list[Failure]]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """A written Catalog.

    Attributes:
        output: Its file.
        catalog: Its fields.
        failures: The fields that cannot be read, or that have labels but no files.
        failures_file: Their list.
        matched: Number of fields that show the same cells as one of the reference; None without a reference.
        reference: Number of fields of the reference.
    """

    output: Path
    catalog: Catalog
    failures: tuple[Failure, ...]
    failures_file: Path
    matched: int | None = None
    reference: int = 0


def import_competition(
    sources: AnyPath | Sequence[AnyPath],
    output: AnyPath,
    *,
    match: AnyPath | None = None,
    workers: int = 1,
    progress: ProgressCallback = ignore_progress,
) -> ImportReport:
    """Import the files of the competition of 2018 or of the challenge of 2021.

    Args:
        sources: Folders with `train.csv` and `train/` or `train.zip`.
        output: The Catalog to write, `.parquet`.
        match: A Catalog of the Human Protein Atlas' fields: a field that shows the same cells as one of them gets its
            antibody, gene, cell line, specimen, plate, well and site.
        workers: Processes that read images for `match`.
        progress: Called while images are read for `match`.

    Raises:
        LociscopeError: A source lacks `train.csv` or has no field, a label is wrong, an id comes from two sources,
            `match` has no antibodies, or the Catalog cannot be written.
        UsageError: `output` does not end in `.parquet`, or is another file.
    """
    output = as_path(output)
    match = as_path(match)
    sources = as_paths(sources)
    _check_output(output)
    catalog, failures = _import_each(sources, output, lambda source: import_kaggle(source, output.parent))
    if match is None:
        return _write(catalog, failures, output)
    reference = Catalog.read(match)
    if reference.table["antibody"].null_count == len(reference):
        raise LociscopeError(
            f"Catalog '{match}' names no antibody. Make it from the Atlas' files: `lociscope import hpa`.",
            code=Code.CONFLICT,
        )
    first, total = len(catalog), len(catalog) + len(reference)
    scan = scan_catalog(catalog, workers=workers, progress=lambda done, _: progress(done, total))
    other = scan_catalog(reference, workers=workers, progress=lambda done, _: progress(first + done, total))
    filled, matched = copy_columns(catalog, scan, reference, other)
    return _write(filled, [*failures, *scan.failures, *other.failures], output, matched, len(reference))


def import_atlas(
    sources: AnyPath | Sequence[AnyPath], output: AnyPath, labels: AnyPath | None = None, rules: Rules = DEFAULT_RULES
) -> ImportReport:
    """Import images of the Human Protein Atlas; antibody, plate, well and site come from the files' names.

    Args:
        sources: Folders or archives of the Atlas' images.
        output: The Catalog to write, `.parquet`.
        labels: A CSV `Id,Target`, or None.
        rules: Channels that may be missing.

    Raises:
        LociscopeError: A source has no field, a label is wrong, or the Catalog cannot be written.
        UsageError: `output` does not end in `.parquet`, or is another file.
    """
    output = as_path(output)
    labels = as_path(labels)
    sources = as_paths(sources)
    _check_output(output)
    return _write(*import_hpa(sources, labels, output.parent, rules), output)


def import_plates(
    sources: AnyPath | Sequence[AnyPath], output: AnyPath, labels: AnyPath | None = None, rules: Rules = DEFAULT_RULES
) -> ImportReport:
    """Import plates; well and site come from the files' names.

    Args:
        sources: Folders, one for each plate.
        output: The Catalog to write, `.parquet`.
        labels: A CSV `Id,Target` of a single plate, or None.
        rules: Rules for parsing file names, and which channels are optional.

    Raises:
        LociscopeError: A source has no field, a name has no well, a label is wrong, or the Catalog cannot be written.
        UsageError: `output` does not end in `.parquet` or is another file, or labels are given for several plates.
    """
    output = as_path(output)
    labels = as_path(labels)
    sources = as_paths(sources)
    _check_output(output)
    if labels is not None and len(sources) > 1:
        raise UsageError(
            "`labels` belongs to one plate. Import each with its labels, and join them with `split`.",
            code=Code.INVALID_VALUE,
        )
    found = _import_each(sources, output, lambda source: import_plate(source, labels, output.parent, rules))
    return _write(*found, output)


def import_folders(
    sources: AnyPath | Sequence[AnyPath], output: AnyPath, labels: AnyPath | None = None, rules: Rules = DEFAULT_RULES
) -> ImportReport:
    """Import folders of fields, in any format that can be read.

    Args:
        sources: Folders or archives.
        output: The Catalog to write, `.parquet`.
        labels: A CSV `Id,Target`, or None.
        rules: Rules for parsing file names, and which channels are optional.

    Raises:
        LociscopeError: A source has no field, a label is wrong, or the Catalog cannot be written.
        UsageError: `output` does not end in `.parquet`, or is another file.
    """
    output = as_path(output)
    labels = as_path(labels)
    sources = as_paths(sources)
    _check_output(output)
    return _write(*import_folder(sources, labels, output.parent, rules), output)


def _import_each(sources: Sequence[Path], output: Path, make: Callable[[Path], Imported]) -> Imported:
    """Import each source, and join the Catalogs."""
    parts = [make(source) for source in sources]
    catalog = join_catalogs([catalog for catalog, _ in parts], sources, output.parent)
    return catalog, [failure for _, failures in parts for failure in failures]


def _check_output(output: Path) -> None:
    """Refuse an output that could not be found again, or that is another file."""
    check_suffix(output, ".parquet")
    if output.exists():
        try:
            Catalog.read(output)
        except LociscopeError as error:
            raise LociscopeError(
                f"'{output}' exists and is not a Catalog. Pass another file as `output`.", code=Code.CONFLICT
            ) from error


def _write(
    catalog: Catalog, failures: list[Failure], output: Path, matched: int | None = None, reference: int = 0
) -> ImportReport:
    catalog.write(output)
    failures_file = output.with_name(output.stem + ".failures.csv")
    write_failures(failures, failures_file)
    return ImportReport(output, catalog, tuple(failures), failures_file, matched, reference)
