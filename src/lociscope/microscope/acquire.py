"""Run a plan: the camera in one thread, the predictor in another, supervised by the calling thread."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.microscope.configuration import Scale, check_bundle, check_libraries
from lociscope.microscope.engine import StrictEngine
from lociscope.microscope.focus import FocusController, HardwareError, first_line
from lociscope.microscope.hardware import MicroscopeSession, find_scale, open_microscope
from lociscope.microscope.journal import LOG, Journal
from lociscope.microscope.loop import SteeringLoop
from lociscope.microscope.positions import Position, check_limits, plan_positions
from lociscope.microscope.program import ProgramEvaluator
from lociscope.microscope.rule_evaluator import RuleEvaluator
from lociscope.microscope.run_result import RunResult
from lociscope.microscope.safeguards import check_space
from lociscope.microscope.simulated.specimen import check_specimen
from lociscope.storage.locks import exclusive_lock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lociscope.microscope.loop import LoopObserver
    from lociscope.microscope.plan import Plan
    from lociscope.microscope.program import Program
    from lociscope.microscope.sections import Limits
    from lociscope.microscope.simulated.devices import SimulatedState
    from lociscope.predict.predictor import Predictor
    from lociscope.prediction_log.log import PredictionLog

POLL_S = 0.05
PREDICTOR_TIMEOUT_S = 120.0
"""Seconds after which a run no longer waits for the prediction of one field."""
IMAGE_DEADLINE_S, DECISIONS_DEADLINE_S, LOG_DEADLINE_S = 4.0, 5.0, 6.5
"""Seconds from an interrupt until which a run waits for the image, the predictor and the log. With the time in which
shutters must close, the run ends within 10 s."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CheckedPlan:
    """A plan that `check_plan` accepts.

    Attributes:
        plan: The plan.
        scale: The pixel sizes.
        positions: The planned fields.
    """

    plan: Plan
    scale: Scale
    positions: list[Position]


def check_plan(plan: Plan) -> CheckedPlan:
    """Check everything that can be checked before hardware is touched.

    Raises:
        LociscopeError: A well, preset, objective or configuration does not exist, a planned field is outside the
            limits, or a library that the plan needs is not installed.
    """
    scale = find_scale(plan)
    positions = plan_positions(plan, scale)
    check_specimen(plan)
    needs_cells = False
    if plan.limits is not None:
        for position in positions:
            check_limits(position.x, position.y, position.z, plan.limits, f"Field '{position.id}'")
        needs_cells = RuleEvaluator(plan, scale, plan.limits).needs_cells
    check_libraries(plan, needs_cells=needs_cells)
    return CheckedPlan(plan, scale, positions)


def require_limits(plan: Plan) -> Limits:
    """Return the limits of a plan.

    Raises:
        UsageError: It has none.
    """
    if plan.limits is None:
        raise UsageError(
            "The plan has no [limits], and without them nothing moves. Find out how far the stage and the objective "
            "may move, and write x, y and z; a dry run lists the positions.",
            code=Code.REFUSED,
        )
    return plan.limits


def run_plan(
    checked: CheckedPlan,
    predictor: Predictor,
    output: Path,
    *,
    log: PredictionLog | None = None,
    program: Program | None = None,
    observers: Sequence[LoopObserver] = (),
) -> RunResult:
    """Run a plan, or resume it if an earlier call did not finish.

    Args:
        checked: The plan, from `check_plan`.
        predictor: The opened bundle.
        output: The folder to fill.
        log: Log to which predictions are written as well.
        program: Decides about each field in place of the rules.
        observers: Receive what happens, such as a bar of progress or a live page.

    Returns:
        The result. A device that failed and an interrupt are reported in it, not raised: what was acquired is kept, and
        the tables are written.

    Raises:
        LociscopeError: The plan has no limits, its bundle cannot read the fields of the objective, the folder contains
            something else, another run fills it, or the target of the focus is unknown.
    """
    plan = checked.plan
    limits = require_limits(plan)
    check_bundle(plan, checked.scale, predictor.bundle)
    in_use = f"Another run is filling '{output}'. Wait until it ends, or pass another folder as `output`."
    with exclusive_lock(output, in_use, needed=False):
        journal = Journal.open(output, plan, predictor.bundle.sha256)
        if journal.finished:
            return _add_totals(RunResult(), journal)
        try:
            check_space(output, plan, len(checked.positions) - len(journal.lines))
            with open_microscope(plan, checked.scale, output / LOG) as session:
                result = _acquire(checked, limits, predictor, journal, session, log, program, observers)
        except LociscopeError:
            journal.discard()
            raise
    result.hung |= not session.dark
    return result


def _acquire(
    checked: CheckedPlan,
    limits: Limits,
    predictor: Predictor,
    journal: Journal,
    session: MicroscopeSession,
    log: PredictionLog | None,
    program: Program | None,
    observers: Sequence[LoopObserver],
) -> RunResult:
    plan = checked.plan
    focus = FocusController(session.core, plan, journal)
    evaluator = (
        RuleEvaluator(plan, checked.scale, limits) if program is None else ProgramEvaluator(program, plan, limits)
    )
    loop = SteeringLoop(
        plan, checked.scale, checked.positions, predictor, evaluator, journal, session.clock,
        wait=session.wait, log=log, find_target=lambda: _find_target(session.simulated), observers=observers,
    )  # fmt: skip
    result = RunResult()
    focus.begin()
    loop.start()
    engine = StrictEngine(
        session.core,
        limits,
        focus,
        retries=plan.quality.retries,
        skip=loop.skip_field,
        autofocus_um=plan.quality.autofocus_um,
    )
    _drive(plan, engine, loop, session, result)
    try:
        loop.close(min(result.interrupted_at, result.given_up_at) + DECISIONS_DEADLINE_S)
    except KeyboardInterrupt:  # fields that are not predicted are imaged again by the next call
        result.interrupt()
    worker = loop.worker
    if worker.error is not None and result.error is None:
        result.error = _to_lociscope_error(worker.error)
    result.new, result.skipped, result.decision_seconds = loop.new_fields, loop.list_skipped(), worker.decision_seconds
    journal.close(
        result.skipped,
        finished=not (result.error or result.interrupted or loop.proposals.pending or result.to_try_again),
    )
    writer = loop.writer
    try:
        deadline = result.interrupted_at + LOG_DEADLINE_S
        writer.close(max(0.0, deadline - time.monotonic()) if result.interrupted else None)
    except KeyboardInterrupt:
        result.interrupt()
    result.unlogged, result.log_error = writer.unlogged, writer.trouble
    return _add_totals(result, journal)


def _drive(
    plan: Plan,
    engine: StrictEngine,
    loop: SteeringLoop,
    session: MicroscopeSession,
    result: RunResult,
) -> None:
    """Run the camera in a separate thread, so that this one notices an interrupt or a driver that hangs."""
    runner = session.core.mda
    runner.set_engine(engine)
    runner.events.frameReady.connect(loop.add_image)
    errors: list[BaseException] = []
    done = threading.Event()  # before CPython 3.13 an interrupted `join` marks a running thread as ended

    def run_camera() -> None:
        try:
            runner.run(loop.events())
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    began = time.monotonic()
    threading.Thread(target=run_camera, name="camera", daemon=True).start()
    exposures = (plan.channels.of(index).exposure_ms for index in range(len(CHANNEL_NAMES)))
    timeout_s = plan.microscope.timeout_s + max(exposures) / 1000
    stalled = frozen = False
    while True:
        try:  # around the whole loop, since an interrupt comes between any two steps
            while not (done.wait(POLL_S) or stalled or frozen):
                now, busy, predicting = time.monotonic(), engine.busy_since, loop.worker.busy_since
                stalled = busy is not None and now - busy > timeout_s
                frozen = predicting is not None and now - predicting > PREDICTOR_TIMEOUT_S
                if loop.stop_requested and not result.interrupted:
                    _interrupt(loop, session, result)
                if now - result.interrupted_at > IMAGE_DEADLINE_S:
                    break
            break
        except KeyboardInterrupt:
            if result.interrupted:  # a second interrupt does not wait for the camera
                break
            _interrupt(loop, session, result)
    if frozen:
        _end_frozen(loop, session, done, result)
    session.hung = result.hung = not done.is_set()
    result.camera_s = time.monotonic() - began
    runner.events.frameReady.disconnect(loop.add_image)
    if errors and result.error is None:
        result.error = _to_lociscope_error(errors[0])
    if stalled:
        loop.stop()
        result.error = HardwareError(
            f"The microscope gave no image within {timeout_s:g} s. Look at the camera and the stage, or raise "
            "microscope.timeout_s."
        )


def _end_frozen(loop: SteeringLoop, session: MicroscopeSession, done: threading.Event, result: RunResult) -> None:
    """End a run whose predictor does not return from a field, after the current image."""
    result.error = LociscopeError(
        f"The predictor did not return from a field within {PREDICTOR_TIMEOUT_S:g} s. Look at the load of this "
        "computer, and run the plan again: fields that are not predicted are imaged again.",
        code=Code.UNAVAILABLE,
    )
    result.given_up_at = time.monotonic()
    loop.stop(ending=True)
    session.core.mda.cancel()
    done.wait(IMAGE_DEADLINE_S)


def _interrupt(loop: SteeringLoop, session: MicroscopeSession, result: RunResult) -> None:
    """End the run after the current image."""
    result.interrupt()
    loop.stop(ending=True)
    session.core.mda.cancel()


def _to_lociscope_error(error: BaseException) -> LociscopeError:
    """Return an error of lociscope unchanged, and any other as a hardware error with its type and first line."""
    if isinstance(error, LociscopeError):
        return error
    logger.debug("traceback of the error:", exc_info=error)
    return HardwareError(f"The microscope stopped ({type(error).__name__}: {first_line(error)}). Run the plan again.")


def _find_target(state: SimulatedState | None) -> tuple[int, ...] | None:
    """Return the true classes in view of the simulated microscope: those of its well, or none if no cell is visible."""
    if state is None:
        return None
    view = state.view()
    well = state.plate.well_at(view.x, view.y)
    return state.plate.target(well) if well is not None and state.plate.count_cells(view) else ()


def _add_totals(result: RunResult, journal: Journal) -> RunResult:
    result.fields = len(journal.lines)
    result.requested = sum(line.get("of") is not None for line in journal.lines)
    result.failures = journal.failures()
    return result
