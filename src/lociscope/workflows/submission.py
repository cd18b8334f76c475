"""Tables and submissions to write: their options, what a sample submission lists, and which test ids are missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lociscope.artifacts.predictions import SUFFIXES
from lociscope.artifacts.submission import find_missing_ids, find_sample, read_sample
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.storage.table_files import check_suffix

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Coverage:
    """The test ids of a sample submission that have no prediction.

    Attributes:
        sample: The sample submission.
        total: Number of its test ids.
        missing: The test ids without a prediction.
        filled: Whether the submission has a row for them all the same.
    """

    sample: Path
    total: int
    missing: list[str]
    filled: bool


def check_table(
    output: Path, *, embeddings: bool = False, kaggle: bool = False, sample_submission: Path | None = None
) -> None:
    """Refuse a file that cannot hold the predictions, and options that do not go together, before any work.

    Args:
        output: The file to write.
        embeddings: Whether it has embeddings.
        kaggle: Whether it is a submission.
        sample_submission: The sample submission whose rows it has.

    Raises:
        UsageError: The file has another suffix, or a sample submission is passed without `kaggle`.
    """
    check_suffix(output, *SUFFIXES)
    if embeddings:
        check_suffix(output, ".parquet", reason="`embeddings` needs Parquet. ")
    if kaggle:
        check_suffix(output, ".csv", reason="`kaggle` writes CSV. ")
    elif sample_submission is not None:
        raise UsageError(
            f"`sample_submission` '{sample_submission}' is only for a submission. Add `kaggle`.",
            code=Code.INVALID_VALUE,
        )


def count_excluded(ids: Sequence[str], sample: Mapping[str, str], path: Path | None) -> int:
    """Return how many fields a sample submission does not list.

    Args:
        ids: The fields.
        sample: The rows of the sample submission.
        path: Its file, for the error message.

    Raises:
        LociscopeError: It lists none of them.
    """
    selected = sum(name in sample for name in ids)
    if ids and not selected:
        fields = "1 field" if len(ids) == 1 else f"{len(ids)} fields"
        raise LociscopeError(
            f"None of {fields} is a test id of '{path}' (the first is {ids[0]!r}). Name the test fields, or their own "
            "sample submission.",
            code=Code.NOTHING_FOUND,
        )
    return len(ids) - selected


def find_coverage(ids: Sequence[str], sample_submission: Path | None, sources: Iterable[Path]) -> Coverage | None:
    """Compare a submission with the sample submission that was passed, or else with one beside the sources.

    Args:
        ids: The predicted fields.
        sample_submission: The sample submission whose rows the submission has, or None.
        sources: Files and folders beside which to look for one.

    Returns:
        What it lacks; None where it lacks nothing, or no sample submission is known.
    """
    path = find_sample(sources) if sample_submission is None else sample_submission
    if path is None:
        return None
    sample = read_sample(path)
    missing = find_missing_ids(sample, ids)
    return Coverage(path, len(sample), missing, sample_submission is not None) if missing else None
