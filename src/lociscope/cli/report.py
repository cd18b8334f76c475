"""`lociscope report`: a page about predicted fields without labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lociscope.decide.conditions import ConditionComparison


def report(
    predictions: Annotated[Path, typer.Argument(help="Predictions, .parquet or .csv.")],
    fields: Annotated[
        Path | None,
        typer.Argument(metavar="[FIELDS]", help="Their Catalog, or a folder or archive: gives images and conditions."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The page, .html; the same as .json is written beside it.")
    ] = Path("report.html"),
    compare_by: Annotated[
        str | None,
        typer.Option("--compare-by", metavar="COLUMN", help="Compare the conditions in this column of the Catalog."),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", "-b", help="The model behind the predictions, to show where its evidence is."),
    ] = None,
) -> None:
    """Show predicted fields: locations, plates, wells, antibodies, cells, warnings, and conditions compared."""
    from lociscope.workflows.report import report_predictions

    with console.progress("rendering") as progress:
        made = report_predictions(
            predictions, output, fields=fields, compare_by=compare_by, bundle=bundle, progress=progress
        )
    if made.report.comparison is not None:
        for line in describe_comparison(made.report.comparison):
            console.note(line)
    if made.report.unreadable:
        console.note(f"{console.count_fields(len(made.report.unreadable))} not shown: the images cannot be read")
    print(made.page)


def describe_comparison(found: ConditionComparison) -> Iterator[str]:
    """Yield the locations that differ between conditions, one line each."""
    from lociscope.labels import LABELS
    from lociscope.report.drift import format_p_value

    if found.test is None:
        yield "not tested: too few units of a condition"
        return
    for each in found.changes:
        if each.changed and each.p is not None:
            shares = ", ".join(f"{name} {share:.0%}" for name, share in zip(found.conditions, each.shares, strict=True))
            yield f"{LABELS[each.number]}: {shares}, p {format_p_value(each.p)}"
    if not any(each.changed for each in found.changes):
        yield "no location differs significantly between the conditions"
