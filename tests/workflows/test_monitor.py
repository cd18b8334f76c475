"""The workflow of a drift check."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.predictions import Predictions
from lociscope.errors import Code, UsageError
from lociscope.labels import N_LABELS
from lociscope.monitor.report import NoteKind, Part, Reason
from lociscope.workflows.monitor import check_drift, delete_predictions, parse_time

if TYPE_CHECKING:
    from pathlib import Path


def write_predictions(path: Path, number: int, fields: int = 40, origin: dict[str, str] | None = None) -> Path:
    """Write Predictions that assign one location to every field."""
    probability = np.full((fields, N_LABELS), 0.1, np.float32)
    ids = [f"{path.stem}{field}" for field in range(fields)]
    Predictions(ids, probability, [(number,)] * fields, ["ok"] * fields, [()] * fields).write(path, origin)
    return path


def test_drift_of_predictions_is_a_typed_report(tmp_path: Path) -> None:
    before, after = (write_predictions(tmp_path / f"{number}.parquet", number) for number in (2, 7))
    report = check_drift(after, reference=before)
    assert (report.drifted, report.checked) == (True, [Part.LOCATIONS])
    assert {each.number for each in report.locations if each.moved} == {2, 7}
    assert [each.reason for each in report.not_checked] == [Reason.NO_STATISTICS, Reason.NO_EMBEDDINGS]
    assert [note.kind for note in report.notes] == [NoteKind.UNGROUPED, NoteKind.UNKNOWN_BUNDLE]
    assert not check_drift(before, reference=str(before), level=0.01).drifted
    assert check_drift(after, reference=before, group=r"\d+$").groups == 40


def test_the_bundle_is_known_from_the_parquet_file_alone(tmp_path: Path) -> None:
    paths = [write_predictions(tmp_path / f"{number}.parquet", number, origin={"bundle": "b"}) for number in (2, 7)]
    report = check_drift(paths[1], reference=paths[0])
    assert NoteKind.UNKNOWN_BUNDLE not in [note.kind for note in report.notes]


def test_a_simulated_reference_is_noted_if_the_window_drifted(tmp_path: Path) -> None:
    report = check_drift(write_predictions(tmp_path / "odd.parquet", 27))
    assert report.drifted
    assert NoteKind.SIMULATED_REFERENCE in [note.kind for note in report.notes]


def test_nothing_to_check_and_a_wrong_group_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        check_drift()
    assert raised.value.code == Code.NOTHING_FOUND
    with pytest.raises(UsageError, match="`group` is not a regular expression"):
        check_drift(tmp_path / "none.parquet", group="(")


def test_parse_time() -> None:
    assert parse_time(None, "since") is None
    assert parse_time("2026-11-24T08:00", "since") == datetime(2026, 11, 24, 8, tzinfo=UTC)
    assert parse_time("2026-11-24T08:00+02:00", "since") == datetime(2026, 11, 24, 6, tzinfo=UTC)
    ago = parse_time("2d", "since")
    assert ago is not None
    assert 47 * 3600 < (datetime.now(UTC) - ago).total_seconds() < 49 * 3600
    for text in ("", "2", "0001-01-01T00:00+02:00", "d", "24.11.2026"):
        with pytest.raises(UsageError, match="`since` is not a time"):
            parse_time(text, "since")


def test_deletion_needs_a_time_or_an_expression(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Pass `before` or `matching`"):
        delete_predictions(str(tmp_path / "log.db"))
    with pytest.raises(UsageError, match="`matching` is not a regular expression"):
        delete_predictions(str(tmp_path / "log.db"), matching="(")
    with pytest.raises(UsageError, match="`before` is not a time"):
        delete_predictions(str(tmp_path / "log.db"), before="yesterday")
