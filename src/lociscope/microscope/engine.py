"""The engine: one event of useq-schema becomes one picture, or an error; nothing is passed over in silence.

pymmcore-plus' own engine logs a stage that did not move, a preset that failed and a camera that gave nothing as
warnings and goes on. Where a program decides what to look at, a picture of the wrong place is worse than none.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from lociscope.microscope.focus import Focus, HardwareError, first_line
from lociscope.microscope.positions import check_limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import useq
    from pymmcore_plus import CMMCorePlus

    from lociscope.microscope.plan import Limits

FAR_UM = 1000.0
"""Travel in µm from which the stage first goes to `safe_z`."""
ARRIVED_UM = 5.0
"""How far from where it was sent a stage may say that it is."""


class StrictEngine:
    """Drives the microscope for pymmcore-plus' runner (its protocol `PMDAEngine`).

    Args:
        core: The microscope.
        limits: How far the stage may go. Every event is checked against them once more before it moves anything.
        focus: Withdraws the focus before a travel, and restores it.
    """

    def __init__(self, core: CMMCorePlus, limits: Limits, focus: Focus) -> None:
        self._core = core
        self._limits = limits
        self._focus = focus
        self._at: dict[Any, Any] = {}
        self._autoshutter = False
        self.busy_since: float | None = None
        """When the event began that is being done, by `time.monotonic`; None between events."""

    def setup_sequence(self, sequence: useq.MDASequence) -> None:
        """Takes the shutter into its own hands."""
        self._at.clear()
        self._autoshutter = self._core.getAutoShutter()
        self._core.setAutoShutter(False)

    def setup_event(self, event: useq.MDAEvent) -> None:
        """Moves to where the event is, and sets its channel and exposure.

        Raises:
            OutsideLimitsError: It lies outside the limits; nothing has moved.
            HardwareError: A device failed, or the stage is not where it was sent.
        """
        self.busy_since = time.monotonic()
        what = f"Field '{event.pos_name}'"
        check_limits(event.x_pos, event.y_pos, event.z_pos, self._limits, what)
        try:
            self._go(event)
            if event.channel is not None and self._new("channel", (event.channel.group, event.channel.config)):
                self._core.setConfig(event.channel.group, event.channel.config)
            if event.exposure is not None and self._new("exposure", event.exposure):
                self._core.setExposure(event.exposure)
            self._core.waitForSystem()
        except HardwareError as error:
            self._at.clear()
            raise HardwareError(f"{what}: {error}") from error
        except (RuntimeError, TimeoutError, ValueError) as error:
            self._at.clear()
            raise HardwareError(f"{what}: the microscope failed ({first_line(error)}). Look at the device.") from error

    def exec_event(self, event: useq.MDAEvent) -> Iterator[Any]:
        """Takes one picture with the shutter open for as long as that takes.

        Yields:
            The picture, its event, and where the focus is, `focus` in µm.

        Raises:
            HardwareError: The camera gave none.
        """
        try:
            self._shutter(True)
            try:
                self._core.snapImage()
            finally:
                self._shutter(False)
            picture = self._core.getImage()
            focus = self._focus.position()
            self.busy_since = None
            yield picture, event, {"focus": focus}
        except (RuntimeError, TimeoutError, ValueError) as error:
            raise HardwareError(
                f"Field '{event.pos_name}': the camera gave no picture ({first_line(error)}). Look at the camera."
            ) from error

    def event_iterator(self, events: Iterable[useq.MDAEvent]) -> Iterator[useq.MDAEvent]:
        """The events as they come: none is joined with the next, which may not be known yet."""
        return iter(events)

    def teardown_event(self, event: useq.MDAEvent) -> None:
        """Has nothing to undo."""

    def teardown_sequence(self, sequence: useq.MDASequence) -> None:
        """Gives the shutter back, closed."""
        self._shutter(False)
        self._core.setAutoShutter(self._autoshutter)

    def _go(self, event: useq.MDAEvent) -> None:
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
        if event.x_pos is not None and event.y_pos is not None and self._new("xy", (event.x_pos, event.y_pos)):
            core.setXYPosition(event.x_pos, event.y_pos)
            core.waitForDevice(core.getXYStageDevice())
            self._check_arrival(event.x_pos, event.y_pos)
        self._focus.restore(event.z_pos, turns[-1][2] if turns else None)

    def _new(self, key: str, value: object) -> bool:
        """Whether something has to change; then it is taken as changed, until a failure makes all of it unknown."""
        known = self._at.get(key) == value
        self._at[key] = value
        return not known

    def _check_arrival(self, x: float, y: float) -> None:
        """Refuse to go on from elsewhere; the focus stays withdrawn."""
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
