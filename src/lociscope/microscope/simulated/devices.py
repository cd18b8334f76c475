"""Devices of the simulated microscope, in Python alone, as pymmcore-plus' UniMMCore takes them.

Each of them acts on one `SimulatedState`, and each step takes its time there by the plan's timing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pymmcore_plus.experimental.unicore import (
    ShutterDevice,
    SimpleCameraDevice,
    StageDevice,
    StateDevice,
    UniMMCore,
    XYStageDevice,
)

from lociscope.channels import CHANNEL_NAMES
from lociscope.microscope.simulated.specimen import SimulatedPlate, View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lociscope.microscope.configuration import Scale
    from lociscope.microscope.plan import Plan, Timing

CAMERA, STAGE, FOCUS, SHUTTER, WHEEL = "Camera", "XY", "Z", "Shutter", "Channel"


@dataclass(slots=True)
class SimulatedState:
    """The state of the simulated microscope.

    Attributes:
        plate: What lies on the stage.
        timing: What each step takes.
        pace: Seconds waited for each simulated one.
        pixel_sizes: Side of a pixel in µm, by the position of the turret.
        side: Side of the camera's picture in px.
        clock: Simulated seconds since it was switched on.
    """

    plate: SimulatedPlate
    timing: Timing
    pace: float
    pixel_sizes: tuple[float, ...]
    side: int
    seed: int = 0
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    objective: int = 0
    channel: int = 0
    exposure: float = 100.0
    opened: bool = False
    pictures: int = 0
    clock: float = 0.0

    def spend(self, seconds: float) -> None:
        """Lets simulated time go by."""
        self.clock += seconds
        if self.pace:
            time.sleep(seconds * self.pace)

    def view(self) -> View:
        """What the camera sees."""
        return View(self.x, self.y, self.z, self.pixel_sizes[self.objective], self.side, self.exposure)


class SimulatedCamera(SimpleCameraDevice):
    """Shows what lies under the objective; the noise is new in each picture."""

    def __init__(self, state: SimulatedState) -> None:
        super().__init__()
        self._state = state

    def get_exposure(self) -> float:
        """Exposure in ms."""
        return self._state.exposure

    def set_exposure(self, exposure: float) -> None:
        """Sets the exposure in ms."""
        self._state.exposure = exposure

    def sensor_shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._state.side, self._state.side

    def dtype(self) -> type[np.uint16]:
        """16 bits."""
        return np.uint16

    def snap(self, buffer: np.ndarray) -> Mapping[str, object]:
        """Takes one picture."""
        state = self._state
        state.spend(state.exposure / 1000 + state.timing.readout_s)
        state.pictures += 1
        noise = np.random.default_rng([state.seed, state.pictures, 3])
        buffer[:] = state.plate.photograph(state.view(), state.channel, noise, lit=state.opened)
        return {}


class SimulatedStage(XYStageDevice):
    """Moves the plate."""

    def __init__(self, state: SimulatedState) -> None:
        super().__init__()
        self._state = state

    def set_position_um(self, x: float, y: float) -> None:
        """Goes somewhere, µm."""
        state = self._state
        way = float(np.hypot(x - state.x, y - state.y))
        state.spend(way / state.timing.stage_um_per_s + state.timing.settle_s * (way > 0))
        state.x, state.y = x, y

    def get_position_um(self) -> tuple[float, float]:
        """Where it is, µm."""
        return self._state.x, self._state.y

    def home(self) -> None:
        """Goes to the origin."""
        self.set_position_um(0, 0)

    def stop(self) -> None:
        """Has nothing to stop: its moves are done at once."""

    def set_origin_x(self) -> None:
        """Is not offered: the plate has its place."""

    def set_origin_y(self) -> None:
        """Is not offered: the plate has its place."""


class SimulatedFocus(StageDevice):
    """Moves the objective; the cells lie at 0 µm."""

    def __init__(self, state: SimulatedState) -> None:
        super().__init__()
        self._state = state

    def set_position_um(self, val: float) -> None:
        """Goes somewhere, µm."""
        self._state.z = val

    def get_position_um(self) -> float:
        """Where it is, µm."""
        return self._state.z

    def home(self) -> None:
        """Goes to the origin."""
        self._state.z = 0.0

    def stop(self) -> None:
        """Has nothing to stop: its moves are done at once."""

    def set_origin(self) -> None:
        """Is not offered: the plate has its place."""


class SimulatedShutter(ShutterDevice):
    """Lets light through, or not."""

    def __init__(self, state: SimulatedState) -> None:
        super().__init__()
        self._state = state

    def get_open(self) -> bool:
        """Whether it is open."""
        return self._state.opened

    def set_open(self, open: bool) -> None:
        """Opens or closes it."""
        self._state.opened = open


class SimulatedWheel(StateDevice):
    """Chooses the channel."""

    def __init__(self, state: SimulatedState) -> None:
        super().__init__(dict(enumerate(CHANNEL_NAMES)))
        self._state = state

    def get_state(self) -> int:
        """Which it is, in RGBY."""
        return self._state.channel

    def set_state(self, position: int) -> None:
        """Changes it."""
        self._state.spend(self._state.timing.channel_s * (position != self._state.channel))
        self._state.channel = position


class SimulatedTurret(StateDevice):
    """Chooses the objective."""

    def __init__(self, state: SimulatedState, labels: list[str]) -> None:
        super().__init__(dict(enumerate(labels)))
        self._state = state

    def get_state(self) -> int:
        """Which it is, in the plan's order."""
        return self._state.objective

    def set_state(self, position: int) -> None:
        """Changes it."""
        self._state.spend(self._state.timing.objective_s * (position != self._state.objective))
        self._state.objective = position


def simulated_core(plan: Plan, scale: Scale) -> tuple[UniMMCore, SimulatedState]:
    """Switches the simulated microscope on.

    Args:
        plan: Names the plate, the objectives and the timing.
        scale: How large the pixels are.

    Returns:
        The microscope, and its state.
    """
    sizes = tuple(scale.pixel_size[each.name] for each in plan.objectives)
    specimen = plan.specimen
    state = SimulatedState(
        SimulatedPlate(plan, min(sizes)), plan.timing, specimen.pace, sizes, scale.frame[0], specimen.seed
    )
    core = UniMMCore()
    turret = SimulatedTurret(state, [each.label or each.name for each in plan.objectives])
    devices = {
        CAMERA: SimulatedCamera(state),
        STAGE: SimulatedStage(state),
        FOCUS: SimulatedFocus(state),
        SHUTTER: SimulatedShutter(state),
        WHEEL: SimulatedWheel(state),
        plan.microscope.turret: turret,
    }
    for label, device in devices.items():
        core.loadPyDevice(label, device)
    core.initializeAllDevices()
    core.setCameraDevice(CAMERA)
    core.setXYStageDevice(STAGE)
    core.setFocusDevice(FOCUS)
    core.setShutterDevice(SHUTTER)
    for name in CHANNEL_NAMES:
        core.defineConfig("Channel", name, WHEEL, "Label", name)
    return core, state
