"""Run a plan on a microscope, or preview it."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lociscope.microscope.acquire import check_plan, require_limits, run_plan
from lociscope.microscope.check import check_microscope
from lociscope.microscope.configuration import Scale, check_bundle, require_scikit_image
from lociscope.microscope.describe import describe_plan, summarize_plan
from lociscope.microscope.plan import SHIPPED, Mode, Plan
from lociscope.predict.predictor import open_bundle
from lociscope.prediction_log.log import open_log
from lociscope.processes.progress import ProgressCallback, ignore_progress
from lociscope.storage.atomic import atomic_write
from lociscope.storage.paths import as_path
from lociscope.storage.toml_files import read_shipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np

    from lociscope.microscope.finding import Finding
    from lociscope.microscope.loop import LoopObserver, SteeringLoop
    from lociscope.microscope.positions import Position
    from lociscope.microscope.program import Program
    from lociscope.microscope.run_result import RunResult
    from lociscope.storage.paths import AnyPath
    from lociscope.warnings import FieldWarning


@dataclass(frozen=True, slots=True)
class PlanPreview:
    """A checked plan, before anything moves.

    Attributes:
        plan: The plan.
        scale: The pixel sizes.
        positions: The planned fields.
        warnings: For each objective the warnings that its fields will carry.
    """

    plan: Plan
    scale: Scale
    positions: list[Position]
    warnings: dict[str, tuple[FieldWarning, ...]]

    def describe(self) -> list[str]:
        """Return the preview as lines of text."""
        return list(describe_plan(self.plan, self.scale, self.positions, self.warnings))

    def to_dict(self) -> dict[str, Any]:
        """Return the preview as data."""
        return summarize_plan(self.plan, self.scale, self.positions, self.warnings)


def preview_plan(plan: Plan, bundle: AnyPath | None = None) -> PlanPreview:
    """Check a plan and its bundle without opening the microscope.

    Args:
        plan: The plan.
        bundle: The bundle, instead of the plan's.

    Raises:
        LociscopeError: The plan names what does not exist, a planned field is outside the limits, or the bundle cannot
            read the fields of the objective.
    """
    bundle = as_path(bundle)
    checked = check_plan(plan)
    opened = open_bundle(bundle or plan.bundle)
    return PlanPreview(plan, checked.scale, checked.positions, check_bundle(plan, checked.scale, opened.bundle))


def run_microscope(
    plan: Plan,
    output: AnyPath | None = None,
    *,
    bundle: AnyPath | None = None,
    log: str | None = None,
    mode: Mode | None = None,
    program: Program | None = None,
    observers: Sequence[LoopObserver] = (),
    progress: ProgressCallback = ignore_progress,
) -> RunResult:
    """Run a plan, or resume it if an earlier call did not finish.

    Args:
        plan: The plan.
        output: The folder to fill, instead of the plan's.
        bundle: The bundle, instead of the plan's.
        log: Log for the predictions, instead of the plan's: a path (SQLite), or an SQLAlchemy URL.
        mode: Whether rules observe, propose or act, instead of the plan's. Proposals wait for an answer only if an
            observer passes them to a person.
        program: Decides about each field in place of the plan's rules: called with its position and its
            `lociscope.microscope.conditions.Facts`, it yields a `useq.MDAEvent` for each field to image next.
        observers: Receive what happens, such as the live page.
        progress: Called after each field; the total is that of the planned fields and of the requested ones so far.

    Returns:
        The result; a failed device and an interrupt are reported in it.

    Raises:
        LociscopeError: As `lociscope.microscope.acquire.check_plan` and `run_plan`; or the bundle or the log cannot be
            opened.
    """
    output = as_path(output)
    bundle = as_path(bundle)
    if mode is not None:
        plan = plan.model_copy(update={"mode": mode})
    checked = check_plan(plan)
    predictor = open_bundle(bundle or plan.bundle)
    url = log or plan.log
    with nullcontext() if url is None else open_log(url) as opened:
        return run_plan(
            checked, predictor, output or Path(plan.output), log=opened, program=program,
            observers=(_ProgressReport(progress, len(checked.positions)), *observers),
        )  # fmt: skip


class _ProgressReport:
    """Reports the number of imaged fields, beside that of the planned ones and of those that were requested so far.

    Args:
        progress: Called after each field.
        planned: Number of planned fields.
    """

    answers = False

    def __init__(self, progress: ProgressCallback, planned: int) -> None:
        self._progress, self._total = progress, planned
        self._fields = 0

    def on_started(self, loop: SteeringLoop) -> None:
        """Count the fields of earlier calls."""
        self._fields = len(loop.journal.lines)
        self._total += sum(line.get("of") is not None for line in loop.journal.lines)

    def on_field(self, line: Mapping[str, Any], pixels: np.ndarray) -> None:
        """Report a field."""
        self._fields += 1
        self._total += line.get("of") is not None
        self._progress(self._fields, self._total)


def check_on_microscope(
    plan: Plan, output: AnyPath, *, bundle: AnyPath | None = None, fit: bool = False
) -> Iterator[Finding]:
    """Walk through a plan on its microscope, and write what was found.

    Args:
        plan: The plan.
        output: The JSON file to write, when everything is checked.
        bundle: The bundle that judges the images, instead of the plan's.
        fit: Whether to fit the calibration of the plan too.

    Yields:
        What was found, as it is found.

    Raises:
        LociscopeError: The plan has no limits or is wrong, the microscope cannot be opened, or the file cannot be
            written.
    """
    checked = check_plan(plan)
    limits = require_limits(plan)
    predictor = open_bundle(as_path(bundle) or plan.bundle)
    check_bundle(plan, checked.scale, predictor.bundle)
    if fit:
        require_scikit_image("Fitting the calibration")
    found: list[Finding] = []
    for finding in check_microscope(checked, limits, predictor, fit=fit):
        found.append(finding)
        yield finding
    about = {"schema": 1, "passed": all(each.passed for each in found), "findings": [each.to_dict() for each in found]}
    with atomic_write(as_path(output)) as part:
        part.write_text(json.dumps(about, ensure_ascii=False, indent=1) + "\n", "utf-8")


def read_shipped_plan(name: str) -> str:
    """Return the TOML of a plan that ships with lociscope, to start a new one from.

    Raises:
        UsageError: No plan of that name ships.
    """
    return read_shipped(name, SHIPPED, "plan")
