"""The fields that a service predicts, compared window by window: gauges, and an alarm when drift begins or ends."""

from __future__ import annotations

import json
import shlex
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.artifacts.predictions import Predictions
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.statistics import STATISTICS
from lociscope.monitor.samples import Sample
from lociscope.service.drift_watch import MAX_BUNDLES, MAX_WAITING, DriftWatch
from lociscope.service.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lociscope.monitor.report import DriftReport

SIZE = 20


def predictions(number: int) -> Predictions:
    return Predictions([f"f{number}"], np.full((1, 28), 0.1, np.float32), [(number % 3,)], ["ok"], [()])


def statistics(number: int, shift: float = 0) -> np.ndarray:
    return (np.random.default_rng(number).normal(20 + shift, 5, (1, len(STATISTICS)))).astype(np.float32)


@pytest.fixture
def seen() -> list[tuple[DriftReport | None, str]]:
    return []


@pytest.fixture
def make_watch(seen: list[tuple[DriftReport | None, str]]) -> Callable[..., DriftWatch]:
    """`make_watch(alarm=…)` watches windows of 20 fields; its outcomes are in `seen`."""

    def find(bundle: str) -> Sample:
        if bundle == "without":
            raise LociscopeError("no reference", code=Code.NOT_FOUND)
        some = [predictions(number) for number in range(1000, 1060)]
        rows = np.concatenate([statistics(number) for number in range(1000, 1060)])
        joined = Predictions.join(some)
        locations = np.eye(28, dtype=bool)[[each[0] for each in joined.predicted]]
        return Sample("the reference", joined.ids, locations, rows, None, bundle)

    def make(alarm: str | None = None, sent: list[str] | None = None) -> DriftWatch:
        messages: list[str] = [] if sent is None else sent
        return DriftWatch(SIZE, find, 0.01, None, alarm, lambda *found: seen.append(found), messages.append)

    return make


def feed(watch: DriftWatch, first: int, shift: float = 0, bundle: str = "b", number: int = SIZE) -> None:
    for each in range(first, first + number):
        watch.add(predictions(each), statistics(each, shift), bundle=bundle)


@pytest.mark.slow
def test_windows_are_compared_and_an_alarm_is_sent_when_drift_begins_and_ends(
    make_watch: Callable[..., DriftWatch], seen: list[Any], tmp_path: Path
) -> None:
    program = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')"
    sent: list[str] = []
    watch = make_watch(shlex.join([sys.executable, "-c", program, str(tmp_path / "alarms")]), sent)
    for first, shift in ((0, 0.0), (20, 30.0), (40, 30.0), (60, 0.0)):
        feed(watch, first, shift)
        assert watch.compare_next()
    assert [outcome for _, outcome in seen] == ["same", "drift", "drift", "same"]
    assert seen[1][0].fields == SIZE
    alarms = [json.loads(line) for line in (tmp_path / "alarms").read_text().splitlines()]
    assert [each["drifted"] for each in alarms] == [True, False]
    assert sent == ["sent", "sent"]


def test_an_alarm_that_cannot_be_sent_is_counted(make_watch: Callable[..., DriftWatch], seen: list[Any]) -> None:
    sent: list[str] = []
    watch = make_watch("no-such-program-here", sent)
    feed(watch, 0, 30)
    watch.compare_next()
    assert ([outcome for _, outcome in seen], sent) == (["drift"], ["failed"])


def test_bundles_are_gathered_apart_and_full_windows_do_not_pile_up(
    make_watch: Callable[..., DriftWatch], seen: list[Any]
) -> None:
    watch = make_watch()
    for number in range(SIZE - 1):
        for bundle in ("b", "c"):
            watch.add(predictions(number), statistics(number), bundle=bundle)
    assert watch._full.qsize() == 0
    feed(watch, 50, number=1)
    assert watch._full.qsize() == 1
    for number in range(MAX_BUNDLES + 3):
        feed(watch, 0, bundle=f"new{number}", number=1)
    assert len(watch._gathered) == MAX_BUNDLES
    feed(watch, 100, number=MAX_WAITING * SIZE)
    assert (watch._full.qsize(), seen) == (MAX_WAITING, [(None, "skipped")])


def test_a_bundle_without_reference_costs_no_prediction(
    make_watch: Callable[..., DriftWatch], seen: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    watch = make_watch()
    for first in (0, 20):
        feed(watch, first, bundle="without")
        watch.compare_next()
    assert seen == [(None, "failed")] * 2
    assert len(caplog.records) == 1


def test_it_stops(make_watch: Callable[..., DriftWatch]) -> None:
    watch = make_watch()
    watch.start()
    feed(watch, 0, number=5)
    watch.stop()
    assert not watch._thread.is_alive()


def read_metrics(client: Any) -> dict[str, float]:
    lines = [line for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.mark.slow
def test_the_service_shows_gauges(serve: Any, make: Any, tmp_path: Path) -> None:
    log = str(tmp_path / "may.db")

    def send(client: Any, first: int, number: int, faint: bool = False) -> None:
        for each in range(first, first + number):
            files = make.planes(f"f{each}", each, 64)
            if faint:
                files[f"f{each}_red.png"] = make.png(np.full((64, 64), 3, np.uint8))
            assert client.post("/predict", files=make.form(files)).status_code == 200

    client = serve(log=log)
    send(client, 0, 30)
    client.app.state.service.log_writer.close(10)
    client = serve(monitor=SIZE, reference=log, alarm="no-such-program-here")
    assert read_metrics(client)["lociscope_drift"] == 0
    for outcome, first, faint in (("same", 100, False), ("drift", 200, True)):
        send(client, first, SIZE, faint)
        ends = time.monotonic() + 20
        while f'lociscope_drift_windows_total{{outcome="{outcome}"}}' not in read_metrics(client):
            assert time.monotonic() < ends, read_metrics(client)
            time.sleep(0.02)
    while 'lociscope_alarms_total{outcome="failed"}' not in (found := read_metrics(client)):
        time.sleep(0.02)
    assert found["lociscope_drift"] == 1
    assert found["lociscope_drift_least_p"] < 0.01
    assert found['lociscope_drift_distance{statistic="BrightIntensity_red"}'] == 1
    assert max(value for name, value in found.items() if name.startswith("lociscope_drift_cause")) == 1


def test_settings_need_a_window_and_a_reference(serve: Any, tiny_bundle: Path) -> None:
    with pytest.raises(UsageError, match="need `monitor`"):
        Settings(alarm="mail x").check()
    with pytest.raises(LociscopeError, match="carries no reference"):
        serve(monitor=20)
