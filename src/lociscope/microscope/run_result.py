"""The result of one call of `run_plan`."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lociscope.microscope.decisions import SkipReason

if TYPE_CHECKING:
    from lociscope.errors import LociscopeError
    from lociscope.images.discovery.sources import Failure
    from lociscope.microscope.decisions import Skipped


@dataclass(slots=True)
class RunResult:
    """The result of one call of `run_plan`.

    Attributes:
        fields: Number of fields in the output, of all calls.
        requested: How many of them a rule requested.
        new: Number of fields that this call imaged.
        failures: Fields that could not be predicted.
        unlogged: Number of fields that were predicted and could not be written to the log.
        log_error: Why the last of them could not; empty if all could.
        skipped: Planned and requested fields that were not imaged, and why.
        decision_seconds: For each new field the seconds from its last image to its decision.
        camera_s: How long the camera worked in this call, by the clock of this computer.
        error: The error that ended the call early, or None.
        interrupted: Whether a person or a signal ended it.
        interrupted_at: When that was, by `time.monotonic`.
        given_up_at: When the predictor was given up, by `time.monotonic`.
        hung: Whether a driver does not return, or did not close its shutter; the process must then end without
            unloading it.
    """

    fields: int = 0
    requested: int = 0
    new: int = 0
    failures: list[Failure] = field(default_factory=list)
    unlogged: int = 0
    log_error: str = ""
    skipped: list[Skipped] = field(default_factory=list)
    decision_seconds: list[float] = field(default_factory=list)
    camera_s: float = 0.0
    error: LociscopeError | None = None
    interrupted: bool = False
    interrupted_at: float = math.inf
    given_up_at: float = math.inf
    hung: bool = False

    @property
    def left_out(self) -> int:
        """Number of fields that were left out because a device failed; the next call tries them again."""
        return sum(each.reason == SkipReason.DEVICE for each in self.skipped)

    @property
    def to_try_again(self) -> bool:
        """Whether the next call tries fields again: a device failed, or nobody agreed to change the objective."""
        return any(each.reason in (SkipReason.DEVICE, SkipReason.OBJECTIVE) for each in self.skipped)

    def interrupt(self) -> None:
        """Record that a person or a signal interrupted the run; the first time counts."""
        self.interrupted = True
        self.interrupted_at = min(self.interrupted_at, time.monotonic())
