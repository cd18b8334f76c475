"""The results of a job as files: Predictions as CSV, Parquet and AnnData, the failures, and a report."""

from __future__ import annotations

import csv
import io
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError
from lociscope.service.jobs.records import FAILED, to_predictions

if TYPE_CHECKING:
    from lociscope.service.jobs.records import JobField

MEDIA = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "h5ad": "application/x-hdf5",
}
"""The formats of results, with their media types."""


def has_anndata() -> bool:
    """Return whether the library that writes AnnData is installed."""
    return find_spec("anndata") is not None


def write_results(fields: list[JobField], form: str) -> bytes:
    """Return the predicted fields of a job as a file.

    Args:
        fields: The fields of the job.
        form: `csv`, `parquet` or `h5ad`.

    Raises:
        LociscopeError: No field is predicted yet.
        MissingExtraError: anndata is not installed.
    """
    predictions = to_predictions(fields)
    if not len(predictions):
        raise LociscopeError("No field of this job is predicted yet. Try again later.", code=Code.INCOMPLETE)
    with TemporaryDirectory(prefix="lociscope-") as folder:
        path = Path(folder) / f"results.{form}"
        if form == "h5ad":
            from lociscope.predict.anndata_file import write_fields_anndata

            write_fields_anndata(predictions, path)
        else:
            predictions.write(path)
        return path.read_bytes()


def write_failures(fields: list[JobField]) -> bytes:
    """Return the fields that could not be predicted as a CSV `id,reason,code`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "reason", "code"))
    writer.writerows((_as_text(field.id), field.reason, field.code) for field in fields if field.state == FAILED)
    return text.getvalue().encode()


def _as_text(name: str) -> str:
    """Return a name that no spreadsheet runs as a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@")) else name
