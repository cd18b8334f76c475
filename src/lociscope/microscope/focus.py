"""The focus: withdrawn before a travel, and back where it belongs before a picture is taken.

Where the plan has no `plate.z`, it belongs where it was before it was withdrawn. A focus lock (Micro-Manager's
autofocus device with continuous focus) is released for the travel, and must have locked again before a picture.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Protocol

from lociscope.errors import Code, LociscopeError
from lociscope.microscope.positions import check_limits

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus

    from lociscope.microscope.plan import Plan

FOCUS_UM = 1.0
"""How far from where it belongs the focus may say that it is, µm."""
WITHDRAWN_UM = 5.0
"""The same of `safe_z`, µm."""
_POLL_S = 0.05


class HardwareError(LociscopeError):
    """A device did not do what it was told."""

    code = Code.HARDWARE


class Memory(Protocol):
    """What remembers, from one call to the next, where the focus belongs."""

    def focus(self) -> dict[str, float] | None:
        """Return what an earlier call kept: `z` in µm and `locked`; None for nothing."""

    def save_focus(self, z: float, *, locked: bool) -> None:
        """Keep it."""


class Focus:
    """Moves the focus of a plan.

    Positions are kept as those of an objective whose `focus_um` is 0.

    Args:
        core: The microscope.
        plan: Says where the focus belongs, and how it is withdrawn.
        memory: Remembers where it belongs, for a call that goes on after a crash.
    """

    def __init__(self, core: CMMCorePlus, plan: Plan, memory: Memory | None = None) -> None:
        self._core = core
        self._plan = plan
        self._memory = memory
        self._safe = None if plan.limits is None else plan.limits.safe_z
        self._offsets = {each.label or each.name: each.focus_um for each in plan.objectives}
        self._differ = len(set(self._offsets.values())) > 1
        self._label = ""
        self._belongs: float | None = plan.plate.z
        self._at: float | None = None  # where it was sent last; None where it may have moved since
        self._locked = False
        self._withdrawn = False
        self._kept: tuple[float, bool] | None = None

    @property
    def _returns(self) -> bool:
        """Whether its position has to be read, because the plan does not say where it belongs."""
        return self._plan.plate.z is None and (self._safe is not None or self._differ)

    def begin(self) -> None:
        """Find where the focus belongs, before anything moves.

        Raises:
            LociscopeError: Nothing says where it belongs: it is at `safe_z`, or elsewhere than where an earlier call
                left it; or it is outside the limits, or was set with an objective that the plan does not list.
            HardwareError: It cannot be asked.
        """
        try:
            self._locked = self._is_locked()
            if self._returns:
                self._find()
        except (RuntimeError, ValueError) as error:
            raise HardwareError(f"The focus cannot be read ({first_line(error)}). Look at the device.") from error

    def withdraw(self, *, turning: bool) -> None:
        """Go to `safe_z` where the plan has one, and remember where the focus was.

        Args:
            turning: Whether the objective is about to change.

        Raises:
            HardwareError: It did not get there; nothing else has moved.
        """
        if self._safe is None and not turning:
            return
        if self._returns and not self._withdrawn:
            self._look()
        self._release()
        self._at = None  # many microscopes move the focus themselves while they turn
        if self._safe is not None:
            self._go(self._safe, WITHDRAWN_UM)
        self._withdrawn = True

    def restore(self, z: float | None, label: str | None) -> None:
        """Go to where the focus belongs, and let the lock lock.

        Args:
            z: What the plan says, µm; None for where the focus was.
            label: The objective's label in the turret; None where it did not change.

        Raises:
            LociscopeError: That lies outside the limits.
            HardwareError: It did not get there, or the lock did not lock.
        """
        self._label = label or self._label
        if z is None and self._returns and self._belongs is not None:
            z = self._belongs + self._offset
            self._check(z)
        if z is not None and z != self._at:
            self._release()
            self._go(z, FOCUS_UM)
            self._at = z
        self._withdrawn = False
        if self._locked:
            self._lock()

    def position(self) -> float | None:
        """Return where the focus is, µm; None where there is no focus device."""
        return self._core.getPosition() if self._core.getFocusDevice() else None

    @property
    def _offset(self) -> float:
        return self._offsets.get(self._label, 0.0)

    def _find(self) -> None:
        core, turret = self._core, self._plan.microscope.turret
        self._label = core.getProperty(turret, "Label")
        z = core.getPosition()
        if self._label not in self._offsets:
            raise LociscopeError(
                f"The plan has no plate.z, and the focus was set with the objective '{self._label}', which the "
                f"plan does not list. Focus with {' or '.join(self._offsets)}, or write plate.z.",
                code=Code.INVALID_LABELS,
            )
        known = self._memory.focus() if self._memory else None
        if known and known["locked"] and not self._locked:  # the call was cut off while the lock was released
            self._locked = bool(self._core.getAutoFocusDevice())
        self._belongs = self._agreed(z - self._offset, known, self._is_locked())
        for label, offset in self._offsets.items():
            self._check(self._belongs + offset, f"The focus with the objective '{label}'")

    def _agreed(self, z: float, known: dict[str, float] | None, holds: bool) -> float:
        """Return where the focus belongs, by where it is and by what an earlier call kept.

        Raises:
            LociscopeError: The two differ, or it is at `safe_z` and nothing was kept.
        """
        if holds:
            return z
        withdrawn = self._safe is not None and abs(z + self._offset - self._safe) <= FOCUS_UM
        if known is None and not withdrawn:
            return z
        if known is None:
            raise LociscopeError(
                f"The plan has no plate.z, and the focus is at safe_z ({self._safe:g} µm), so nothing says where "
                "the cells are in focus. Focus on them, or write plate.z.",
                code=Code.PIXEL_SIZE,
            )
        if abs(z - known["z"]) <= FOCUS_UM:
            return z
        if withdrawn:
            self._withdrawn = True
            return known["z"]
        raise LociscopeError(
            f"The focus is at {z + self._offset:.1f} µm, and was at {known['z'] + self._offset:.1f} µm when "
            "the earlier call ended. Drive it back there; or, where you have focused anew, remove focus.json of the "
            "output folder.",
            code=Code.PIXEL_SIZE,
        )

    def _look(self) -> None:
        """Read where the focus belongs now: a lock, or a person, may have moved it."""
        z = self._core.getPosition() - self._offset
        if self._belongs is None or abs(z - self._belongs) > FOCUS_UM or self._is_locked():
            self._belongs = z  # else what was asked for: readings that differ a little must not add up
        if self._memory and self._kept != (self._belongs, self._locked):
            self._memory.save_focus(self._belongs, locked=self._locked)
            self._kept = self._belongs, self._locked

    def _check(self, z: float, what: str = "The focus") -> None:
        if self._plan.limits is not None:
            check_limits(None, None, z, self._plan.limits, what)

    def _go(self, z: float, near: float) -> None:
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
        """Switch the lock on where it is off, and wait until it has locked."""
        core, seconds = self._core, self._plan.microscope.timeout_s / 2
        if not self._is_locked():
            core.enableContinuousFocus(True)
        until = time.monotonic() + seconds
        while not core.isContinuousFocusLocked():
            if time.monotonic() > until:
                raise HardwareError(
                    f"the focus lock '{core.getAutoFocusDevice()}' did not lock within {seconds:g} s. Look at the "
                    "immersion and at the plate."
                )
            time.sleep(_POLL_S)


def first_line(error: BaseException) -> str:
    """What an error says, in one line of some length."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")[:200]
