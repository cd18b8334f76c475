"""Withdraw the focus before travel, and restore it before an image is taken.

Without `plate.z` in the plan, the focus is restored to its position before it was withdrawn. A focus lock
(Micro-Manager's autofocus device with continuous focus) is released for travel, and must lock again before an image.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Protocol

from lociscope.errors import Code, LociscopeError
from lociscope.microscope.autofocus import find_sharpest
from lociscope.microscope.positions import check_limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymmcore_plus import CMMCorePlus

    from lociscope.microscope.plan import Plan

FOCUS_UM = 1.0
"""Largest accepted distance between the reported focus and its target, µm."""
WITHDRAWN_UM = 5.0
"""The same for `safe_z`, µm."""
_POLL_S = 0.05


class HardwareError(LociscopeError):
    """A device did not do what it was commanded to do."""

    code = Code.HARDWARE


class FocusStore(Protocol):
    """Stores the target of the focus from one call to the next."""

    def load_focus(self) -> dict[str, float] | None:
        """Return what an earlier call saved: `z` in µm and `locked`; None for nothing."""

    def save_focus(self, z: float, *, locked: bool) -> None:
        """Save it."""


class FocusController:
    """Moves the focus as the plan says.

    Stored positions are those of an objective whose `focus_um` is 0.

    Args:
        core: The microscope.
        plan: Its `plate.z`, `safe_z` and `focus_um` are used.
        store: Stores the target of the focus, for a call that resumes after a crash.
    """

    def __init__(self, core: CMMCorePlus, plan: Plan, store: FocusStore | None = None) -> None:
        self._core = core
        self._plan = plan
        self._store = store
        self._safe = None if plan.limits is None else plan.limits.safe_z
        self._offsets = {each.label or each.name: each.focus_um for each in plan.objectives}
        self._differ = len(set(self._offsets.values())) > 1
        self._label = ""
        self._target: float | None = plan.plate.z
        self._at: float | None = None  # last commanded position; None if it may have moved since
        self._locked = False
        self._withdrawn = False
        self._saved: tuple[float, bool] | None = None

    @property
    def _must_read(self) -> bool:
        """Whether the position must be read, because the plan does not give a target."""
        return self._plan.plate.z is None and (self._safe is not None or self._differ)

    def begin(self) -> None:
        """Find the target of the focus, before anything moves.

        Raises:
            LociscopeError: The target is unknown: the focus is at `safe_z`, or not where an earlier call left it; or it
                is outside the limits, or was set with an objective that the plan does not list.
            HardwareError: It cannot be read.
        """
        try:
            self._locked = self._is_locked()
            if self._must_read:
                self._find_target()
        except (RuntimeError, ValueError) as error:
            raise HardwareError(f"The focus cannot be read ({first_line(error)}). Look at the device.") from error

    def withdraw(self, *, turning: bool) -> None:
        """Go to `safe_z` if the plan has one, and save where the focus was.

        Args:
            turning: Whether the objective will change.

        Raises:
            HardwareError: It did not reach `safe_z`; nothing else has moved.
        """
        if self._safe is None and not turning:
            return
        if self._must_read and not self._withdrawn:
            self._read_target()
        self._release()
        self._at = None  # many microscopes move the focus themselves while the turret turns
        if self._safe is not None:
            self._move(self._safe, WITHDRAWN_UM)
        self._withdrawn = True

    def restore(self, z: float | None, label: str | None, shift: float = 0.0) -> None:
        """Go to the target of the focus, and switch on the lock.

        Args:
            z: The target that the plan gives, µm; None for where the focus was.
            label: The objective's label in the turret; None if it did not change.
            shift: What an autofocus found for this field, added to the target, µm.

        Raises:
            LociscopeError: The target is outside the limits.
            HardwareError: The focus did not reach it, or the lock did not lock.
        """
        self._label = label or self._label
        if z is None and self._must_read and self._target is not None:
            z = self._target + self._offset
        if z is not None:
            z += shift
            self._check(z)
        if z is not None and z != self._at:
            self._release()
            self._move(z, FOCUS_UM)
            self._at = z
        self._withdrawn = False
        if self._locked:
            self._lock()

    def search(self, measure: Callable[[], float], reach: float) -> float | None:
        """Look for the sharpest height around the present one, and go there.

        Args:
            measure: Returns the sharpness of an image that it takes.
            reach: How far up and down to look, µm; less where the limits are nearer.

        Returns:
            How far the focus was shifted, µm; None if sharpness has no maximum; the focus is then where it was.

        Raises:
            HardwareError: The focus did not go where it was sent.
        """
        if self._locked or not self._core.getFocusDevice():
            return None  # a lock would return to its own height
        start = self._core.getPosition()
        if self._plan.limits is not None:
            low, high = self._plan.limits.z
            reach = min(reach, start - low, high - start)
        found = None
        if reach > 0:
            found = find_sharpest(lambda z: self._measure_at(z, measure), start, reach)
        self._move(start if found is None else found, FOCUS_UM)
        self._at = start if found is None else found
        return None if found is None else found - start

    def _measure_at(self, z: float, measure: Callable[[], float]) -> float:
        self._move(z, FOCUS_UM)
        return measure()

    def position(self) -> float | None:
        """Return the position of the focus, µm; None without a focus device."""
        return self._core.getPosition() if self._core.getFocusDevice() else None

    @property
    def _offset(self) -> float:
        return self._offsets.get(self._label, 0.0)

    def _find_target(self) -> None:
        core, turret = self._core, self._plan.microscope.turret
        self._label = core.getProperty(turret, "Label")
        z = core.getPosition()
        if self._label not in self._offsets:
            raise LociscopeError(
                f"The plan has no plate.z, and the focus was set with the objective '{self._label}', which the "
                f"plan does not list. Focus with {' or '.join(self._offsets)}, or write plate.z.",
                code=Code.UNKNOWN_NAME,
            )
        saved = self._store.load_focus() if self._store else None
        if saved and saved["locked"] and not self._locked:  # the earlier call ended while the lock was released
            self._locked = bool(self._core.getAutoFocusDevice())
        self._target = self._reconcile(z - self._offset, saved, self._is_locked())
        for label, offset in self._offsets.items():
            self._check(self._target + offset, f"The focus with the objective '{label}'")

    def _reconcile(self, z: float, saved: dict[str, float] | None, locked: bool) -> float:
        """Return the target of the focus from its position and from what an earlier call saved.

        Raises:
            LociscopeError: The two differ, or it is at `safe_z` and nothing was saved.
        """
        if locked:
            return z
        withdrawn = self._safe is not None and abs(z + self._offset - self._safe) <= FOCUS_UM
        if saved is None and not withdrawn:
            return z
        if saved is None:
            raise LociscopeError(
                f"The plan has no plate.z, and the focus is at safe_z ({self._safe:g} µm), so it is unknown "
                "where the cells are in focus. Focus on them, or write plate.z.",
                code=Code.CONFLICT,
            )
        if abs(z - saved["z"]) <= FOCUS_UM:
            return z
        if withdrawn:
            self._withdrawn = True
            return saved["z"]
        raise LociscopeError(
            f"The focus is at {z + self._offset:.1f} µm, and was at {saved['z'] + self._offset:.1f} µm when "
            "the earlier call ended. Drive it back there; or, if you have focused again, remove focus.json of the "
            "output folder.",
            code=Code.CONFLICT,
        )

    def _read_target(self) -> None:
        """Read the target of the focus: a lock, or a person, may have moved it."""
        z = self._core.getPosition() - self._offset
        if self._target is None or abs(z - self._target) > FOCUS_UM or self._is_locked():
            self._target = z  # otherwise the target stays: small errors of readings must not accumulate
        if self._store and self._saved != (self._target, self._locked):
            self._store.save_focus(self._target, locked=self._locked)
            self._saved = self._target, self._locked

    def _check(self, z: float, what: str = "The focus") -> None:
        if self._plan.limits is not None:
            check_limits(None, None, z, self._plan.limits, what)

    def _move(self, z: float, near: float) -> None:
        core = self._core
        core.setPosition(z)
        core.waitForDevice(core.getFocusDevice())
        if not math.isclose(core.getPosition(), z, rel_tol=0, abs_tol=near):
            raise HardwareError(
                f"the focus was sent to {z:.1f} µm and is at {core.getPosition():.1f} µm. Look at the focus drive."
            )

    def _is_locked(self) -> bool:
        return bool(self._core.getAutoFocusDevice()) and self._core.isContinuousFocusEnabled()

    def _release(self) -> None:
        if self._locked and self._is_locked():
            self._core.enableContinuousFocus(False)

    def _lock(self) -> None:
        """Switch the lock on if it is off, and wait until it has locked."""
        core, timeout_s = self._core, self._plan.microscope.timeout_s / 2
        if not self._is_locked():
            core.enableContinuousFocus(True)
        deadline = time.monotonic() + timeout_s
        while not core.isContinuousFocusLocked():
            if time.monotonic() > deadline:
                raise HardwareError(
                    f"the focus lock '{core.getAutoFocusDevice()}' did not lock within {timeout_s:g} s. Look at the "
                    "immersion and at the plate."
                )
            time.sleep(_POLL_S)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, at most 200 characters."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")[:200]
