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
from lociscope.images.discovery.field_source import FieldSource
from lociscope.images.io.container import PlaneRef
from lociscope.images.statistics import STATISTICS
from lociscope.labels import N_LABELS
from lociscope.prediction_log.log import open_log
from lociscope.review.records import Answer, Item, Reason, Verdict
from lociscope.review.store import open_review
from lociscope.workflows import monitor_report
from lociscope.workflows.monitor_accuracy import accuracy_over_time
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


def test_accuracy_is_estimated_and_measured_by_window(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    probability = np.zeros((40, N_LABELS), np.float32)
    probability[:, 3] = np.where(np.arange(40) % 2, 0.9, 0.1)
    ids = [f"f{number}" for number in range(40)]
    predicted: list[tuple[int, ...]] = [(3,) if number % 2 else () for number in range(40)]
    made = Predictions(ids, probability, predicted, ["ok"] * 40, [()] * 40)
    with open_log(str(tmp_path / "log.db")) as log:
        log.add(made, rng.normal(0, 1, (40, len(STATISTICS))).astype(np.float32), bundle="b" * 64, command="predict")
    source = FieldSource("x", (PlaneRef(tmp_path / "x.tif"),) * 4)
    rows = [1, 2, 3, 4]
    items = [
        Item(0, ids[row], source, "b" * 64, predicted[row], probability[row], Reason.RANDOM, 40, "now") for row in rows
    ]
    with open_review(str(tmp_path / "review.db"), create=True) as store:
        store.add(items)
        for number, labels in enumerate([(3,), (), (), ()], 1):  # f3 is predicted, and is not there
            store.answer(Answer(number, "ann", Verdict.LABELLED, labels))
    (window,) = accuracy_over_time(str(tmp_path / "log.db"), review=str(tmp_path / "review.db"), every="1w")
    assert window.estimated.fields == 40
    assert window.estimated.precision.value == pytest.approx(0.9)
    assert window.estimated.recall.value == pytest.approx(0.9)
    assert window.measured is not None
    assert (window.measured.fields, window.measured.precision.value, window.measured.recall.value) == (4, 0.5, 1)
    halves = accuracy_over_time(str(tmp_path / "log.db"), review=str(tmp_path / "review.db"), every=20)
    assert [each.measured is None for each in halves] == [False, True]
    assert accuracy_over_time(str(tmp_path / "log.db"), every=40)[0].measured is None
