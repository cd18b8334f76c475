"""The log beside the answers: written in order, never in their way."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.pixels import patches

from lociscope.database import LogError
from lociscope.images.field import Field
from lociscope.log import open_log
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.service import journal as journal_module
from lociscope.service.answer import Outcome, _answer
from lociscope.service.journal import Journal


class FakeLog:
    """A log that fails, or waits."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.go, self.entered = threading.Event(), threading.Event()
        self.kept: list[list[str]] = []
        self.closed = False

    def add(self, predictions: Any, statistics: np.ndarray, *, bundle: str, command: str) -> None:
        self.entered.set()
        assert self.go.wait(30)
        if self.error:
            raise self.error
        assert len(statistics) == len(predictions)
        self.kept.append([bundle, command, *predictions.ids])

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def predictor(tiny_bundle: Path) -> Predictor:
    return open_bundle(tiny_bundle)


@pytest.fixture
def outcome(predictor: Predictor) -> Callable[..., Outcome]:
    def make(name: str, bundle: str = "b") -> Outcome:
        pixels = patches((32, 32, 4))
        prepared = predictor.prepare(Field(name, pixels, 5.0))
        predictions = predictor.run([prepared])
        return Outcome(_answer(predictions, predictor.bundle), bundle, predictions, prepared, None)

    return make


def test_all_that_was_added_is_written_before_it_closes(tmp_path: Path, outcome: Any) -> None:
    lost: list[int] = []
    journal = Journal(open_log(str(tmp_path / "log.sqlite")), lost.append)
    for number in range(40):
        journal.add(outcome(f"f{number}", "old" if number < 30 else "new"))
    journal.close()
    with open_log(str(tmp_path / "log.sqlite")) as log:
        window = log.read()
    assert window.predictions.ids == [f"f{number}" for number in range(40)]
    assert window.bundles == ["old"] * 30 + ["new"] * 10
    assert lost == []


def test_a_log_that_fails_is_told_once_and_counted(outcome: Any, caplog: pytest.LogCaptureFixture) -> None:
    log, lost = FakeLog(LogError("The log is full.")), [0]
    log.go.set()

    def count(number: int) -> None:
        lost[0] += number

    journal = Journal(log, count)  # type: ignore[arg-type]
    with caplog.at_level(logging.ERROR, "lociscope"):
        for number in range(5):
            journal.add(outcome(str(number)))
        journal.close()
    assert (lost, log.closed) == ([5], True)
    assert [record.getMessage() for record in caplog.records] == ["predictions are not kept: The log is full."]


def test_a_mistake_of_ours_does_not_end_the_writer(outcome: Any, caplog: pytest.LogCaptureFixture) -> None:
    log = FakeLog(ValueError("ours"))
    lost: list[int] = []
    log.go.set()
    journal = Journal(log, lost.append)  # type: ignore[arg-type]
    with caplog.at_level(logging.ERROR, "lociscope"):
        journal.add(outcome("a"))
        while not lost:
            pass
        log.error = None
        journal.add(outcome("b"))
        journal.close()
    assert log.kept == [["b", "serve", "b"]]
    assert "ValueError: ours" in caplog.text


def test_a_log_that_is_too_slow_loses_and_never_waits(outcome: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "MOST_WAITING", 2)
    log = FakeLog()
    lost: list[int] = []
    journal = Journal(log, lost.append)  # type: ignore[arg-type]
    one = outcome("a")
    journal.add(one)
    assert log.entered.wait(30)  # the writer is held up, and takes no more
    for _ in range(9):
        journal.add(one)
    assert sum(lost) == 7
    log.go.set()
    journal.close()
    assert sum(len(kept) - 2 for kept in log.kept) + sum(lost) == 10
