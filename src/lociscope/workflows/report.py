"""Report on predicted fields without labels: a page for a lab meeting, and the same figures as JSON."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.artifacts.predictions import Predictions
from lociscope.channels import CHANNEL_NAMES
from lociscope.decide.conditions import ConditionComparison, compare_conditions
from lociscope.errors import Code, LociscopeError, UsageError, suggest
from lociscope.images.discovery.sources import find_fields, read_catalog_sources
from lociscope.labels import to_multi_hot
from lociscope.predict.summaries import COUNTED, PROPERTIES, find_keys, summarize
from lociscope.predict.variation import SHARE_COLUMNS
from lociscope.processes.progress import ProgressCallback, ignore_progress
from lociscope.report.field_report import FieldReport, Summary, write_field_report
from lociscope.report.field_report_json import field_report_to_json
from lociscope.report.page import check_page, link_files, write_json
from lociscope.storage.paths import as_path
from lociscope.storage.table_files import TABLES, check_suffix
from lociscope.workflows.field_gallery import read_location_galleries
from lociscope.workflows.gallery import find_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lociscope.images.discovery.field_source import FieldSource
    from lociscope.storage.paths import AnyPath

UNITS = ("well", "antibody", "specimen")
"""What conditions are compared over, in order of preference."""

_TEXTS = ("id", "locations")
_COUNTS = ("cells", "whole_cells")


@dataclass(frozen=True, slots=True)
class Reported:
    """The result of a report: the page, the JSON file beside it, and what they show."""

    page: Path
    data: Path
    report: FieldReport


def report_predictions(
    predictions: AnyPath,
    output: AnyPath,
    *,
    fields: AnyPath | None = None,
    compare_by: str | None = None,
    bundle: AnyPath | None = None,
    progress: ProgressCallback = ignore_progress,
) -> Reported:
    """Report on predicted fields, with labels or without.

    Args:
        predictions: The Predictions; their `.variation.csv`, if it is beside them, adds single-cell variation.
        output: The page to write, `.html`; the same figures are written beside it as `.json`.
        fields: A Catalog, or a folder or an archive of the fields: gives images for the gallery, and a Catalog gives
            antibodies, cell lines and conditions, too.
        compare_by: The column that holds the condition of each field.
        bundle: The model behind the predictions, to show where its evidence is; None is the shipped one where the
            predictions record that it made them.
        progress: Called with (fields shown, number of fields to show).

    Returns:
        What was reported, and where.

    Raises:
        UsageError: The output does not end in `.html`, or `compare_by` is not a column.
        LociscopeError: A file cannot be read or written, the fields are others, or there are not 2 conditions or more.
        MissingExtraError: jinja2 or SciPy is not installed.
    """
    output, path = as_path(output), as_path(predictions)
    check_suffix(output, ".html", reason="`output` ")
    check_page(output, "report")
    table = Predictions.read(path)
    if not len(table):
        raise LociscopeError(f"'{path}' holds no predicted field. Predict fields first.", code=Code.NOTHING_FOUND)
    catalog, sources = (None, []) if fields is None else open_fields(as_path(fields), table.ids)
    comparison, compared_by = None, ("", "")
    notes: list[str] = []
    if compare_by is not None:
        comparison, unit, notes = _compare(table, catalog, compare_by)
        compared_by = (compare_by, unit)
    model = find_model(as_path(bundle), path) if sources else None
    galleries, unreadable = read_location_galleries(table, sources, model, progress)
    report = FieldReport(
        name=path.name,
        predictions=table,
        summaries=_summarize(table, catalog),
        variation=_read_variation(path),
        comparison=comparison,
        compared_by=compared_by,
        notes=notes,
        galleries=galleries,
        unreadable=unreadable,
        model=None if model is None else f"the bundle {model.bundle.card.name} {model.bundle.card.version}",
    )
    data = output.with_suffix(".json")
    write_json(data, field_report_to_json(report))
    files = [
        (data, "all figures of this page"),
        (path, "the predictions"),
        (_variation_file(path), "single-cell variation"),
    ]
    write_field_report(output, report, link_files(output, files))
    return Reported(output, data, report)


def open_fields(path: Path, ids: Sequence[str]) -> tuple[Catalog, list[FieldSource]]:
    """Open the fields of predictions.

    Args:
        path: A Catalog, or a folder or an archive of fields.
        ids: The predicted fields.

    Returns:
        A Catalog, and the fields that have images.

    Raises:
        LociscopeError: They cannot be read, or none of them was predicted.
    """
    if path.is_file() and path.suffix.lower() in TABLES:
        catalog = Catalog.read(path, may_lack=CHANNEL_NAMES)
        sources = [source for source in read_catalog_sources(catalog) if source.refs]
    else:
        sources, _ = find_fields([path])
        entries = [Entry(source.id, **dict(source.about)) for source in sources]  # type: ignore[arg-type] # texts
        catalog = Catalog.from_entries(entries, path)
    if not {*ids} & {*catalog.ids}:
        raise LociscopeError(
            f"'{path}' has other fields: none of its {len(catalog)} ids is among the {len(ids)} predicted ones (the "
            f"first are '{catalog.ids[0]}' and '{ids[0]}'). Pass the fields that were predicted.",
            code=Code.NOTHING_FOUND,
        )
    return catalog, sources


def _summarize(table: Predictions, catalog: Catalog | None) -> list[Summary]:
    """Summarize by each property that is known."""
    found = []
    for by in PROPERTIES:
        try:
            names, keys = find_keys(table, by, catalog)
        except LociscopeError:
            continue
        found.append(Summary(by, names, summarize(table, names, keys)))
    return found


def _compare(table: Predictions, catalog: Catalog | None, column: str) -> tuple[ConditionComparison, str, list[str]]:
    """Compare the conditions over wells, or what else is known; return the comparison, the units, and notes."""
    conditions = [
        condition if status in COUNTED else ""  # the page says not to trust the others
        for status, condition in zip(table.status, _read_conditions(table, catalog, column), strict=True)
    ]
    unit, units = next(
        ((each, keys) for each in UNITS if each != column and (keys := _read_units(table, catalog, each))),
        ("field", table.ids),
    )
    notes = (
        []
        if unit != "field"
        else ["Wells and antibodies are not known, so fields count as independent: p is too small."]
    )
    found = compare_conditions(table.probability, to_multi_hot(table.predicted), conditions, units)
    plates = _read_units(table, catalog, "plate")
    if column != "plate" and plates:
        by_plate: dict[str, set[str]] = {}
        for plate, condition in zip(plates, conditions, strict=True):
            if condition:
                by_plate.setdefault(plate, set()).add(condition)
        if len(by_plate) > 1 and all(len(each) == 1 for each in by_plate.values()):
            notes.append("No plate has two conditions, so a difference may be one between plates.")
    return found, "antibodies" if unit == "antibody" else f"{unit}s", notes


def _read_units(table: Predictions, catalog: Catalog | None, by: str) -> list[str]:
    """Return the unit of each field; empty where it is not known of every one."""
    try:
        _, keys = find_keys(table, by, catalog)
    except LociscopeError:
        return []
    return [" ".join(key) for key in keys] if all(key[-1] for key in keys) else []


def _read_conditions(table: Predictions, catalog: Catalog | None, column: str) -> list[str]:
    """Return the condition of each field; empty where it is not known."""
    if catalog is not None and column in catalog.table.column_names:
        known = dict(zip(catalog.ids, catalog.table[column].to_pylist(), strict=True))
        values = [known.get(name) for name in table.ids]
        if any(value is not None for value in values):
            return ["" if value is None else str(value) for value in values]
    if column in PROPERTIES:
        _, keys = find_keys(table, column, catalog)
        return [key[-1] for key in keys]
    columns = [] if catalog is None else catalog.table.column_names
    raise UsageError(
        f"`compare_by` has no column {column!r} with values.{suggest(column, [*columns, *PROPERTIES])} Pass the "
        "Catalog of the fields, with that column.",
        code=Code.UNKNOWN_NAME,
    )


def _variation_file(path: Path) -> Path:
    return path.with_name(path.stem + ".variation.csv")


def _read_variation(path: Path) -> list[dict[str, Any]]:
    """Read the table of single-cell variation beside Predictions, without the shares; empty where there is none.

    Raises:
        LociscopeError: The table is damaged.
    """
    path = _variation_file(path)
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [_parse_variation(row) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LociscopeError(f"'{path}' is damaged ({error}). Predict the cells again.", code=Code.CORRUPT) from error


def _parse_variation(row: dict[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, text in row.items():
        if name in _TEXTS:
            made[name] = text
        elif name in _COUNTS:
            made[name] = int(text)
        elif name not in SHARE_COLUMNS:
            made[name] = float(text) if text else None
            if made[name] is not None and not np.isfinite(made[name]):
                raise ValueError(f"{name} is {text}")
    return made
