"""The prediction log: written by many processes at once, read back unchanged, and clear errors."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lociscope.artifacts.predictions import Predictions
from lociscope.prediction_log.log import PredictionLog, open_log
from lociscope.prediction_log.log_errors import LogError, LogUnavailableError
from lociscope.prediction_log.rows import Row, make_rows
from lociscope.warnings import parse_warnings

if TYPE_CHECKING:
    from collections.abc import Iterator

BUNDLE = "a" * 64


def predictions(ids: list[str], seed: int = 0, wide: int | None = 5) -> Predictions:
    rng = np.random.default_rng(seed)
    n = len(ids)
    return Predictions(
        ids,
        rng.random((n, 28), np.float32),
        [(1, 27)] + [()] * (n - 1) if n else [],
        ["ok"] * n,
        [parse_warnings(["empty plane: green", "unsharp: red; really"])] + [()] * (n - 1) if n else [],
        None if wide is None else rng.normal(0, 3, (n, wide)).astype(np.float32),
    )


def statistics(n: int) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 50, (n, 34)).astype(np.float32)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PredictionLog]:
    with open_log(str(tmp_path / "log.db")) as opened:
        yield opened


def test_rows_are_read_back(log: PredictionLog) -> None:
    made, figures = predictions(["a", "b/c", "ü"]), statistics(3)
    before = datetime.now(UTC)
    log.add(made, figures, bundle=BUNDLE, command="watch")
    read = log.read()
    assert read.predictions.ids == made.ids
    assert read.predictions.predicted == made.predicted
    assert read.predictions.warnings == made.warnings
    np.testing.assert_array_equal(read.predictions.probability, made.probability)
    np.testing.assert_array_equal(read.statistics, figures)
    assert read.predictions.embedding is not None
    assert made.embedding is not None
    np.testing.assert_allclose(read.predictions.embedding, made.embedding, rtol=1e-3)
    assert (set(read.bundles), set(read.commands)) == ({BUNDLE}, {"watch"})
    assert before <= datetime.fromisoformat(read.times[0]) <= datetime.now(UTC)


@settings(max_examples=20)
@given(name=st.text(st.characters(codec="utf-8"), min_size=1), value=st.floats(0, 1, width=32))
def test_any_name_and_probability_comes_back(tmp_path_factory: pytest.TempPathFactory, name: str, value: float) -> None:
    made = predictions([name])
    made.probability[:] = value
    with open_log(str(tmp_path_factory.mktemp("log") / "log.db")) as log:
        log.add(made, statistics(1), bundle=BUNDLE, command="serve")
        read = log.read().predictions
    assert (read.ids, read.probability.tolist()) == ([name], made.probability.tolist())


def test_a_time_and_a_bundle_are_chosen(log: PredictionLog) -> None:
    log.add(predictions(["a"]), statistics(1), bundle="b" * 64, command="predict")
    middle = datetime.now(UTC)
    log.add(predictions(["b", "c"], wide=7), statistics(2), bundle=BUNDLE, command="predict")
    assert log.read(since=middle).predictions.ids == ["b", "c"]
    assert log.read(until=middle).predictions.ids == ["a"]
    assert log.read(since=middle.astimezone(tz=None)).predictions.ids == ["b", "c"]
    assert log.read(bundle="b" * 64).predictions.ids == ["a"]
    assert log.bundles() == {"b" * 64: 1, BUNDLE: 2}
    assert list(log.bundles())[-1] == BUNDLE
    assert log.read().predictions.embedding is None  # of different lengths
    assert len(log.read(since=middle + timedelta(days=1))) == 0


def test_predictions_without_embedding_or_field(log: PredictionLog) -> None:
    assert log.span() is None
    log.add(predictions([]), statistics(0), bundle=BUNDLE, command="predict")
    assert len(log.read()) == 0
    log.add(predictions(["a"], wide=None), statistics(1), bundle=BUNDLE, command="predict")
    assert log.read().predictions.embedding is None
    assert log.span() == (log.read().times[0],) * 2


def test_a_call_that_cannot_be_is_a_programmer_s(log: PredictionLog) -> None:
    with pytest.raises(ValueError, match="command 'guess'"):
        log.add(predictions(["a"]), statistics(1), bundle=BUNDLE, command="guess")
    with pytest.raises(ValueError, match="statistics of 1 predictions"):
        log.add(predictions(["a"]), statistics(2), bundle=BUNDLE, command="serve")


def test_threads_and_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from test_log import *\n"
        "with open_log(sys.argv[1]) as log, ThreadPoolExecutor(4) as pool:\n"
        "    list(pool.map(lambda n: log.add(predictions([f'{sys.argv[3]}-{n}']), statistics(1), bundle=BUNDLE, "
        "command='serve'), range(25)))\n"
    )
    here = str(Path(__file__).parent)
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), here, str(number)]) for number in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    with open_log(str(path)) as log:
        ids = log.read().predictions.ids
    assert sorted(ids) == sorted(f"{process}-{number}" for process in range(2) for number in range(25))


@pytest.mark.parametrize(
    ("column", "value"), [("probability", b"xy"), ("warnings", "no json"), ("predicted", "99"), ("statistics", b"1234")]
)
def test_a_damaged_row(tmp_path: Path, log: PredictionLog, column: str, value: object) -> None:
    log.add(predictions(["a", "b"]), statistics(2), bundle=BUNDLE, command="serve")
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute(f"UPDATE lociscope_predictions SET {column} = ? WHERE id = 'a'", (value,))
    connection.close()
    with pytest.raises(LogError, match="holds a row that is damaged"):
        log.read()


def test_a_locked_and_a_full_log_are_reported_and_written_later(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with open_log(f"sqlite:///{path}?timeout=0.05") as log:
        other = sqlite3.connect(path)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogError, match=r"cannot be written \(database is locked\)\. Another process holds it"):
            log.add(predictions(["a"]), statistics(1), bundle=BUNDLE, command="serve")
        other.rollback()
        other.close()
        log.add(predictions(["a"]), statistics(1), bundle=BUNDLE, command="serve")
        with log._database.engine.connect() as connection:  # goes back to the pool, and is the one that is written by
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
        many = predictions([str(number) for number in range(200)])
        with pytest.raises(LogError, match=r"cannot be written \(database or disk is full\)\. Free some space"):
            log.add(many, statistics(200), bundle=BUNDLE, command="serve")
        assert log.read().predictions.ids == ["a"]  # all or none


def test_rows_of_one_key_are_written_once(log: PredictionLog) -> None:
    def rows(*ids: str) -> list[Row]:
        return make_rows(predictions(list(ids)), statistics(len(ids)), bundle=BUNDLE, command="watch")

    log.write(rows("a", "b"), "first")
    log.write(rows("a", "b"), "first")  # as after an answer that was lost
    log.write(rows("c"), "second", "first")
    log.write(rows("d"), "second")
    assert log.read().predictions.ids == ["a", "b", "c"]
    log.write([], last="second")
    log.write(rows("e"), "second")
    assert log.read().predictions.ids == ["a", "b", "c", "e"]


def test_transient_and_permanent_errors(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with open_log(f"sqlite:///{path}?timeout=0.05") as log:
        other = sqlite3.connect(path)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogUnavailableError, match="is locked"):
            log.add(predictions(["a"]), statistics(1), bundle=BUNDLE, command="serve")
        other.rollback()
        other.execute("DROP TABLE lociscope_predictions")
        other.close()
        with pytest.raises(LogError, match="no such table") as caught:
            log.add(predictions(["a"]), statistics(1), bundle=BUNDLE, command="serve")
        assert not isinstance(caught.value, LogUnavailableError)


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be removed")
@pytest.mark.parametrize("replaced", [False, True])
def test_a_removed_or_replaced_file_is_reported_not_written(tmp_path: Path, replaced: bool) -> None:
    path = tmp_path / "log.db"
    with open_log(str(path)) as log:
        log.add(predictions(["a"]), statistics(1), bundle=BUNDLE, command="serve")
        path.rename(tmp_path / "old.db")
        if replaced:
            path.write_bytes(b"")
        with pytest.raises(LogError, match=r"log.db' was removed or replaced while it was open"):
            log.add(predictions(["b"]), statistics(1), bundle=BUNDLE, command="serve")
        (tmp_path / "old.db").replace(path)
        log.add(predictions(["c"]), statistics(1), bundle=BUNDLE, command="serve")
        assert log.read().predictions.ids == ["a", "c"]


def test_a_window_is_thinned_taken_apart_and_spanned(log: PredictionLog) -> None:
    for name in "abcdef":
        log.add(predictions([name]), statistics(1), bundle=BUNDLE, command="predict")
    assert log.read(every=2).predictions.ids == ["b", "d", "f"]
    window = log.read()
    part = window.take([4, 0])
    assert (part.predictions.ids, part.times) == (["e", "a"], [window.times[4], window.times[0]])
    third = datetime.fromisoformat(window.times[2])
    assert log.span(since=third) == (window.times[2], window.times[5])
    assert log.span(since=datetime(2999, 1, 1, tzinfo=UTC)) is None
    assert log.count_backward() == 0


def test_rows_are_deleted_by_time_and_by_id_and_their_bytes_are_overwritten(log: PredictionLog, tmp_path: Path) -> None:
    for name in ("lab1_a", "lab2_b", "lab1_c", "lab2_d"):
        log.add(predictions([name]), statistics(1), bundle=BUNDLE, command="predict")
    third = datetime.fromisoformat(log.read().times[2])
    assert log.delete(third, re.compile("^lab1_")) == 1
    assert log.read().predictions.ids == ["lab2_b", "lab1_c", "lab2_d"]
    assert log.delete(before=third) == 1
    assert log.delete(matching=re.compile("_c$")) == 1
    assert log.read().predictions.ids == ["lab2_d"]
    with pytest.raises(ValueError, match="nothing says"):
        log.delete()
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"lab1_a" not in (tmp_path / "log.db").read_bytes()
    assert b"lab2_d" in (tmp_path / "log.db").read_bytes()
