"""The plugin inside the real camacq, with its own sample, image events and automations (`make test-camacq`)."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("camacq", reason="camacq is not installed, or this Python is older than 3.12: `make test-camacq`")

import tifffile
from camacq import plugins
from camacq.config import load_config_file
from camacq.control import CamAcqStopEvent, Center
from camacq.plugins.api import Api, ImageEvent, register_api
from camacq.plugins.leica.sample import LeicaSample
from camacq.plugins.sample import register_sample

from lociscope import camacq_plugin
from lociscope.camacq_plugin import PREDICTED_LOCATION_EVENT, Settings
from lociscope.predict.predictor import Predictor

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "camacq.md"
CHANNELS = ("green", "blue", "yellow", "red")


class Microscope(Api):  # type: ignore[misc]
    """Counts how often the imaging starts."""

    name = "test"
    started = 0

    async def start_imaging(self) -> None:
        self.started += 1


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """The configuration of the page, read by camacq; the Leica stays away, its sample does not."""
    text = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)[0]
    path = tmp_path / "config.yml"
    path.write_text(text.replace("leica: {}\n", ""), encoding="utf-8")
    loaded: dict[str, Any] = load_config_file(path)
    return {**loaded, "lociscope": {**loaded["lociscope"], "threads": 1}}


def image_events(folder: Path, well: int, names: tuple[str, ...] = CHANNELS, blank: bool = False) -> list[ImageEvent]:
    """Write a field of noise, and return the events of its images."""
    rng, events = np.random.default_rng(well), []
    for name in names:
        number = CHANNELS.index(name) if name in CHANNELS else 9
        path = folder / f"image--U{well:02d}--V00--X00--Y00--Z00--C{number:02d}.ome.tif"
        tifffile.imwrite(path, rng.gamma(2, 0 if blank else 300, (256, 256)).astype(np.uint16))
        events.append(ImageEvent({
            "path": str(path), "plate_name": "P1", "well_x": well, "well_y": 0, "field_x": 0, "field_y": 0,
            "z_slice_id": 0, "channel_id": number,
        }))  # fmt: skip
    return events


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Change what a field has: the value of its well is a tuple of classes; the rest is predicted as it is."""
    chosen: dict[str, Any] = {}
    predict = Predictor.predict

    def change(self: Predictor, fields: Any, **options: Any) -> Any:
        found = predict(self, fields, **options)
        classes = chosen.get(fields[0].id.split("-")[1])
        if isinstance(classes, Exception):
            raise classes
        if classes is not None:
            found.predicted[0] = classes
            found.warnings[0] = ()
        return found

    monkeypatch.setattr(Predictor, "predict", change)
    return chosen


async def run(config: dict[str, Any], events: list[ImageEvent]) -> tuple[Center, Microscope, list[Any]]:
    center, microscope, seen = Center(asyncio.get_running_loop()), Microscope(), []

    async def keep(center: Center, event: Any) -> None:
        seen.append(event)

    register_sample(center, LeicaSample())
    register_api(center, microscope)
    center.bus.register("base_event", keep)
    await plugins.setup_module(center, config)
    for event in events:
        await center.bus.notify(event)
    await center.bus.notify(CamAcqStopEvent({"exit_code": 0}))
    return center, microscope, [each for each in seen if isinstance(each, camacq_plugin.FieldEvent)]


def field_of(center: Center, well: int) -> Any:
    place = {"plate_name": "P1", "well_x": well, "well_y": 0, "field_x": 0, "field_y": 0}
    return center.samples["leica"].get_sample("field", **place)


def test_camacq_finds_the_plugin() -> None:
    from camacq.plugins import get_plugins

    assert get_plugins()["lociscope"] is camacq_plugin


def test_mixed_patterns_are_revisited(config: dict[str, Any], tmp_path: Path, predicted: dict[str, Any]) -> None:
    predicted |= {"01": (2, 25), "02": (2,), "03": (17, 25)}
    events = [event for well in (1, 2, 3) for event in image_events(tmp_path, well)]
    center, microscope, seen = asyncio.run(run(config, events))
    assert [event.event_type for event in seen] == [PREDICTED_LOCATION_EVENT] * 3
    assert microscope.started == 1  # one location is not mixed, and the spindle is excluded by the condition
    values = field_of(center, 1).values
    assert values["revisit"] == "true"
    assert set(values["locations"].split("; ")) == {"Nucleoli", "Cytosol"}
    assert "revisit" not in field_of(center, 2).values
    assert "revisit" not in field_of(center, 3).values


def test_an_event_has_what_the_predictor_says(config: dict[str, Any], tmp_path: Path) -> None:
    events = image_events(tmp_path, 4)
    _, _, seen = asyncio.run(run(config, events))
    event = seen[0]
    assert (event.plate_name, event.well_x, event.z_slice_id) == ("P1", 4, 0)
    assert len(event.probabilities) == 28
    assert event.mixed == (len(event.locations) > 1)
    assert event.paths["red"].endswith("C03.ome.tif")
    json.dumps(event.data)
    with pytest.raises(AttributeError):
        _ = event.nothing


def test_incomplete_fields_and_other_channels_wait(config: dict[str, Any], tmp_path: Path) -> None:
    events = image_events(tmp_path, 5, ("green", "blue", "yellow", "brightfield"))
    assert asyncio.run(run(config, events))[2] == []


def test_a_field_that_cannot_be_read_is_an_event_too(config: dict[str, Any], tmp_path: Path) -> None:
    events = image_events(tmp_path, 6)
    Path(events[1].path).write_bytes(b"no image")
    again = image_events(tmp_path, 7)
    _, _, seen = asyncio.run(run(config, [*events, *again]))
    assert [event.event_type for event in seen] == ["failed_prediction_event", PREDICTED_LOCATION_EVENT]
    assert "C01" in seen[0].reason


@pytest.mark.parametrize(
    "change",
    [
        {"channels": {0: "green"}},
        {"channels": {0: "green", 1: "blue", 2: "yellow", 3: "pink"}},
        {"bundle": "/nonexistent"},
        {"pixel": 1},
    ],
)
def test_a_wrong_configuration_is_logged(
    config: dict[str, Any], tmp_path: Path, change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    config["lociscope"] = {**config["lociscope"], **change}
    _, _, seen = asyncio.run(run(config, image_events(tmp_path, 8)))
    assert seen == []
    assert any("does not predict" in record.getMessage() for record in caplog.records)


def test_settings_name_each_channel_once() -> None:
    Settings(channels=dict(enumerate(("red", "green", "blue", "yellow"))))
    with pytest.raises(ValueError, match="once"):
        Settings(channels=dict(enumerate(("red", "red", "blue", "yellow"))))
