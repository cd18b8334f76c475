"""Submissions to the competition: `Id,Predicted`, with a row for each test field."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError
from lociscope.labels import format_target, parse_target
from lociscope.storage.file_errors import not_csv_error, unreadable_error
from lociscope.storage.schema import check_ids

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from lociscope.storage.paths import AnyPath

NAME = "sample_submission.csv"
"""The competition's file that lists its test fields."""
DEFAULT_PREDICTION = "0"
"""Class of a field without prediction where the sample has none: Nucleoplasm, the most frequent class."""


def read_sample(path: AnyPath) -> dict[str, str]:
    """Read a sample submission.

    Args:
        path: A CSV with the column `Id`, and `Predicted` or further ones.

    Returns:
        By id, in the order of the file, the value that a test field without a prediction gets: the value in the sample,
        or `DEFAULT_PREDICTION` where that is blank or does not hold class numbers. Kaggle accepts no blank value.

    Raises:
        LociscopeError: The file cannot be read, has no column `Id`, no row, or an id that is blank or duplicated.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            if "Id" not in (reader.fieldnames or []):
                found = ",".join(reader.fieldnames or [])[:80] or "nothing"
                raise LociscopeError(
                    f"'{path}' is not a sample submission: expected the columns Id,Predicted, found {found}. "
                    f"Pass the competition's {NAME}.",
                    code=Code.WRONG_FILE,
                )
            rows = [(row["Id"], row.get("Predicted")) for row in reader]
    except OSError as error:
        raise unreadable_error(path, error) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise not_csv_error(path, error, f"Pass the competition's {NAME}.") from error
    if not rows:
        raise LociscopeError(f"'{path}' lists no test field. Pass the competition's {NAME}.", code=Code.NOTHING_FOUND)
    check_ids([name for name, _ in rows], f"Sample submission '{path}'")
    return {name: _filler(predicted) for name, predicted in rows}


def _filler(predicted: str | None) -> str:
    try:
        return format_target(parse_target(predicted or "")) or DEFAULT_PREDICTION
    except LociscopeError:
        return DEFAULT_PREDICTION


def find_sample(sources: Iterable[Path]) -> Path | None:
    """Return the sample submission in or beside the sources of the test fields; None where there is none."""
    beside = (folder / NAME for source in sources for folder in (source, source.parent))
    return next((path for path in beside if path.is_file()), None)


def hash_sample(sample: Mapping[str, str] | None) -> str | None:
    """Return the sha256 of the rows of a sample; None for no sample."""
    if sample is None:
        return None
    return hashlib.sha256(json.dumps(list(sample.items())).encode()).hexdigest()


def find_missing_ids(sample: Mapping[str, str], ids: Iterable[str]) -> list[str]:
    """Return the test ids that are not among `ids`, in the order of the sample."""
    present: Collection[str] = set(ids)
    return [name for name in sample if name not in present]
