"""An acquisition engine that turns each event of useq-schema into one image, or raises an error.

The engine of pymmcore-plus logs a warning and continues if a stage does not move, a preset fails or the camera gives
no image. If a program decides what to image, an image of the wrong position is worse than none.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, TypeVar

from lociscope.microscope.autofocus import measure_sharpness
from lociscope.microscope.focus import FocusController, HardwareError, first_line
from lociscope.microscope.positions import check_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    import useq
    from pymmcore_plus import CMMCorePlus

    from lociscope.microscope.sections import Limits

Result = TypeVar("Result")

RETRY_S = 0.5
"""Pause before a failed image is tried again."""
FAR_UM = 1000.0
"""Travel of the stage in µm above which the focus first goes to `safe_z`."""
ARRIVED_UM = 5.0
"""Largest accepted distance in µm between the position that a stage reports and its target."""


class StrictEngine:
    """Drive the microscope for the runner of pymmcore-plus (protocol `PMDAEngine`).

    Args:
        core: The microscope.
        limits: The limits of the plan. Every event is checked against them again before it moves anything.
        focus: Withdraws the focus before travel, and restores it.
        autofocus_um: How far up and down to look for the focus of a field whose events ask for it, µm.
        retries: How often an image is tried again after a device failed.
        skip: Called with the name of a field and the error when its image has failed; returns whether to leave the
            field out and go on. By default the error ends the run.
    """

    def __init__(
        self,
        core: CMMCorePlus,
        limits: Limits,
        focus: FocusController,
        *,
        autofocus_um: float = 0.0,
        retries: int = 0,
        skip: Callable[[str, HardwareError], bool] = lambda field, error: False,
    ) -> None:
        self._core = core
        self._limits = limits
        self._focus = focus
        self._reach = autofocus_um
        self._shift: tuple[str | None, float] = (None, 0.0)
        self._retries = retries
        self._skip = skip
        self._skipped: str | None = None
        self._at: dict[Any, Any] = {}
        self._autoshutter = False
        self.busy_since: float | None = None
        """When the current event began, by `time.monotonic`; None between events."""

    def setup_sequence(self, sequence: useq.MDASequence | None) -> None:
        """Take control of the shutter."""
        self._at.clear()
        self._skipped = None
        self._autoshutter = self._core.getAutoShutter()
        self._core.setAutoShutter(False)

    def setup_event(self, event: useq.MDAEvent) -> None:
        """Move to the position of an event, and set its channel and exposure.

        Raises:
            OutsideLimitsError: It is outside the limits; nothing has moved.
            HardwareError: A device failed, or the stage did not reach its target.
        """
        if self._skipped is not None and self._skipped == event.pos_name:
            return
        self._try(event, lambda: self._set_up(event))

    def exec_event(self, event: useq.MDAEvent) -> Iterator[Any]:
        """Take one image with the shutter open only during the exposure.

        Yields:
            The image, its event, and the position of the focus, `focus` in µm; nothing for a field that is left out.

        Raises:
            HardwareError: The camera gave no image.
        """
        if self._skipped is not None and self._skipped == event.pos_name:
            return
        taken = self._try(event, lambda: self._snap(event))
        self.busy_since = None
        if taken is not None:
            yield (taken[0], event, {"focus": taken[1]})

    def _try(self, event: useq.MDAEvent, step: Callable[[], Result]) -> Result | None:
        """Do a step of an event, again after a failure; return None if its field is left out.

        Raises:
            HardwareError: It has failed too often.
        """
        for attempt in range(self._retries + 1):
            self.busy_since = time.monotonic()
            try:
                return step()
            except HardwareError as error:
                self._at.clear()
                if attempt < self._retries:
                    time.sleep(RETRY_S)
                    continue
                if not self._skip(str(event.pos_name), error):
                    raise
                self._skipped = event.pos_name
        self.busy_since = None
        return None

    def _set_up(self, event: useq.MDAEvent) -> None:
        what = f"Field '{event.pos_name}'"
        check_limits(event.x_pos, event.y_pos, event.z_pos, self._limits, what)
        try:
            self._move(event)
            if event.channel is not None and self._set_new("channel", (event.channel.group, event.channel.config)):
                self._core.setConfig(event.channel.group, event.channel.config)
            if event.exposure is not None and self._set_new("exposure", event.exposure):
                self._core.setExposure(event.exposure)
            self._core.waitForSystem()
            if event.metadata.get("autofocus") and self._shift[0] != event.pos_name:
                self._shift = event.pos_name, self._focus.search(self._measure, self._reach) or 0.0
        except HardwareError as error:
            raise HardwareError(f"{what}: {error}") from error
        except (RuntimeError, TimeoutError, ValueError) as error:
            raise HardwareError(f"{what}: the microscope failed ({first_line(error)}). Look at the device.") from error

    def _snap(self, event: useq.MDAEvent) -> tuple[Any, float | None]:
        """Take one image, and return it with the position of the focus."""
        if not self._at:  # an earlier attempt failed: nothing is known of the devices
            self._set_up(event)
        try:
            return self._expose(), self._focus.position()
        except (RuntimeError, TimeoutError, ValueError) as error:
            raise HardwareError(
                f"Field '{event.pos_name}': the camera gave no image ({first_line(error)}). Look at the camera."
            ) from error

    def _expose(self) -> np.ndarray:
        """Return an image for which the shutter was open only during the exposure."""
        self._shutter(True)
        try:
            self._core.snapImage()
        finally:
            self._shutter(False)
        image: np.ndarray = self._core.getImage()
        return image

    def _measure(self) -> float:
        self.busy_since = time.monotonic()
        return measure_sharpness(self._expose())

    def event_iterator(self, events: Iterable[useq.MDAEvent]) -> Iterator[useq.MDAEvent]:
        """Return the events unchanged: none is merged with the next, which may not be known yet."""
        return iter(events)

    def teardown_event(self, event: useq.MDAEvent) -> None:
        """Do nothing."""

    def teardown_sequence(self, sequence: useq.MDASequence | None) -> None:
        """Close the shutter and return control of it."""
        self._shutter(False)
        self._core.setAutoShutter(self._autoshutter)

    def _move(self, event: useq.MDAEvent) -> None:
        core = self._core
        turns = [setting for setting in event.properties or () if self._at.get(setting[:2]) != setting[2]]
        x, y = self._at.get("xy", (math.inf, math.inf))
        far = math.hypot((event.x_pos or 0) - x, (event.y_pos or 0) - y) > FAR_UM
        if turns or far:
            self._focus.withdraw(turning=bool(turns))
        for device, name, value in turns:
            core.setProperty(device, name, value)
            core.waitForDevice(device)
            self._at[device, name] = value
        if event.x_pos is not None and event.y_pos is not None and self._set_new("xy", (event.x_pos, event.y_pos)):
            core.setXYPosition(event.x_pos, event.y_pos)
            core.waitForDevice(core.getXYStageDevice())
            self._check_arrival(event.x_pos, event.y_pos)
        shift = self._shift[1] if self._shift[0] == event.pos_name else 0.0
        self._focus.restore(event.z_pos, turns[-1][2] if turns else None, shift)

    def _set_new(self, key: str, value: object) -> bool:
        """Record a setting, and return whether it differs from the last one; a failure clears the records."""
        changed = self._at.get(key) != value
        self._at[key] = value
        return changed

    def _check_arrival(self, x: float, y: float) -> None:
        """Raise an error if the stage did not reach its target; the focus stays withdrawn."""
        at = self._core.getXYPosition()
        if math.hypot(at[0] - x, at[1] - y) > ARRIVED_UM:
            raise HardwareError(
                f"the stage was sent to {x:.1f}, {y:.1f} µm and is at {at[0]:.1f}, {at[1]:.1f}. Look at the stage."
            )

    def _shutter(self, opened: bool) -> None:
        label = self._core.getShutterDevice()
        if label:
            self._core.setShutterOpen(label, opened)
            self._core.waitForDevice(label)
