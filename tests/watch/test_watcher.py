"""A watch from beginning to end, in this process: the rows of the table, and the events."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fixtures.pixels import patches

from lociscope.artifacts.predictions import Predictions
from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import LociscopeError
from lociscope.images.discovery.naming import Rules
from lociscope.images.discovery.sources import Failure, find_fields
from lociscope.images.io.write import write_ome_tiff, write_planes
from lociscope.predict.batch import BatchResult, predict_to_file
from lociscope.predict.output import OutputOptions, PredictionOutput
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.watch import watcher as watching
from lociscope.watch.folder import PolledFolder
from lociscope.watch.watcher import WatchTiming, watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lociscope.prediction_log.rows import Row

QUICK = WatchTiming(interval=0.05, settle=0.05, patience=0.3, until_idle=0.3)
SIDE = 16


class Recorder:
    """Records the events of a watch."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.completed: list[str] = []
        self.failures: list[Failure] = []
        self.messages: list[str] = []

    def on_predicted(self, predictions: Predictions, completed: list[str]) -> None:
        self.ids += predictions.ids
        self.completed += completed

    def on_overdue(self, failure: Failure) -> None:
        self.failures.append(failure)

    def on_problem(self, message: str) -> None:
        self.messages.append(message)


@pytest.fixture
def predictor(tiny_bundle: Path) -> Predictor:
    return open_bundle(tiny_bundle, threads=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "live"
    made.mkdir()
    return made


def field(seed: int) -> np.ndarray:
    return patches((SIDE, SIDE, 4), seed)


def run(predictor: Predictor, folder: Path, timing: WatchTiming = QUICK, **more: Any) -> tuple[BatchResult, Recorder]:
    recorder = Recorder()
    options = more.pop("options", OutputOptions())
    out = more.pop("out", folder.parent / "out.csv")
    more.setdefault("stop", threading.Event())
    return watch(
        predictor, folder, out, more.pop("rules", Rules()), options, timing, callback=recorder, **more
    ), recorder


class Running:
    """A watch in a thread, for the tests that change the folder meanwhile."""

    def __init__(self, predictor: Predictor, folder: Path, **more: Any) -> None:
        self.recorder, self.stop = Recorder(), threading.Event()
        timing = more.pop("timing", WatchTiming(0.05, 0.1, 0.3))
        self.out = folder.parent / "out.csv"
        words = (predictor, folder, self.out, more.pop("rules", Rules()), OutputOptions(), timing)
        self.outcome: BatchResult | None = None

        def work() -> None:
            self.outcome = watch(*words, callback=self.recorder, stop=self.stop)

        self.thread = threading.Thread(target=work)
        self.thread.start()

    def until(self, true: Callable[[], object]) -> None:
        for _ in range(3000):
            if true():
                return
            assert self.thread.is_alive(), "the watch has ended"
            time.sleep(0.01)
        raise AssertionError(
            f"never came to be; recorded {self.recorder.ids}, {self.recorder.failures}, {self.recorder.messages}"
        )

    def end(self) -> BatchResult:
        self.stop.set()
        self.thread.join()
        assert self.outcome is not None
        return self.outcome


@pytest.fixture
def running(predictor: Predictor, folder: Path) -> Iterator[Callable[..., Running]]:
    begun: list[Running] = []

    def begin(**more: Any) -> Running:
        begun.append(Running(predictor, folder, **more))
        return begun[-1]

    yield begin
    for each in begun:
        each.stop.set()
        each.thread.join()


def test_what_is_there_is_predicted_as_predict_does(predictor: Predictor, folder: Path, tmp_path: Path) -> None:
    for number in range(20):
        write_planes(folder, f"f{number:02d}", field(number))
    outcome, recorder = run(predictor, folder)
    assert (outcome.rows, outcome.new, outcome.failures) == (20, 20, [])
    assert recorder.ids == sorted(recorder.ids)
    found, _ = find_fields([folder])
    predict_to_file(predictor, found, tmp_path / "whole.csv", OutputOptions())
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    again = predict_to_file(predictor, found, tmp_path / "out.csv", OutputOptions())
    assert (again.rows, again.new) == (20, 0)
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.csv", "out.run.json"]


def test_channels_come_in_any_order_and_in_halves(
    running: Callable[..., Running], folder: Path, tmp_path: Path
) -> None:
    write_planes(tmp_path / "ready", "a", field(0))
    watched = running()
    for channel in ("yellow", "green", "red", "blue"):
        data = (tmp_path / "ready" / f"a_{channel}.png").read_bytes()
        with (folder / f"a_{channel}.png").open("wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            time.sleep(0.15)  # long enough to be taken for whole, and tried
            file.write(data[len(data) // 2 :])
    watched.until(lambda: watched.recorder.ids)
    outcome = watched.end()
    assert (outcome.rows, outcome.failures, watched.recorder.ids) == (1, [], ["a"])
    assert Predictions.read(tmp_path / "out.csv").ids == ["a"]


def test_stacks_and_sub_folders_that_come_later(running: Callable[..., Running], folder: Path) -> None:
    from lociscope.images.field import Field

    watched = running()
    write_ome_tiff(folder / "one.ome.tif", Field("one", field(1), 164 / SIDE))
    watched.until(lambda: watched.recorder.ids == ["one"])
    write_planes(folder / "plate" / "A1", "a", field(2))
    watched.until(lambda: len(watched.recorder.ids) == 2)
    watched.end()
    assert Predictions.read(watched.out).ids == ["one", "plate/A1/a"]


def test_incomplete_and_damaged_are_listed_and_taken_off(
    running: Callable[..., Running], folder: Path, tmp_path: Path
) -> None:
    paths = dict(zip(CHANNEL_NAMES, write_planes(folder, "a", field(0)), strict=True))
    data = paths["red"].read_bytes()
    paths["red"].write_bytes(data[: len(data) // 2])
    write_planes(folder, "b", field(1))[1].unlink()
    watched = running()
    watched.until(lambda: len(watched.recorder.failures) == 2)
    reasons = {failure.id: failure.reason for failure in watched.recorder.failures}
    assert "a_red.png' is damaged or truncated" in reasons["a"]
    assert "Field 'b' has no _green file" in reasons["b"]
    paths["red"].write_bytes(data)
    watched.until(lambda: watched.recorder.ids == ["a"])
    assert watched.recorder.completed == ["a"]
    outcome = watched.end()
    assert [failure.id for failure in outcome.failures] == ["b"]
    assert (tmp_path / "out.failures.csv").read_text().splitlines()[1].startswith("b,")


def test_a_field_that_changes_is_predicted_again(
    running: Callable[..., Running], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lociscope.watch.folder.SWEEP", 0.1)
    write_planes(folder, "a", field(0))
    watched = running()
    watched.until(lambda: watched.recorder.ids == ["a"])
    write_planes(folder, "a", field(5))
    watched.until(lambda: watched.recorder.ids == ["a", "a"])
    outcome = watched.end()
    assert (outcome.rows, outcome.new) == (1, 2)
    kept = Predictions.read(watched.out)
    assert kept.ids == ["a"]


def test_the_table_is_whole_during_the_watch(
    running: Callable[..., Running], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "TABLE_EVERY", 0.2)
    watched = running()
    write_planes(folder, "a", field(0))
    watched.until(lambda: watched.out.exists() and not list(folder.parent.glob("out.parts/*.npz")))
    write_planes(folder, "b", field(1))
    watched.until(lambda: Predictions.read(watched.out).ids == ["a", "b"])
    assert watched.end().rows == 2


def test_a_folder_that_vanishes_is_waited_for(running: Callable[..., Running], folder: Path) -> None:
    write_planes(folder, "a", field(0))
    watched = running()
    watched.until(lambda: watched.recorder.ids == ["a"])
    folder.rename(folder.parent / "away")
    watched.until(lambda: watched.recorder.messages)
    assert watched.recorder.messages == [
        f"'{folder}' cannot be read now (No such file or directory). Waiting until it is available."
    ]
    (folder.parent / "away").rename(folder)
    write_planes(folder, "b", field(1))
    watched.until(lambda: watched.recorder.ids == ["a", "b"])
    assert watched.recorder.messages[1:] == [f"'{folder}' is available again."]
    assert watched.end().failures == []


def test_files_that_settle_later_than_it_would_end_are_predicted(predictor: Predictor, folder: Path) -> None:
    write_planes(folder, "a", field(1))
    outcome, recorder = run(predictor, folder, WatchTiming(interval=0.02, settle=0.6, patience=0.3, until_idle=0.1))
    assert (outcome.rows, recorder.ids, outcome.failures) == (1, ["a"], [])


def test_a_delayed_poll_does_not_end_it(predictor: Predictor, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_planes(folder, "a", field(1))
    poll = PolledFolder.poll

    def poll_slowly(self: PolledFolder, now: float, interval: float = 0.0) -> Any:
        time.sleep(0.5)  # longer than `until_idle`
        return poll(self, now, interval)

    monkeypatch.setattr(PolledFolder, "poll", poll_slowly)
    assert run(predictor, folder)[0].rows == 1


def test_files_that_are_moved_away_keep_their_rows(
    running: Callable[..., Running], predictor: Predictor, folder: Path
) -> None:
    import shutil

    for name in ("a", "b"):
        write_planes(folder, name, field(ord(name)))
    watched = running()
    watched.until(lambda: watched.recorder.ids == ["a", "b"])
    watched.end()
    shutil.rmtree(folder)
    folder.mkdir()
    write_planes(folder, "c", field(3))
    outcome, recorder = run(predictor, folder)
    assert (outcome.rows, recorder.ids) == (3, ["c"])
    assert Predictions.read(watched.out).ids == ["a", "b", "c"]


class KillError(BaseException):
    """Stands for a kill: nothing after it runs."""


@pytest.mark.parametrize("where", ["write_part", "write_table", "remove_parts", "write"])
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_point_nothing_is_lost_or_doubled(
    predictor: Predictor, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    where: str, after: bool,
) -> None:  # fmt: skip
    """At each step of keeping what is predicted, before it and after it, the third time that it is taken."""
    monkeypatch.setattr(watching, "BATCH_SIZE", 2)
    monkeypatch.setattr(watching, "TABLE_EVERY", 0.0)
    monkeypatch.setattr(watching, "TABLE_SHARE", 1e9)
    for number in range(9):
        write_planes(folder, f"f{number}", field(number))
    owner: type = Predictions if where == "write" else PredictionOutput
    step = getattr(owner, where)
    taken = 0

    def cut_off(*words: Any, **more: Any) -> Any:
        nonlocal taken
        taken += 1
        if taken == 3 and not after:
            raise KillError
        made = step(*words, **more)
        if taken == 3:
            raise KillError
        return made

    out = tmp_path / "out.csv"
    with monkeypatch.context() as patch:
        patch.setattr(owner, where, cut_off)
        with pytest.raises(KillError):
            run(predictor, folder, out=out)
    write_planes(folder, "f9", field(9))
    outcome, recorder = run(predictor, folder, out=out)
    assert outcome.rows == 10
    assert 1 < len(recorder.ids) < 9
    assert Predictions.read(out).ids == [f"f{number}" for number in range(10)]
    found, _ = find_fields([folder])
    predict_to_file(predictor, found, tmp_path / "whole.csv", OutputOptions())
    one, other = (Predictions.read(tmp_path / f"{name}.csv") for name in ("out", "whole"))
    assert one.predicted == other.predicted
    np.testing.assert_allclose(one.probability, other.probability, atol=2e-6)
    assert not list(tmp_path.glob("*.parts"))


def test_another_bundle_or_other_options_are_refused(
    predictor: Predictor, make_bundle: Callable[..., Path], folder: Path, tmp_path: Path
) -> None:
    write_planes(folder, "a", field(0))
    run(predictor, folder, out=tmp_path / "out.parquet")
    with pytest.raises(LociscopeError, match="begun with another bundle"):
        run(open_bundle(make_bundle(tmp_path / "other", seed=1)), folder, out=tmp_path / "out.parquet")
    with pytest.raises(LociscopeError, match="begun with other options"):
        run(predictor, folder, out=tmp_path / "out.parquet", options=OutputOptions(embeddings=True))


def test_embeddings_are_kept_where_asked_for(predictor: Predictor, folder: Path, tmp_path: Path) -> None:
    write_planes(folder, "a", field(0))
    run(predictor, folder, out=tmp_path / "out.parquet", options=OutputOptions(embeddings=True))
    kept = Predictions.read(tmp_path / "out.parquet")
    assert kept.embedding is not None


@pytest.mark.parametrize(("kind", "message"), [("none", "does not exist"), ("file", "is not a folder")])
def test_a_missing_folder_is_reported_before_anything_is_made(
    predictor: Predictor, tmp_path: Path, kind: str, message: str
) -> None:
    if kind == "file":
        (tmp_path / kind).write_text("x")
    with pytest.raises(LociscopeError, match=message):
        run(predictor, tmp_path / kind)
    assert not list(tmp_path.glob("out*"))


def test_nothing_comes(predictor: Predictor, folder: Path, tmp_path: Path) -> None:
    outcome, recorder = run(predictor, folder)
    assert (outcome.rows, outcome.failures, recorder.ids) == (0, [], [])
    assert not list(tmp_path.glob("out*"))


class Log:
    """A log that keeps what it is given, or cannot."""

    def __init__(self, *, fails: bool) -> None:
        self.fails = fails
        self.name = "log"
        self.rows: list[Row] = []

    def write(self, rows: Sequence[Row], key: str | None = None, last: str | None = None) -> None:
        if self.fails:
            raise LociscopeError("The log cannot be written.")
        self.rows += rows


def test_the_log_gets_each_field_with_its_statistics(predictor: Predictor, folder: Path) -> None:
    for name in ("a", "b"):
        write_planes(folder, name, field(ord(name)))
    log = Log(fails=False)
    outcome, _ = run(predictor, folder, log=log)
    assert [row["id"] for row in log.rows] == ["a", "b"]
    assert {(row["bundle"], row["command"]) for row in log.rows} == {(predictor.bundle.sha256, "watch")}
    assert all(row["embedding"] and row["statistics"] for row in log.rows)
    assert outcome.unlogged == 0


def test_a_log_that_cannot_be_written_costs_no_prediction(predictor: Predictor, folder: Path) -> None:
    write_planes(folder, "a", field(0))
    outcome, _ = run(predictor, folder, log=Log(fails=True))
    assert (outcome.rows, outcome.unlogged, outcome.log_error) == (1, 1, "The log cannot be written.")
