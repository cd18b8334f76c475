"""Files that are copied slowly into the watched folder, reserved to their full size from the first moment."""

from __future__ import annotations

import os
import threading
import time
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from lociscope.artifacts.predictions import Predictions
from lociscope.channels import CHANNEL_NAMES
from lociscope.images.discovery.naming import Rules
from lociscope.images.discovery.sources import find_fields
from lociscope.predict.batch import BatchResult, predict_to_file
from lociscope.predict.output import OutputOptions
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.warnings import parse_warnings
from lociscope.watch import arrivals, completeness
from lociscope.watch.watcher import WatchTiming, watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIDE = 96
PIECES = 4


class Recorder:
    """Notes what was predicted, and which of the copies were done by then."""

    def __init__(self, done: set[str]) -> None:
        self.done = done
        self.predicted_ids: list[str] = []
        self.done_then: list[set[str]] = []
        self.failures: list[Any] = []

    def on_predicted(self, predictions: Predictions, completed: list[str]) -> None:
        self.predicted_ids += predictions.ids
        self.done_then.append(set(self.done))

    def on_overdue(self, failure: Any) -> None:
        self.failures.append(failure)

    def on_problem(self, message: str) -> None:
        raise AssertionError(message)


@pytest.fixture
def predictor(tiny_bundle: Path) -> Predictor:
    return open_bundle(tiny_bundle, threads=1)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tries follow each other quickly."""
    monkeypatch.setattr(arrivals, "FIRST_PAUSE", 0.05)
    yield


def planes_of(kind: str) -> dict[str, bytes]:
    """The files of a field, by name."""
    rng = np.random.default_rng(0)
    files = {}
    for name in CHANNEL_NAMES:
        stored = BytesIO()
        pixels = rng.integers(100, 4000, (SIDE, SIDE)).astype(np.uint16)
        if kind == "jpg":
            Image.fromarray((pixels >> 4).astype(np.uint8)).save(stored, "JPEG", quality=98)
        elif kind == "png":
            Image.fromarray(pixels).save(stored, "PNG")
        else:
            import tifffile

            tifffile.imwrite(stored, pixels, metadata=None)
        files[f"a_{name}.{kind}"] = stored.getvalue()
    return files


def zarr_of(folder: Path) -> dict[str, bytes]:
    """The files of a field in one OME-Zarr without compression, by path."""
    zarr = pytest.importorskip("zarr", reason="the extra zarr is not installed")
    import json

    pixels = np.random.default_rng(0).integers(100, 4000, (4, SIDE, SIDE)).astype(np.uint16)
    root = folder / "a.zarr"
    array = zarr.create_array(
        store=str(root / "0"), shape=pixels.shape, chunks=(1, SIDE // 2, SIDE), dtype="uint16", compressors=None,
        zarr_format=2,
    )  # fmt: skip
    array[:] = pixels
    (root / ".zgroup").write_text('{"zarr_format": 2}')
    axes = [{"name": "c", "type": "channel"}, *({"name": name, "type": "space"} for name in "yx")]
    about = {
        "multiscales": [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}],
        "omero": {"channels": [{"label": name} for name in CHANNEL_NAMES]},
    }
    (root / ".zattrs").write_text(json.dumps(about))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def copy(data: bytes, path: Path, how: str) -> None:
    """Copies a file as a program that reserves its size first, with rests in which it looks finished."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pieces = [(len(data) * n // PIECES, len(data) * (n + 1) // PIECES) for n in range(PIECES)]
    if how == "backwards":
        pieces.reverse()
    with path.open("wb") as reserved:
        reserved.truncate(len(data))
    times = path.stat()
    file: IO[bytes] = path.open("r+b")
    for first, last in pieces:
        time.sleep(0.2)  # longer than the settling time
        if how == "closed between":
            file.close()
            file = path.open("r+b")
        file.seek(first)
        file.write(data[first:last])
        file.flush()
        if how == "time kept":
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    file.close()


@pytest.mark.parametrize(
    ("kind", "how", "who_writes_is_seen"),
    [
        pytest.param("tif", "in order", True, marks=pytest.mark.slow),
        ("tif", "in order", False),
        pytest.param("tif", "backwards", False, marks=pytest.mark.slow),
        pytest.param("tif", "closed between", False, marks=pytest.mark.slow),
        ("tif", "time kept", False),
        pytest.param("tif", "time kept", True, marks=pytest.mark.slow),
        ("png", "in order", False),
        pytest.param("png", "time kept", False, marks=pytest.mark.slow),
        pytest.param("jpg", "in order", False, marks=pytest.mark.slow),
        pytest.param("jpg", "backwards", False, marks=pytest.mark.slow),
        ("zarr", "in order", False),
        pytest.param("zarr", "closed between", True, marks=pytest.mark.slow),
    ],
)
def test_a_copy_is_predicted_once_and_only_when_it_is_complete(
    predictor: Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    how: str,
    who_writes_is_seen: bool,
) -> None:
    if not who_writes_is_seen:
        monkeypatch.setattr(completeness, "is_open_for_writing", lambda path: None)
    files = zarr_of(tmp_path / "ready") if kind == "zarr" else planes_of(kind)
    late = max(files, key=lambda name: (len(files[name]), name))
    done: set[str] = set()
    recorder, stop = Recorder(done), threading.Event()
    live = tmp_path / "live"
    live.mkdir()
    outcome: list[BatchResult] = []
    timing = WatchTiming(interval=0.02, settle=0.05, patience=10.0)
    out = tmp_path / "out.csv"

    def work() -> None:
        outcome.append(watch(predictor, live, out, Rules(), OutputOptions(), timing, callback=recorder, stop=stop))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for name, data in files.items():
            (live / name).parent.mkdir(parents=True, exist_ok=True)
            if name != late:
                (live / name).write_bytes(data)
        copy(files[late], live / late, how)
        done.add(late)
        until = time.monotonic() + 60
        while not recorder.predicted_ids and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.3)
    finally:
        stop.set()
        thread.join()
    assert recorder.predicted_ids == ["a"]
    assert recorder.done_then == [{late}]
    assert (outcome[0].rows, outcome[0].failures) == (1, [])
    predict_to_file(predictor, find_fields([live])[0], tmp_path / "whole.csv", OutputOptions())
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_plane_that_is_black_is_predicted_all_the_same(predictor: Predictor, tmp_path: Path) -> None:
    """It looks like reserved space; so it is read a little later, and the watch does not end before that."""
    import tifffile

    files = planes_of("tif")
    (tmp_path / "live").mkdir()
    for name, data in files.items():
        (tmp_path / "live" / name).write_bytes(data)
    tifffile.imwrite(tmp_path / "live" / "a_yellow.tif", np.zeros((SIDE, SIDE), np.uint16), metadata=None)
    recorder = Recorder(set())
    timing = WatchTiming(interval=0.02, settle=0.05, patience=1.0, until_idle=0.2)
    out = tmp_path / "out.csv"
    outcome = watch(
        predictor, tmp_path / "live", out, Rules(), OutputOptions(), timing, callback=recorder, stop=threading.Event()
    )
    assert (outcome.rows, outcome.failures, recorder.failures) == (1, [], [])
    assert parse_warnings(["empty plane: yellow"])[0] in Predictions.read(out).warnings[0]


def test_a_copy_that_stops_half_way_is_reported_and_not_predicted(predictor: Predictor, tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.mkdir()
    for name, data in planes_of("tif").items():
        (live / name).write_bytes(data)
    recorder = Recorder(set())
    with (live / "a_red.tif").open("r+b") as file:  # the program hangs, and keeps it open
        if completeness.is_open_for_writing(live / "a_red.tif") is None:
            pytest.skip("this file system does not say who writes")
        file.seek(4096)
        file.write(bytes(8192))
        file.flush()
        timing = WatchTiming(interval=0.02, settle=0.05, patience=0.3, until_idle=0.5)
        outcome = watch(
            predictor,
            live,
            tmp_path / "out.csv",
            Rules(),
            OutputOptions(),
            timing,
            callback=recorder,
            stop=threading.Event(),
        )
    assert (outcome.rows, recorder.predicted_ids) == (0, [])
    assert "a program has it open for writing" in outcome.failures[0].reason
    assert [failure.id for failure in recorder.failures] == ["a"]


def test_a_second_watch_or_predict_on_one_output_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    from lociscope.errors import LociscopeError
    from lociscope.predict.output import PredictionOutput

    (tmp_path / "live").mkdir()
    out = tmp_path / "out.csv"
    with (
        PredictionOutput.create(
            predictor.bundle, tmp_path / "out.parquet", OutputOptions()
        ).lock(),  # which shares its parts
        pytest.raises(LociscopeError, match=r"out.csv' is being written by another process. Wait until it ends"),
    ):
        watch(
            predictor,
            tmp_path / "live",
            out,
            Rules(),
            OutputOptions(),
            WatchTiming(),
            callback=Recorder(set()),
            stop=threading.Event(),
        )
    assert not list(tmp_path.glob("out*"))
