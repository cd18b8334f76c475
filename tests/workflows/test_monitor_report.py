"""The workflow of drift over time: how a log is split, and what it refuses."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.artifacts.predictions import Predictions
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.statistics import STATISTICS
from lociscope.labels import N_LABELS
from lociscope.prediction_log.log import open_log
from lociscope.workflows import monitor_report
from lociscope.workflows.monitor_report import monitor_over_time

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2026, 5, 1, 9, 30, tzinfo=UTC)


def write_log(path: Path, plates: dict[str, float], fields: int = 12, step: timedelta = timedelta(hours=1)) -> str:
    """Write `fields` fields of each plate, with the median of red shifted, one every `step`."""
    rng = np.random.default_rng(0)
    with open_log(str(path)) as log:
        for plate, shift in plates.items():
            statistics = rng.normal(30, 1, (fields, len(STATISTICS))).astype(np.float32)
            statistics[:, STATISTICS.index("MedianIntensity_red")] += shift
            ids = [f"7_{plate}_A{number + 1}_1" for number in range(fields)]
            made = Predictions(ids, np.full((fields, N_LABELS), 0.1, np.float32), [()] * fields, ["ok"] * fields,
                               [()] * fields)  # fmt: skip
            log.add(made, statistics, bundle="b" * 64, command="predict")
    with sqlite3.connect(path) as connection:
        for number in range(fields * len(plates)):
            time = (START + number * step).isoformat(timespec="microseconds").replace("+00:00", "Z")
            connection.execute("UPDATE lociscope_predictions SET time = ? WHERE seq = ?", (time, number + 1))
    return str(path)


@pytest.fixture
def reference(tmp_path: Path) -> str:
    return write_log(tmp_path / "before.db", {"0": 0}, 60)


def test_windows_of_a_day_begin_at_midnight(tmp_path: Path, reference: str) -> None:
    log = write_log(tmp_path / "log.db", {"1": 0, "2": 9}, 24)  # 48 hours from 9:30
    found = monitor_over_time(log, every="1d", reference=reference)
    assert [(window.name, window.fields) for window in found.windows] == [
        ("2026-05-01", 15),
        ("2026-05-02", 24),
        ("2026-05-03", 9),
    ]
    assert (found.by, found.ordered, found.backward) == ("1d", True, 0)
    assert [move.since for move in found.moves if move.measure == "MedianIntensity_red"] == ["2026-05-02"]


@pytest.mark.parametrize(
    ("fields", "step", "expected"),
    [
        (320, timedelta(minutes=10), "6h"),  # 53 hours: 54 windows of an hour are too many
        (320, timedelta(hours=3), "1w"),
        (28, timedelta(minutes=30), "1d"),  # 6 hours have 12 fields
    ],
)
def test_by_default_the_windows_are_as_short_as_gives_enough_fields(
    tmp_path: Path, reference: str, fields: int, step: timedelta, expected: str
) -> None:
    log = write_log(tmp_path / "log.db", {"1": 0}, fields, step)
    assert monitor_over_time(log, reference=reference).by == expected


def test_windows_of_a_number_of_fields_and_of_a_property(tmp_path: Path, reference: str) -> None:
    log = write_log(tmp_path / "log.db", {"1": 0, "2": 9, "3": 0})
    counted = monitor_over_time(log, every=10, reference=reference)
    assert [window.fields for window in counted.windows] == [10, 10, 10, 6]
    plates = monitor_over_time(log, by="plate", reference=reference)
    assert [(window.name, window.report.drifted) for window in plates.windows if window.report] == [
        ("1", False),
        ("2", True),
        ("3", False),
    ]
    assert not plates.ordered
    entries = [Entry(f"7_{plate}_A{number + 1}_1", source=f"scope {plate}") for plate in "12" for number in range(12)]
    Catalog.from_entries(entries, tmp_path).write(tmp_path / "catalog.parquet")
    sources = monitor_over_time(log, by="source", catalog=tmp_path / "catalog.parquet", reference=reference)
    assert [window.name for window in sources.windows] == ["scope 1", "scope 2", "unknown"]


def test_a_clock_that_was_set_back_is_counted(tmp_path: Path, reference: str) -> None:
    log = write_log(tmp_path / "log.db", {"1": 0, "2": 0})
    with sqlite3.connect(log) as connection:
        connection.execute("UPDATE lociscope_predictions SET time = '2026-04-30T00:00:00.000000Z' WHERE seq > 18")
    found = monitor_over_time(log, every="1d", reference=reference)
    assert found.backward == 1
    assert [window.name for window in found.windows] == ["2026-04-30", "2026-05-01", "2026-05-02"]


def test_a_log_that_does_not_fit_into_memory_is_thinned(
    tmp_path: Path, reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = write_log(tmp_path / "log.db", {"1": 0, "2": 9}, 24)
    monkeypatch.setattr(monitor_report, "MAX_ROWS", 16)
    assert [window.fields for window in monitor_over_time(log, every="2w", reference=reference).windows] == [16]
    by_plate = monitor_over_time(log, by="plate", reference=reference)
    assert [window.fields for window in by_plate.windows] == [8, 8]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"every": "1x"}, Code.INVALID_VALUE),
        ({"every": "1d", "by": "plate"}, Code.INVALID_VALUE),
        ({"by": "colour"}, Code.UNKNOWN_NAME),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, reference: str, options: dict[str, Any], code: Code) -> None:
    log = write_log(tmp_path / "log.db", {"1": 0})
    with pytest.raises(UsageError) as raised:
        monitor_over_time(log, reference=reference, **options)
    assert raised.value.code == code


def test_too_many_windows_and_an_empty_time_are_refused(tmp_path: Path, reference: str) -> None:
    log = write_log(tmp_path / "log.db", {"1": 0}, 12, timedelta(days=30))
    with pytest.raises(UsageError, match="`every=1d` gives 331 windows, expected 200 or fewer"):
        monitor_over_time(log, every="1d", reference=reference)
    with pytest.raises(LociscopeError) as raised:
        monitor_over_time(log, since="2030-01-01", reference=reference)
    assert raised.value.code == Code.NOTHING_FOUND
