"""The options of every command that writes a submission, and what is said where it lacks test fields."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.errors import Code, LociscopeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lociscope.images.discovery.sources import FieldSource

Kaggle = Annotated[bool, typer.Option("--kaggle", help="Write Id,Predicted; no row is blank.")]
SampleSubmission = Annotated[
    Path | None,
    typer.Option(
        "--sample-submission",
        metavar="FILE",
        help="With --kaggle: the competition's list of test ids, whose rows and order the submission gets.",
    ),
]


def check_submission(output: Path, *, kaggle: bool, sample: Path | None) -> None:
    """Refuse options that do not go together.

    Raises:
        UsageError: A submission would be no CSV, or a sample is given for something else.
    """
    if kaggle and output.suffix != ".csv":
        raise UsageError(f"--kaggle writes CSV, and -o '{output}' is no .csv. Rename it.", code=Code.INVALID_VALUE)
    if sample is not None and not kaggle:
        raise UsageError(
            f"--sample-submission '{sample}' is only for a submission. Add --kaggle.", code=Code.INVALID_VALUE
        )


def read_rows(path: Path | None) -> dict[str, str] | None:
    """Return the rows of a sample submission (`submission.read_sample`); None where none is given."""
    if path is None:
        return None
    from lociscope.artifacts.submission import read_sample

    return read_sample(path)


def among(sample: Mapping[str, str], found: list[FieldSource], path: Path | None) -> list[FieldSource]:
    """Return the fields that the sample lists, and say how many it does not.

    Raises:
        LociscopeError: It lists none of them.
    """
    kept = [source for source in found if source.id in sample]
    check_among(len(kept), [source.id for source in found], path)
    return kept


def check_among(kept: int, ids: Sequence[str], path: Path | None) -> None:
    """Say how many of the fields are not in the sample.

    Raises:
        LociscopeError: None of them is.
    """
    if ids and not kept:
        raise LociscopeError(
            f"None of {console.counted(len(ids))} is a test id of '{path}' (the first is {ids[0]!r}). Name the test "
            "fields, or their own sample submission.",
            code=Code.NOTHING_FOUND,
        )
    if kept < len(ids):
        console.note(f"lociscope: {console.counted(len(ids) - kept)} left out: no test id of '{path}'")


def tell_lacking(ids: Sequence[str], sample: Mapping[str, str] | None, path: Path | None, near: list[Path]) -> bool:
    """Say which test ids a submission lacks, even if quiet.

    Args:
        ids: The predicted fields.
        sample: Rows of the sample submission that was given.
        path: Its file.
        near: Where to look for one that was not given.

    Returns:
        False where rows of the given sample were filled without a prediction.
    """
    from lociscope.artifacts.submission import DEFAULT_PREDICTION, find_missing_ids, find_sample, read_sample

    if sample is not None:
        filled = find_missing_ids(sample, ids)
        if filled:
            console.say(
                f"lociscope: {len(filled)} of {len(sample)} test ids have no prediction, and got what '{path}' has for "
                f"them, or class {DEFAULT_PREDICTION}, since Kaggle wants a row for each; the first: {filled[0]!r}"
            )
        return not filled
    found = find_sample(near)
    known = {} if found is None else read_sample(found)
    missing = find_missing_ids(known, ids)
    if missing:
        console.say(
            f"lociscope: the submission lacks {len(missing)} of the {len(known)} test ids of '{found}', and Kaggle "
            f"wants them all; the first: {missing[0]!r}. Pass --sample-submission '{found}'."
        )
    return True
