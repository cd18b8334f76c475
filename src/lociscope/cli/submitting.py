"""The options of every command that writes a submission, and its reports of missing test fields."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console

if TYPE_CHECKING:
    from lociscope.workflows.submission import Coverage

Kaggle = Annotated[bool, typer.Option("--kaggle", help="Write Id,Predicted; no row is blank.")]
SampleSubmission = Annotated[
    Path | None,
    typer.Option(
        "--sample-submission",
        metavar="FILE",
        help="With --kaggle: the competition's list of test ids, whose rows and order the submission gets.",
    ),
]


def report_excluded(fields: int, path: Path | None) -> None:
    """Print how many fields the sample submission does not list, unless quiet."""
    if fields:
        console.note(f"lociscope: {console.count_fields(fields)} left out: no test id of '{path}'")


def report_coverage(coverage: Coverage | None) -> bool:
    """Print which test ids have no prediction, even if quiet.

    Returns:
        False where rows of the given sample submission were filled without a prediction.
    """
    if coverage is None:
        return True
    missing, first = len(coverage.missing), coverage.missing[0]
    if coverage.filled:
        from lociscope.artifacts.submission import DEFAULT_PREDICTION

        console.print_error(
            f"lociscope: {missing} of {coverage.total} test ids have no prediction, and got what '{coverage.sample}' "
            f"has for them, or class {DEFAULT_PREDICTION}, since Kaggle wants a row for each; the first: {first!r}"
        )
        return False
    console.print_error(
        f"lociscope: the submission lacks {missing} of the {coverage.total} test ids of '{coverage.sample}', and "
        f"Kaggle wants them all; the first: {first!r}. Pass --sample-submission '{coverage.sample}'."
    )
    return True
