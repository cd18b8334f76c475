"""`lociscope split`: split a Catalog into train, validation and test data and folds."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lociscope.cli import console
from lociscope.errors import Exit
from lociscope.processes.progress import ignore_progress

if TYPE_CHECKING:
    from lociscope.data.leakage import AdversarialResult
    from lociscope.splits.catalog_split import SplitResult
    from lociscope.workflows.split import SplitReport


def split(
    catalogs: Annotated[
        list[Path], typer.Argument(metavar="CATALOG...", help="Catalogs with labels; several are joined, into -o.")
    ],
    folds: Annotated[int, typer.Option(min=1, max=100, help="Folds for cross-validation; 1 makes none.")] = 5,
    test: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share for testing; 0 keeps the rows marked as test.")
    ] = 0.0,
    valid: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the rest for validation.")] = 0.0,
    group: Annotated[
        list[str] | None,
        typer.Option(
            "--group", metavar="COLUMN", help="Fields with the same value stay together; may be given more than once."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides between equally good splits.")] = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Another Catalog to write.")] = None,
    duplicates: Annotated[
        bool,
        typer.Option(
            "--find-duplicates",
            help="First read the images, and name fields that show the same cells in the column `duplicates`.",
        ),
    ] = False,
    adversarial: Annotated[
        bool,
        typer.Option(
            "--adversarial",
            help="Adversarial validation: read the images and train a classifier to distinguish the parts.",
        ),
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that read images.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print what each part holds as JSON.")] = False,
) -> None:
    """Write the columns split and fold of a Catalog, grouped by antibody, with each class in its proportion."""
    from lociscope.splits.catalog_split import SplitConfig
    from lociscope.workflows.split import split_catalogs

    config = SplitConfig(folds, test, valid, tuple(group or ()), seed)
    with console.progress("scanning fields") if duplicates or adversarial else nullcontext(ignore_progress) as progress:
        report = split_catalogs(
            catalogs,
            output,
            config,
            find_duplicates=duplicates,
            adversarial=adversarial,
            workers=workers,
            progress=progress,
        )
    if report.duplicates is not None:
        fields, images = report.duplicates
        console.note(f"lociscope: {console.count_fields(fields)} show the same cells as another, {images} images")
    if as_json:
        _print_json(report)
    else:
        _print_table(report, adversarial)
    if report.unread and report.unread_file:
        console.report_failures(report.unread, report.unread_file)
        raise typer.Exit(Exit.SOME_FAILED)


def _print_json(report: SplitReport) -> None:
    import json

    from lociscope.labels import LABELS

    split, result = report.split, report.adversarial
    parts = [
        {
            "name": part.name,
            "fields": part.fields,
            "groups": part.groups,
            "counts": dict(zip(LABELS, part.counts.tolist(), strict=True)),
        }
        for part in split.parts
    ]
    adversarial: dict[str, Any] | None = None
    if result is not None:
        adversarial = {
            "part": result.part,
            "auc": result.auc.value,
            "low": result.auc.low,
            "high": result.auc.high,
            "groups": result.auc.n,
            "statistic": result.statistic,
            "text": describe_adversarial(result),
        }
    made = {
        "catalog": str(report.output),
        "grouped_by": list(split.grouped_by),
        "parts": parts,
        "notes": describe_notes(split),
        "leakage": {"in_two_parts": report.leaks, "adversarial": adversarial},
    }
    print(json.dumps(made))


def _print_table(report: SplitReport, adversarial: bool) -> None:
    from lociscope.data.leakage import MIN_FIELDS
    from lociscope.labels import LABELS

    split = report.split
    print(f"{'part':<8}{'fields':>8}{'groups':>8}  classes without a field")
    for part in split.parts:
        empty = [name for name, count in zip(LABELS, part.counts, strict=True) if not count]
        listed = ", ".join(empty) if len(empty) < 6 else f"{len(empty)} of {len(LABELS)}"
        print(f"{part.name:<8}{part.fields:>8}{part.groups:>8}  {listed or '-'}")
    columns = ", ".join(split.grouped_by) or "nothing: each field is its own group"
    print(f"grouped by {columns}; written to {report.output}")
    if report.leaks:
        print("in two parts: " + ", ".join(f"{column} {count}" for column, count in report.leaks.items()))
    if report.adversarial is not None:
        print(describe_adversarial(report.adversarial))
    elif adversarial:
        print(f"Too few fields for adversarial validation: each side needs {MIN_FIELDS} fields of 5 groups.")
    for text in describe_notes(split):
        console.note(f"lociscope: {text}")


def describe_adversarial(result: AdversarialResult) -> str:
    """Return the result of adversarial validation as text."""
    figure = f"AUC {result.auc}, {result.auc.n} groups"
    if result.auc.low <= 0.5:
        return f"Brightness, focus and noise do not distinguish {result.part} from the rest ({figure})."
    how = "barely" if result.auc.value < 0.6 else "well" if result.auc.value < 0.8 else "almost always"
    return (
        f"Brightness, focus and noise distinguish {result.part} {how} from the rest ({figure}), most of all "
        f"{result.statistic}: a score on {result.part} is one for other imaging conditions."
    )


def describe_notes(split: SplitResult) -> list[str]:
    """Return what a user should know of a split, as texts."""
    from lociscope.labels import LABELS

    notes = []
    if split.unlabelled:
        notes.append(f"Fields without a label, which are in no part: {split.unlabelled}.")
    if "antibody" not in split.grouped_by:
        notes.append("Antibody unknown: fields of one antibody may be in several parts, and intervals are too narrow.")
    for number, groups in split.scarce.items():
        notes.append(f"{LABELS[number]} has {groups} group{'s' * (groups > 1)}: some part is without it.")
    return notes
