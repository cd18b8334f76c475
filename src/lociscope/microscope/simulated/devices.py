"""Devices of the simulated microscope, pure Python devices for the UniMMCore of pymmcore-plus.

They share one `SimulatedState`, in which each step takes the time that the plan gives for it.
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
    from lociscope.microscope.plan import Plan
    from lociscope.microscope.sections import Timing

CAMERA, STAGE, FOCUS, SHUTTER, WHEEL = "Camera", "XY", "Z", "Shutter", "Channel"


@dataclass(slots=True)
class SimulatedState:
    """The state of the simulated microscope.

    Attributes:
        plate: The plate on the stage.
        timing: Duration of each step.
        pace: Seconds to wait for each simulated second.
        pixel_sizes: Side of a pixel in µm, by the position of the turret.
        side: Side of the camera's image in px.
        seed: Seed of the noise.
        x: Stage position, µm.
        y: Stage position, µm.
        z: Focus, µm; the cells are at 0.
        objective: Position of the turret.
        channel: Channel of the filter wheel, as an index of RGBY.
        exposure: Exposure in ms.
        shutter_open: Whether the shutter is open.
        images: Number of images taken.
        clock: Simulated seconds since the start.
        drift: How far the plate creeps, µm per minute along x and y.
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
    shutter_open: bool = False
    images: int = 0
    clock: float = 0.0
    drift: tuple[float, float] = (0.0, 0.0)

    def spend(self, seconds: float) -> None:
        """Advance the clock."""
        self.clock += seconds
        if self.pace:
            time.sleep(seconds * self.pace)

    def view(self) -> View:
        """Return what the camera sees."""
        x, y = (at + creep * self.clock / 60 for at, creep in zip((self.x, self.y), self.drift, strict=True))
        return View(x, y, self.z, self.pixel_sizes[self.objective], self.side, self.exposure)


class SimulatedCamera(SimpleCameraDevice):
    """A camera that shows the plate; the noise differs in each image."""

    def __init__(self, state: SimulatedState) -> None:
        super().__init__()
        self._state = state

    def get_exposure(self) -> float:
        """Return the exposure in ms."""
        return self._state.exposure

    def set_exposure(self, exposure: float) -> None:
        """Set the exposure in ms."""
        self._state.exposure = exposure

    def sensor_shape(self) -> tuple[int, int]:
        """Return rows and columns."""
        return self._state.side, self._state.side

    def dtype(self) -> type[np.uint16]:
        """Return the type of a pixel, 16 bits."""
        return np.uint16

    def snap(self, buffer: np.ndarray) -> Mapping[str, object]:
        """Take one image."""
        state = self._state
        state.spend(state.exposure / 1000 + state.timing.readout_s)
        state.images += 1
        noise = np.random.default_rng([state.seed, state.images, 3])
        buffer[:] = state.plate.take_image(state.view(), state.channel, noise, lit=state.shutter_open)
        return {}


class SimulatedStage(XYStageDevice):
    """A stage that moves the plate."""

    def __init__(self, state: SimulatedState) -> None:
        super().__init__()
        self._state = state

    def set_position_um(self, x: float, y: float) -> None:
        """Move to a position, µm."""
        state = self._state
        travel = float(np.hypot(x - state.x, y - state.y))
        state.spend(travel / state.timing.stage_um_per_s + state.timing.settle_s * (travel > 0))
        state.x, state.y = x, y

    def get_position_um(self) -> tuple[float, float]:
        """Return the position, µm."""
        return self._state.x, self._state.y

    def home(self) -> None:
        """Move to the origin."""
        self.set_position_um(0, 0)

    def stop(self) -> None:
        """Do nothing: moves finish at once."""

    def set_origin_x(self) -> None:
        """Do nothing: the origin is fixed."""

    def set_origin_y(self) -> None:
        """Do nothing: the origin is fixed."""


class SimulatedFocus(StageDevice):
    """A focus drive; the cells are at 0 µm."""

    def __init__(self, state: SimulatedState) -> None:
        super().__init__()
        self._state = state

    def set_position_um(self, val: float) -> None:
        """Move to a position, µm."""
        self._state.z = val

    def get_position_um(self) -> float:
        """Return the position, µm."""
        return self._state.z

    def home(self) -> None:
        """Move to the origin."""
        self._state.z = 0.0

    def stop(self) -> None:
        """Do nothing: moves finish at once."""

    def set_origin(self) -> None:
        """Do nothing: the origin is fixed."""


class SimulatedShutter(ShutterDevice):
    """A shutter."""

    def __init__(self, state: SimulatedState) -> None:
        super().__init__()
        self._state = state

    def get_open(self) -> bool:
        """Return whether it is open."""
        return self._state.shutter_open

    def set_open(self, open: bool) -> None:
        """Open or close it."""
        self._state.shutter_open = open


class SimulatedWheel(StateDevice):
    """A filter wheel that selects the channel."""

    def __init__(self, state: SimulatedState) -> None:
        super().__init__(dict(enumerate(CHANNEL_NAMES)))
        self._state = state

    def get_state(self) -> int:
        """Return the index of the channel, in RGBY."""
        return self._state.channel

    def set_state(self, position: int) -> None:
        """Change it."""
        self._state.spend(self._state.timing.channel_s * (position != self._state.channel))
        self._state.channel = position


class SimulatedTurret(StateDevice):
    """A turret of objectives."""

    def __init__(self, state: SimulatedState, labels: list[str]) -> None:
        super().__init__(dict(enumerate(labels)))
        self._state = state

    def get_state(self) -> int:
        """Return the index of the objective, in the plan's order."""
        return self._state.objective

    def set_state(self, position: int) -> None:
        """Change it."""
        self._state.spend(self._state.timing.objective_s * (position != self._state.objective))
        self._state.objective = position


def open_simulated_core(plan: Plan, scale: Scale) -> tuple[UniMMCore, SimulatedState]:
    """Open the simulated microscope.

    Args:
        plan: The plate, the objectives and the timing.
        scale: The pixel sizes.

    Returns:
        The core, and the state that its devices share.
    """
    sizes = tuple(scale.pixel_size[each.name] for each in plan.objectives)
    specimen = plan.specimen
    state = SimulatedState(
        SimulatedPlate(plan, min(sizes)),
        plan.timing,
        specimen.pace,
        sizes,
        scale.frame[0],
        specimen.seed,
        drift=specimen.drift,
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
