"""A plugin of camacq: image events become predicted locations, which its automations use as triggers.

The key `lociscope` of camacq's configuration switches it on; `Settings` has its values. Once the four channels of a
field are imaged, the field is predicted in a thread, and `PredictedLocationEvent` is sent.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from camacq.const import CAMACQ_STOP_EVENT, IMAGE_EVENT
from camacq.event import Event
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lociscope.channels import CHANNEL_NAMES, ChannelName
from lociscope.errors import LociscopeError
from lociscope.images.discovery.field_source import FieldSource
from lociscope.images.io.container import PlaneRef
from lociscope.labels import LABELS
from lociscope.predict.predictor import Predictor, open_bundle

if TYPE_CHECKING:
    from camacq.control import Center
    from camacq.plugins.api import ImageEvent

    from lociscope.artifacts.predictions import Predictions

LOCISCOPE_EVENT = "lociscope_event"
"""Both of the following; camacq would report a class without a type twice to those who listen to every event."""
PREDICTED_LOCATION_EVENT = "predicted_location_event"
FAILED_PREDICTION_EVENT = "failed_prediction_event"
MAX_INCOMPLETE = 10_000
"""Most fields of which some channels are imaged; then the oldest are forgotten."""

logger = logging.getLogger(__name__)


class Settings(BaseModel):
    """The key `lociscope` of camacq's configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: dict[int, ChannelName] = Field(description="The channel of RGBY for each channel id of the images.")
    pixel_size: float | None = Field(None, gt=0, description="Side of a pixel, µm; by default that of the files.")
    bundle: Path | None = Field(None, description="The bundle; by default the one that ships.")
    threads: int = Field(0, ge=0, description="Threads of a prediction; 0 uses every core.")

    @field_validator("channels")
    @classmethod
    def _check_channels(cls, channels: dict[int, ChannelName]) -> dict[int, ChannelName]:
        if sorted(channels.values()) != sorted(CHANNEL_NAMES):
            raise ValueError(f"name each of {', '.join(CHANNEL_NAMES)} once")
        return channels


class Place(NamedTuple):
    """Where a field was imaged, as the image events of camacq say."""

    plate_name: str | None
    well_x: int | None
    well_y: int | None
    field_x: int | None
    field_y: int | None
    z_slice_id: int | None

    @property
    def name(self) -> str:
        """The name of the field, for logs and files."""
        plate, *numbers = self
        return "-".join([plate or "plate", *("?" if number is None else f"{number:02d}" for number in numbers)])


class FieldEvent(Event):
    """An event about one field; its place and its values are attributes, so that triggers can match them."""

    __slots__ = ()
    event_type: ClassVar[str] = LOCISCOPE_EVENT

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any value of the event
        try:
            return self.data[name]
        except KeyError:
            raise AttributeError(name) from None


class PredictedLocationEvent(FieldEvent):
    """A field was predicted.

    Its `data`, which are attributes too: `plate_name`, `well_x`, `well_y`, `field_x`, `field_y`, `z_slice_id`;
    `locations`, names in the order of their probability; `probabilities`, by name; `status`; `mixed`, whether there are
    several locations; `unsure`; `warnings`; `paths`, the four files.
    """

    __slots__ = ()
    event_type: ClassVar[str] = PREDICTED_LOCATION_EVENT


class FailedPredictionEvent(FieldEvent):
    """A field could not be predicted; `reason` says why. The place is as in `PredictedLocationEvent`."""

    __slots__ = ()
    event_type: ClassVar[str] = FAILED_PREDICTION_EVENT


async def setup_module(center: Center, config: dict[str, Any]) -> None:
    """Begin to predict, as camacq asks its plugins to.

    Args:
        center: Camacq's control center.
        config: Its whole configuration.
    """
    try:
        settings = Settings.model_validate(config["lociscope"] or {})
        predictor = await center.add_executor_job(partial(open_bundle, settings.bundle, threads=settings.threads))
    except (ValidationError, LociscopeError) as error:  # as camacq does with the configuration of its own plugins
        logger.error("lociscope does not predict: %s", error)
        return
    follower = FieldFollower(center, settings, predictor)
    center.bus.register(IMAGE_EVENT, follower.on_image)
    center.bus.register(CAMACQ_STOP_EVENT, follower.on_stop)
    center.data["lociscope"] = follower


class FieldFollower:
    """Collects the images of each field, and predicts it.

    Args:
        center: Camacq's control center.
        settings: The configuration.
        predictor: The open bundle.
    """

    def __init__(self, center: Center, settings: Settings, predictor: Predictor) -> None:
        self._center = center
        self._settings = settings
        self._predictor = predictor
        self._paths: dict[Place, dict[ChannelName, str]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def on_image(self, center: Center, event: ImageEvent) -> None:
        """Receive an image; the fourth of a field starts its prediction, which this does not wait for."""
        channel = self._settings.channels.get(event.channel_id)
        if channel is None:
            return
        place = Place(event.plate_name, event.well_x, event.well_y, event.field_x, event.field_y, event.z_slice_id)
        paths = self._paths.setdefault(place, {})
        paths[channel] = event.path
        if len(paths) == len(CHANNEL_NAMES):
            task = center.create_task(self._predict(place, self._paths.pop(place)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif len(self._paths) > MAX_INCOMPLETE:
            self._paths.pop(next(iter(self._paths)))

    async def on_stop(self, center: Center, event: Event) -> None:
        """Finish the fields that are imaged."""
        await self.finish()

    async def finish(self) -> None:
        """Wait for the predictions that have begun."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _predict(self, place: Place, paths: dict[ChannelName, str]) -> None:
        planes = tuple(PlaneRef(Path(paths[name])) for name in CHANNEL_NAMES)
        source = FieldSource(place.name, planes, self._settings.pixel_size)
        about = {**place._asdict(), "paths": dict(paths)}
        try:
            async with self._one_at_a_time:
                predictions = await self._center.add_executor_job(self._predictor.predict, [source])
            made: FieldEvent = PredictedLocationEvent(about | describe(predictions))
        except (LociscopeError, MemoryError) as error:
            logger.error("Field '%s' is not predicted: %s", place.name, error)
            made = FailedPredictionEvent(about | {"reason": str(error)})
        await self._center.bus.notify(made)


def describe(predictions: Predictions) -> dict[str, Any]:
    """Return the predictions of one field as the values of an event."""
    probability = predictions.probability[0]
    numbers = sorted(predictions.predicted[0], key=lambda number: -probability[number])
    return {
        "locations": tuple(LABELS[number] for number in numbers),
        "probabilities": {name: float(value) for name, value in zip(LABELS, probability, strict=True)},
        "status": predictions.status[0],
        "mixed": len(numbers) > 1,
        "unsure": predictions.status[0] == "unsure",
        "warnings": tuple(map(str, predictions.warnings[0])),
    }
