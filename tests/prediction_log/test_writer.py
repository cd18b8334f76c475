"""Writing to the log in a thread: in order, once each, without blocking; lost rows are counted."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING
from unittest.mock import Mock

import numpy as np
import pytest

from lociscope.artifacts.predictions import Predictions
from lociscope.prediction_log import writer as writing
from lociscope.prediction_log.log import open_log
from lociscope.prediction_log.log_errors import LogError, LogUnavailableError
from lociscope.prediction_log.writer import LogWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lociscope.prediction_log.rows import Row

FULL = LogError("Log 'x' is full. Make space.")
AWAY = LogUnavailableError("Log 'x' cannot be written (gone). Check the URL, and that it is up.")


class FakeLog:
    """A log that refuses, is away, or holds up its writer; like a database, it knows the keys that it has seen."""

    def __init__(self, *errors: Exception | None, held: bool = False) -> None:
        self.name = "x"
        self.errors = list(errors)
        self.go, self.entered = threading.Event(), threading.Event()
        if not held:
            self.go.set()
        self.ids: list[str] = []
        self.keys: set[str] = set()
        self.cuts = 0

    def write(self, rows: Sequence[Row], key: str | None = None, last: str | None = None) -> None:
        self.entered.set()
        assert self.go.wait(30)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        if key is not None:
            assert key not in self.keys
            self.keys.add(key)
        self.keys.discard(str(last))
        self.ids += [row["id"] for row in rows]

    def disconnect(self) -> None:
        self.cuts += 1
        self.go.set()


def made(*ids: str) -> Predictions:
    n = len(ids)
    return Predictions(list(ids), np.zeros((n, 28), np.float32), [()] * n, ["ok"] * n, [()] * n)


def figures(n: int) -> np.ndarray:
    return np.zeros((n, 3), np.float32)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "FIRST_PAUSE", 0.005)
    monkeypatch.setattr(writing, "LONGEST_PAUSE", 0.01)


@pytest.fixture
def begin() -> Iterator[Callable[..., LogWriter]]:
    """Makes writers to fake logs, and ends them."""
    begun: list[LogWriter] = []

    def make(log: FakeLog | None, lost: Callable[[int], None] = lambda predictions: None) -> LogWriter:
        begun.append(LogWriter(log, "serve", on_lost=lost))  # type: ignore[arg-type]
        return begun[-1]

    yield make
    for each in begun:
        each.close(0)


def test_all_that_was_added_is_in_the_log_at_the_end(tmp_path: Path) -> None:
    with open_log(str(tmp_path / "log.db")) as log:
        with LogWriter(log, "serve") as writer:
            for number in range(40):
                writer.add(made(f"f{number}"), figures(1), bundle="old" if number < 30 else "new")
        window = log.read()
        assert log._about is not None
        with log._database.transaction("read", 5) as connection:
            keys = [row.key for row in connection.execute(log._about.select())]
    assert window.predictions.ids == [f"f{number}" for number in range(40)]
    assert window.bundles == ["old"] * 30 + ["new"] * 10
    assert (writer.unlogged, writer.trouble) == (0, "")
    assert keys == ["schema"]  # the keys of the transactions are gone


def test_without_a_log_nothing_is_written(begin: Callable[..., LogWriter]) -> None:
    writer = begin(None)
    writer.add(made("a"), figures(1), bundle="b")
    writer.close()
    assert writer.unlogged == 0
    assert not writer.wants_embeddings(["embedding"])
    assert begin(FakeLog()).wants_embeddings(["embedding"])
    assert not begin(FakeLog()).wants_embeddings(["probabilities"])


def test_refused_predictions_are_counted_and_reported_once(
    begin: Callable[..., LogWriter], caplog: pytest.LogCaptureFixture
) -> None:
    lost: list[int] = []
    log = FakeLog(FULL, FULL)
    writer = begin(log, lost.append)
    with caplog.at_level(logging.WARNING, "lociscope"):
        for ids in (("a", "b"), ("c",), ("d",)):
            writer.add(made(*ids), figures(len(ids)), bundle="b")
            while writer._rows:
                time.sleep(0.001)
        writer.close()
    assert (writer.unlogged, writer.trouble, lost) == (3, str(FULL), [2, 1])
    assert log.ids == ["d"]
    assert [record.getMessage() for record in caplog.records] == [
        f"predictions are not logged: {FULL}", "log 'x' is available again"
    ]  # fmt: skip


def test_a_log_that_is_away_for_a_while_gets_everything_once_and_in_order(begin: Callable[..., LogWriter]) -> None:
    log = FakeLog(*[AWAY] * 5)
    writer = begin(log)
    for number in range(50):
        writer.add(made(f"f{number}"), figures(1), bundle="b")
    writer.close()
    assert log.ids == [f"f{number}" for number in range(50)]
    assert (writer.unlogged, log.keys, log.errors) == (0, set(), [])


def test_a_retry_has_the_key_of_the_first_attempt(begin: Callable[..., LogWriter]) -> None:
    keys: list[str | None] = []

    class Remembering(FakeLog):
        def write(self, rows: Sequence[Row], key: str | None = None, last: str | None = None) -> None:
            keys.append(key)
            super().write(rows, key, last)

    writer = begin(Remembering(AWAY, AWAY))
    writer.add(made("a"), figures(1), bundle="b")
    writer.close()
    first, *others = keys
    assert first is not None
    assert len(first) == 32
    assert others == [first, first, None]  # the last call forgets it


def test_a_mistake_of_ours_does_not_end_the_writer(
    begin: Callable[..., LogWriter], caplog: pytest.LogCaptureFixture
) -> None:
    log = FakeLog(ValueError("ours"))
    writer = begin(log)
    writer.add(made("a"), figures(1), bundle="b")
    while not writer.unlogged:
        time.sleep(0.001)
    writer.add(made("b"), figures(1), bundle="b")
    writer.close()
    assert (log.ids, writer.unlogged) == (["b"], 1)
    assert "ValueError: ours" in caplog.text


def test_a_full_queue_loses_what_comes_and_never_waits(
    begin: Callable[..., LogWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MOST_WAITING", 4)
    log = FakeLog(held=True)
    lost: list[int] = []
    writer = begin(log, lost.append)
    writer.add(made("a"), figures(1), bundle="b")
    assert log.entered.wait(30)  # the thread is held up; its row still counts
    for name in "bcdefghi":
        writer.add(made(name), figures(1), bundle="b")
    writer.add(made("j", "k"), figures(2), bundle="b")
    assert (writer.unlogged, lost) == (7, [1] * 5 + [2])
    assert writer.trouble == "Log 'x' is too slow."
    log.go.set()
    writer.close()
    assert (log.ids, writer.unlogged) == (list("abcd"), 7)


@pytest.mark.parametrize("kind", ["away", "silent"])
def test_the_end_is_bounded_and_what_still_waits_is_counted(kind: str, begin: Callable[..., LogWriter]) -> None:
    log = FakeLog(*[AWAY] * 10_000) if kind == "away" else FakeLog(held=True)
    lost: list[int] = []
    writer = begin(log, lost.append)
    for ids in (("a",), ("b", "c")):
        writer.add(made(*ids), figures(len(ids)), bundle="b")
    assert log.entered.wait(30)
    began = time.monotonic()
    writer.close(0.2)
    assert 0.1 < time.monotonic() - began < 20
    assert (writer.unlogged, lost, log.cuts) == (3, [3], 1)
    assert writer.trouble == (str(AWAY) if kind == "away" else "Log 'x' did not take them in time.")
    writer.close()
    assert writer.unlogged == 3  # counted once


def test_a_signal_shortens_the_end(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(writing, "HURRY_SECONDS", 0.2)
    asked = threading.Event()
    for hurry, error in ((asked.is_set, None), (lambda: False, KeyboardInterrupt)):
        writer = LogWriter(FakeLog(*[AWAY] * 10_000), "watch", is_ending=hurry)  # type: ignore[arg-type]
        writer.add(made("a"), figures(1), bundle="b")
        timer = threading.Timer(0.1, asked.set)
        timer.start()
        began = time.monotonic()
        writer.__exit__(error, error and error(), None)
        assert time.monotonic() - began < 10  # not PATIENCE_SECONDS
        assert writer.unlogged == 1
        timer.join()
    assert "1 predictions are not in the log; Log 'x' cannot be written (gone)" in caplog.text


def test_an_interrupt_while_it_waits_ends_the_wait_and_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    writer = LogWriter(FakeLog(*[AWAY] * 10_000), "predict")  # type: ignore[arg-type]
    writer.add(made("a"), figures(1), bundle="b")
    assert writer._thread is not None
    monkeypatch.setattr(writer._thread, "join", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt), writer:
        pass
    assert writer.unlogged == 1
    assert "1 predictions are not in the log" in caplog.text
