"""Open a microscope with pymmcore-plus, and close its shutters at the end."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import logging
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError, MissingExtraError, UsageError
from lociscope.microscope.configuration import Scale, check_setup
from lociscope.microscope.focus import first_line
from lociscope.microscope.plan import DEMO, SIMULATED, Plan
from lociscope.storage.locks import exclusive_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymmcore_plus import CMMCorePlus

    from lociscope.microscope.simulated.devices import SimulatedState

DEMO_CONFIG = "MMConfig_demo.cfg"
_CLOSE_TIMEOUT_S = 3.0
_RESET_S = 0.2
logger = logging.getLogger(__name__)


@dataclass(slots=True)
class MicroscopeSession:
    """An open microscope.

    Attributes:
        core: The core of Micro-Manager.
        clock: Returns elapsed seconds; simulated ones on the simulated microscope.
        wait: Waits so many seconds by that clock.
        simulated: State of the simulated microscope; None for a real one.
        hung: Whether a driver does not return; then nothing is unloaded, since unloading would wait for it.
        dark: Whether every shutter was closed at the end.
    """

    core: CMMCorePlus
    clock: Callable[[], float]
    wait: Callable[[float], object] = time.sleep
    simulated: SimulatedState | None = None
    hung: bool = False
    dark: bool = True


def import_core() -> None:
    """Import pymmcore-plus so that it writes no log file and does not change the root logger.

    Raises:
        MissingExtraError: It or useq-schema is not installed.
    """
    os.environ.setdefault("PYMM_LOG_FILE", os.devnull)
    root = logging.getLogger()
    level = root.level
    try:
        import pymmcore_plus  # noqa: F401
        import useq  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Driving a microscope", "microscope") from error
    finally:
        root.setLevel(level)
    theirs = logging.getLogger("pymmcore-plus")
    for handler in theirs.handlers[:]:
        theirs.removeHandler(handler)
        handler.close()
    theirs.addHandler(logging.NullHandler())
    theirs.propagate = False  # the engine raises errors, which are reported once


def find_config(plan: Plan) -> Path | None:
    """Return the configuration file; None for the simulated microscope, which has none.

    Raises:
        LociscopeError: The file does not exist, or DemoCamera's adapters are not installed.
        MissingExtraError: pymmcore-plus is not installed.
    """
    import_core()
    if plan.microscope.config == SIMULATED:
        return None
    if plan.microscope.config != DEMO:
        path = Path(plan.microscope.config).expanduser()
        if not path.is_file():
            raise UsageError(
                f"microscope.config: there is no file '{path}'. Name a Micro-Manager configuration, "
                f"'{DEMO}' or '{SIMULATED}'.",
                code=Code.NOT_FOUND,
            )
        return path
    from pymmcore_plus import find_micromanager

    found = find_micromanager()
    if not found or not (Path(found) / DEMO_CONFIG).is_file():
        raise LociscopeError(
            "Micro-Manager's device adapters are not installed, or are of another version than pymmcore. Run "
            "`mmcore install`, or for the demo alone `pip install mm-test-adapters`.",
            code=Code.MISSING_EXTRA,
        )
    return Path(found) / DEMO_CONFIG


def find_scale(plan: Plan) -> Scale:
    """Check every name of the plan against the configuration, without loading any device.

    Raises:
        LociscopeError: A name, or the file, does not exist.
    """
    return check_setup(plan, find_config(plan))


@contextlib.contextmanager
def open_microscope(plan: Plan, scale: Scale, log: Path | None = None) -> Iterator[MicroscopeSession]:
    """Open the microscope, and close its shutters when the block ends, whatever happened.

    A shutter that cannot be closed is logged and recorded in `MicroscopeSession.dark`.

    Args:
        plan: The plan.
        scale: The pixel sizes.
        log: File for the log of Micro-Manager.

    Yields:
        The microscope.

    Raises:
        LociscopeError: It cannot be opened, has no stage, or its images have another size.
    """
    config = find_config(plan)
    with contextlib.ExitStack() as held:
        if config is not None and plan.microscope.config != DEMO:
            held.enter_context(_reserve(config))
        yield from _open_and_close(plan, scale, config, log)


def _open_and_close(plan: Plan, scale: Scale, config: Path | None, log: Path | None) -> Iterator[MicroscopeSession]:
    session = _open_simulated(plan, scale) if config is None else _open_real(plan, config, log)
    try:
        _check_devices(session.core, plan)
        yield session
    finally:
        session.dark = close_shutters(session.core)
        if not session.dark:
            logger.error("A shutter could not be closed. Close it by hand, and look at the microscope.")
        elif not session.hung:
            session.core.reset()
            # Callbacks of the core that arrive while the interpreter ends would abort the process.
            time.sleep(_RESET_S)


def _reserve(config: Path) -> contextlib.AbstractContextManager[None]:
    """Keep other runs of this user from the microscope of a configuration, whatever folder they fill.

    Raises:
        LociscopeError: Another run uses it.
    """
    name = hashlib.sha256(str(config.resolve()).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"lociscope-microscope-{getpass.getuser()}-{name}"
    message = (
        f"Another run uses the microscope of '{config}'. Wait until it ends: two programs must not move one stage."
    )
    return exclusive_lock(folder, message, needed=False)


def close_shutters(core: CMMCorePlus) -> bool:
    """Close every shutter, without waiting for a device that hangs.

    Returns:
        Whether all of them are closed.
    """
    from pymmcore_plus import DeviceType

    closed: list[str] = []
    labels = core.getLoadedDevicesOfType(DeviceType.Shutter)

    def close(label: str) -> None:
        with contextlib.suppress(Exception):  # a driver may raise anything
            core.setShutterOpen(label, False)
            closed.append(label)

    threads = [threading.Thread(target=close, args=(label,), daemon=True) for label in labels]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _CLOSE_TIMEOUT_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return len(closed) == len(labels)


def _open_simulated(plan: Plan, scale: Scale) -> MicroscopeSession:
    from lociscope.microscope.simulated.devices import open_simulated_core

    core, state = open_simulated_core(plan, scale)
    return MicroscopeSession(core, lambda: state.clock, state.spend, state)


def _open_real(plan: Plan, config: Path, log: Path | None) -> MicroscopeSession:
    from pymmcore_plus import CMMCorePlus

    core = CMMCorePlus()
    if log is not None:
        core.setPrimaryLogFile(str(log))
    try:
        core.loadSystemConfiguration(config)
        if plan.microscope.config == DEMO:
            width, height = plan.microscope.frame
            core.setProperty("Camera", "OnCameraCCDXSize", width)
            core.setProperty("Camera", "OnCameraCCDYSize", height)
        core.setTimeoutMs(round(plan.microscope.timeout_s * 1000))
    except Exception as error:  # pymmcore's errors share no base class with those of its loader
        raise LociscopeError(
            f"The microscope of '{config}' cannot be opened ({first_line(error)}). Check that it has "
            "power and that no other program uses it.",
            code=Code.UNAVAILABLE,
        ) from error
    return MicroscopeSession(core, time.monotonic)


def _check_devices(core: CMMCorePlus, plan: Plan) -> None:
    for device, what in ((core.getCameraDevice(), "camera"), (core.getXYStageDevice(), "XY stage")):
        if not device:
            raise LociscopeError(
                f"'{plan.microscope.config}' names no {what}. Choose one in its Core properties.",
                code=Code.HARDWARE,
            )
    focus_keys = {
        "plate.z": plan.plate.z is not None,
        "limits.safe_z": plan.limits is not None and plan.limits.safe_z is not None,
        "focus_um": len({each.focus_um for each in plan.objectives}) > 1,
    }
    if any(focus_keys.values()) and not core.getFocusDevice():
        keys = " and ".join(key for key, given in focus_keys.items() if given)
        raise LociscopeError(
            f"'{plan.microscope.config}' names no focus device. Leave {keys} out of the plan.", code=Code.HARDWARE
        )
    size = core.getImageWidth(), core.getImageHeight()
    if size != plan.microscope.frame:
        raise UsageError(
            f"microscope.frame is {plan.microscope.frame[0]} × {plan.microscope.frame[1]} px, the images of the camera "
            f"are {size[0]} × {size[1]}. Write their size.",
            code=Code.INVALID_VALUE,
        )
    if core.getNumberOfCameraChannels() != 1:
        raise UsageError(
            "The camera combines several cameras. Choose one of them in the configuration.", code=Code.HARDWARE
        )
    if core.getNumberOfComponents() != 1 or core.getBytesPerPixel() not in (1, 2):
        raise UsageError(
            "The camera gives colour images, or more than 16 bits. Set it to grey, 8 or 16 bits.",
            code=Code.HARDWARE,
        )
