"""Runs a plan: the camera in one thread, the predictor in another, and this one watching over both."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.microscope.configuration import Scale, check_bundle
from lociscope.microscope.engine import StrictEngine
from lociscope.microscope.event_scheduler import EventScheduler, Skipped
from lociscope.microscope.focus import Focus, HardwareError, first_line
from lociscope.microscope.hardware import MicroscopeSession, find_scale, open_microscope
from lociscope.microscope.journal import LOG, Journal
from lociscope.microscope.positions import Position, check_limits, plan_positions
from lociscope.microscope.prediction_worker import PredictionWorker
from lociscope.microscope.rule_evaluator import RuleEvaluator
from lociscope.microscope.simulated.specimen import check_specimen
from lociscope.prediction_log.writer import LogWriter
from lociscope.storage.locks import exclusive_lock

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.images.discovery.sources import Failure
    from lociscope.microscope.plan import Limits, Plan
    from lociscope.microscope.simulated.devices import SimulatedState
    from lociscope.predict.predictor import Predictor
    from lociscope.prediction_log.log import PredictionLog

POLL_S = 0.05

PICTURE_S, DECISIONS_S, LOG_S = 4.0, 5.0, 6.5
"""Until when, in seconds from an interrupt, a run waits for the picture, the predictor and the log; with the time in
which shutters must close, 10 s are not exceeded."""

logger = logging.getLogger(__name__)
Progress = Callable[[int], None]


@dataclass(slots=True)
class RunResult:
    """What a call did.

    Attributes:
        fields: Fields in the output, of all calls.
        again: How many of them a rule asked for.
        new: Fields that this call imaged.
        failures: Fields that could not be predicted.
        unlogged: Fields that were predicted and could not be written to the log.
        trouble: Why the last of them could not.
        left: Fields that were planned or asked for, and why they were not imaged.
        seconds: For each new field how long it took from its last picture to its decision.
        camera_s: How long the camera was at work in this call, by this machine's clock.
        error: The sentence that ended the call before its time, or None.
        interrupted: Whether a person or a signal ended it.
        ending_since: When that was, by `time.monotonic`.
        hung: Whether a driver has not come back, or did not close its shutter; the process has to be left without
            unloading it.
    """

    fields: int = 0
    again: int = 0
    new: int = 0
    failures: list[Failure] = field(default_factory=list)
    unlogged: int = 0
    trouble: str = ""
    left: list[Skipped] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    camera_s: float = 0.0
    error: str | None = None
    interrupted: bool = False
    ending_since: float = math.inf
    hung: bool = False

    def interrupt(self) -> None:
        """Note that a person or a signal asked for the end; the first time counts."""
        self.interrupted = True
        self.ending_since = min(self.ending_since, time.monotonic())


def check_plan(plan: Plan) -> tuple[Scale, list[Position]]:
    """Checks everything that can be checked before hardware is touched.

    Returns:
        The scale, and the planned fields.

    Raises:
        LociscopeError: A well, preset, objective or configuration does not exist, or a planned field lies outside the
            limits.
    """
    scale = find_scale(plan)
    positions = plan_positions(plan, scale)
    check_specimen(plan)
    if plan.limits is not None:
        for position in positions:
            check_limits(position.x, position.y, position.z, plan.limits, f"Field '{position.id}'")
        RuleEvaluator(plan, scale, plan.limits)
    return scale, positions


def run_plan(
    plan: Plan,
    predictor: Predictor,
    out: Path,
    *,
    log: PredictionLog | None = None,
    progress: Progress = lambda number: None,
) -> RunResult:
    """Runs a plan, or goes on where an earlier call of it stopped.

    Args:
        plan: The plan.
        predictor: The opened bundle.
        out: The folder to fill.
        log: Keeps predictions as well, where given.
        progress: Called with the number of fields after each.

    Returns:
        What was done. A device that failed, or a person who interrupted, is told there, not raised: what was acquired
        is kept and the tables are written.

    Raises:
        LociscopeError: The plan has no limits, asks for what does not exist, its bundle cannot read what the
            objective shows, the folder holds something else, another run fills it, or nothing says where the focus
            belongs.
    """
    if plan.limits is None:
        raise UsageError(
            "The plan has no [limits], and without them nothing moves. Look how far the stage and the objective may "
            "go, and write x, y and z; --dry-run shows the positions.",
            code=Code.TOO_LARGE,
        )
    scale, positions = check_plan(plan)
    check_bundle(plan, scale, predictor.bundle)
    taken = f"'{out}' is being filled by another run. Wait until it ends, or name another folder with -o."
    with exclusive_lock(out, taken, needed=False):
        journal = Journal.begin(out, plan, predictor.bundle.sha256)
        if journal.finished:
            return _complete_result(journal, RunResult())
        try:
            with open_microscope(plan, scale, out / LOG) as session:
                result = _acquire(plan, plan.limits, predictor, journal, session, scale, positions, log, progress)
        except LociscopeError:
            journal.discard()
            raise
    result.hung |= not session.dark
    return result


def _acquire(
    plan: Plan,
    limits: Limits,
    predictor: Predictor,
    journal: Journal,
    session: MicroscopeSession,
    scale: Scale,
    positions: list[Position],
    log: PredictionLog | None,
    progress: Progress,
) -> RunResult:
    earlier = {line["field"] for line in journal.lines}
    spent = max((line["at_s"] for line in journal.lines), default=0.0)
    todo = [position for position in positions if position.id not in earlier]
    scheduler = EventScheduler(plan, todo, session.clock, begun=journal.begun(), spent=spent)
    for name, requests in journal.requests().items():
        scheduler.add_decision(name, requests)
    result = RunResult()
    writer = LogWriter(log, "microscope", hurry=lambda: result.interrupted)
    worker = PredictionWorker(
        predictor, RuleEvaluator(plan, scale, limits), scheduler, journal, scale, writer, progress=progress,
        target=lambda: _target(session.simulated),
    )  # fmt: skip
    scheduler.has_capacity = worker.has_capacity
    focus = Focus(session.core, plan, journal)
    focus.begin()
    worker.start()
    _drive(plan, StrictEngine(session.core, limits, focus), scheduler, worker, session, result)
    try:
        worker.close(result.ending_since + DECISIONS_S)
    except KeyboardInterrupt:  # what is predicted so far is enough; the rest is imaged again
        result.interrupt()
    if worker.error is not None and result.error is None:
        result.error = _error_text(worker.error)
    result.new = len(journal.lines) - len(earlier)
    here = {line["field"] for line in journal.lines}
    cut_off = [Skipped(name, "interrupted") for name in scheduler.positions if name not in here]
    result.left, result.seconds = [*cut_off, *scheduler.left], worker.seconds
    journal.close(result.left, finished=not (result.error or result.interrupted))
    try:
        writer.close(max(0.0, result.ending_since + LOG_S - time.monotonic()) if result.interrupted else None)
    except KeyboardInterrupt:
        result.interrupt()
    result.unlogged, result.trouble = writer.unlogged, writer.trouble
    return _complete_result(journal, result)


def _drive(
    plan: Plan,
    engine: StrictEngine,
    scheduler: EventScheduler,
    worker: PredictionWorker,
    session: MicroscopeSession,
    result: RunResult,
) -> None:
    """Lets the camera work in a thread of its own, so that an interrupt or a driver that hangs is seen here."""
    runner = session.core.mda
    runner.set_engine(engine)
    runner.events.frameReady.connect(worker.frame)
    failed: list[BaseException] = []
    done = threading.Event()  # a `join` that is interrupted takes a thread for ended that is not (CPython before 3.13)

    def work() -> None:
        try:
            runner.run(scheduler.events())
        except BaseException as error:
            failed.append(error)
        finally:
            done.set()

    began = time.monotonic()
    threading.Thread(target=work, name="camera", daemon=True).start()
    longest = plan.microscope.timeout_s + max(plan.channels.of(i).exposure_ms for i in range(len(CHANNEL_NAMES))) / 1000
    stalled = False
    while True:
        try:  # around the whole loop: an interrupt comes between any two steps
            while not (done.wait(POLL_S) or stalled):
                now, busy = time.monotonic(), engine.busy_since
                stalled = busy is not None and now - busy > longest
                if now - result.ending_since > PICTURE_S:
                    break
            break
        except KeyboardInterrupt:
            if result.interrupted:  # a second one does not wait for the camera
                break
            result.interrupt()
            scheduler.stop()
            runner.cancel()
    session.hung = result.hung = not done.is_set()
    result.camera_s = time.monotonic() - began
    runner.events.frameReady.disconnect(worker.frame)
    if failed:
        result.error = _error_text(failed[0])
    if stalled:
        scheduler.stop()
        result.error = str(
            HardwareError(
                f"The microscope gave no picture within {longest:g} s. Look at the camera and the stage, or raise "
                "microscope.timeout_s."
            )
        )


def _error_text(error: BaseException) -> str:
    """The sentence of an error; one that nobody foresaw says what it is."""
    if isinstance(error, LociscopeError):
        return str(error)
    logger.debug("where it came from:", exc_info=error)
    return f"The microscope stopped ({type(error).__name__}: {first_line(error)}). Give the same command again."


def _target(state: SimulatedState | None) -> tuple[int, ...] | None:
    """The true places in view of the simulated microscope: its well's, or none where no cell shows."""
    if state is None:
        return None
    view = state.view()
    well = state.plate.well_at(view.x, view.y)
    return state.plate.target(well) if well is not None and state.plate.cells(view) else ()


def _complete_result(journal: Journal, result: RunResult) -> RunResult:
    result.fields = len(journal.lines)
    result.again = sum(line["rule"] is not None for line in journal.lines)
    result.failures = journal.failures()
    return result
