"""The loop of acquisition and prediction, without the hardware: a generator of events, and a receiver of images.

`run_plan` drives a microscope with it. A program with another engine can do the same:

    with SteeringLoop.open(checked, predictor, journal, session.clock) as loop:
        core.mda.events.frameReady.connect(loop.add_image)
        core.mda.run(loop.events())
"""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from lociscope.microscope.corrections import CORRECTIONS, may_correct
from lociscope.microscope.decisions import Decision, Skipped, SkipReason
from lociscope.microscope.event_scheduler import POLL_S, EventScheduler
from lociscope.microscope.journal_lines import is_judged
from lociscope.microscope.prediction_worker import PredictionWorker
from lociscope.microscope.proposals import ProposalQueue
from lociscope.microscope.safeguards import Safeguards
from lociscope.prediction_log.writer import LogWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    import useq

    from lociscope.microscope.conditions import Facts
    from lociscope.microscope.configuration import Scale
    from lociscope.microscope.decisions import Request, Stop
    from lociscope.microscope.focus import HardwareError
    from lociscope.microscope.journal import Journal
    from lociscope.microscope.plan import Plan
    from lociscope.microscope.positions import Position
    from lociscope.predict.predictor import Predictor
    from lociscope.prediction_log.log import PredictionLog


logger = logging.getLogger(__name__)


class Evaluator(Protocol):
    """Decides about each predicted field: the rules of the plan, or a program that replaces them."""

    @property
    def needs_cells(self) -> bool:
        """Whether `Facts.differing_cells` is needed."""

    @property
    def waits_for_requested(self) -> bool:
        """Whether requested fields may request further ones."""

    def replay(self, lines: Sequence[Mapping[str, Any]]) -> list[tuple[str, Stop]]:
        """Receive the decisions of earlier calls; return what they stopped, each with the field that was decided."""

    def evaluate(self, position: Position, facts: Facts) -> Decision:
        """Decide about one field."""


class LoopObserver(Protocol):
    """Receives what happens in the loop, from the thread that predicts; each method may do nothing."""

    answers: bool
    """Whether a person can answer proposals through it; without such an observer nobody waits for answers."""

    def on_started(self, loop: SteeringLoop) -> None:
        """Receive the loop before its first event."""

    def on_field(self, line: Mapping[str, Any], pixels: np.ndarray) -> None:
        """Receive a field that is on disk: its line of `decisions.jsonl`, and its pixels (y, x, 4)."""


class SteeringLoop:
    """Yields the events of a plan, accepts their images, and decides what to image next.

    Args:
        plan: The plan.
        scale: The pixel sizes.
        positions: The planned fields.
        predictor: The open bundle.
        evaluator: Decides about each field.
        journal: The output folder.
        clock: Returns elapsed seconds.
        wait: Waits so many seconds by that clock.
        log: Log to which predictions are written as well.
        find_target: Returns the true classes in view, or None if they are unknown.
        observers: Receive what happens.

    Attributes:
        scheduler: Yields the events; `pause`, `resume` and `stop` are its methods.
        proposals: What the rules propose, in the mode `propose`.
        worker: Predicts the fields.
    """

    def __init__(
        self,
        plan: Plan,
        scale: Scale,
        positions: Sequence[Position],
        predictor: Predictor,
        evaluator: Evaluator,
        journal: Journal,
        clock: Callable[[], float],
        *,
        wait: Callable[[float], object] | None = None,
        log: PredictionLog | None = None,
        find_target: Callable[[], tuple[int, ...] | None] = lambda: None,
        observers: Sequence[LoopObserver] = (),
    ) -> None:
        self.plan, self.scale, self.planned = plan, scale, list(positions)
        self.journal = journal
        self._observers = observers
        self._ending, self._stop_requested = threading.Event(), threading.Event()
        self._failed: dict[str, Skipped] = {}
        self._failed_in_row = 0
        self._safeguards = Safeguards(plan, journal.folder)
        self._earlier = {line["field"] for line in journal.lines}
        elapsed = max((line["at_s"] for line in journal.lines), default=0.0)
        remaining = [position for position in positions if position.id not in self._earlier]
        self.scheduler = EventScheduler(
            plan, remaining, clock, imaged=journal.imaged_fields(), elapsed=elapsed, wait=wait
        )
        self.scheduler.waits_for_requested = evaluator.waits_for_requested or may_correct(plan)
        self.proposals = ProposalQueue(self._carry_out, journal.append_answer, journal.read_answers())
        self.scheduler.expects_requests = lambda: self.proposals.expects_answers
        self.scheduler.agrees_to_turn = self._ask_to_turn
        self.writer = LogWriter(log, "microscope", is_ending=self._ending.is_set)
        self.worker = PredictionWorker(
            plan, predictor, evaluator, self._dispatch, self.scheduler, journal, scale, self.writer,
            find_target=find_target, report=self._report,
        )  # fmt: skip
        self.scheduler.has_capacity = self.worker.has_capacity
        self._restore(evaluator)

    def __enter__(self) -> SteeringLoop:
        """Start to predict."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Finish the acquired fields, and write the tables."""
        self.worker.close()
        self.journal.close(self.list_skipped(), finished=self.worker.error is None)
        self.writer.close()

    def start(self) -> None:
        """Start the thread that predicts."""
        if not any(observer.answers for observer in self._observers):
            self.proposals.close()
        for observer in self._observers:
            observer.on_started(self)
        self.worker.start()

    def events(self) -> Iterator[useq.MDAEvent]:
        """Yield the images to take, until the plan is done, its budget is spent, or it is stopped."""
        return self.scheduler.events()

    def add_image(self, image: np.ndarray, event: useq.MDAEvent, meta: Mapping[str, Any]) -> None:
        """Accept an image, from any thread; the fourth one completes a field."""
        if self.worker.add_image(image, event, meta):
            self._failed_in_row = 0

    def stop(self, *, ending: bool = False) -> None:
        """End the events after the current field.

        Args:
            ending: Whether the process ends, so that the log is no longer waited for.
        """
        if ending:
            self._ending.set()
        self.proposals.close()
        self.scheduler.stop()

    def list_skipped(self) -> list[Skipped]:
        """Return the planned and requested fields that were not imaged, once the events have ended."""
        imaged = {line["field"] for line in self.journal.lines}
        missing = [name for name in self.scheduler.positions if name not in imaged]
        interrupted = [self._failed.get(name, Skipped(name, SkipReason.INTERRUPTED)) for name in missing]
        unanswered = [
            Skipped(request.position.id, SkipReason.UNANSWERED)
            for proposal in self.proposals.pending
            for request in proposal.requests
        ]
        return [*interrupted, *self.scheduler.skipped, *unanswered]

    def skip_field(self, field: str, error: HardwareError) -> bool:
        """Leave a field out because a device failed, from the thread of the camera.

        Returns:
            Whether the run continues: not after more than `quality.skip` such fields in a row.
        """
        if self._failed_in_row >= self.plan.quality.skip:
            return False
        self._failed_in_row += 1
        self._failed[field] = Skipped(field, SkipReason.DEVICE, detail=str(error))
        self.worker.forget(field)
        self.scheduler.add_decision(field)
        logger.warning("%s The field is left out, and the run continues.", error)
        return True

    @property
    def skipped_fields(self) -> int:
        """Number of fields that were left out because a device failed."""
        return len(self._failed)

    def request_stop(self) -> None:
        """Ask whoever drives the microscope to end the run, from any thread, as Ctrl-C does."""
        self._stop_requested.set()

    @property
    def stop_requested(self) -> bool:
        """Whether `request_stop` was called."""
        return self._stop_requested.is_set()

    @property
    def new_fields(self) -> int:
        """Number of fields that this call imaged."""
        return len(self.journal.lines) - len(self._earlier)

    def _restore(self, evaluator: Evaluator) -> None:
        """Carry out, or propose again, what earlier calls decided."""
        stops: dict[str, list[Stop]] = {}
        for name, stop in evaluator.replay(self.journal.lines):
            stops.setdefault(name, []).append(stop)
        pending = self.journal.pending_requests(self.plan)
        for line in self.journal.lines:
            name = line["field"]
            verdicts = self.journal.verdicts(line)
            decision = Decision(verdicts, tuple(pending.get(name, ())), tuple(stops.get(name, ())))
            self._dispatch(name, line.get("well", ""), decision, is_planned=is_judged(line))

    def _dispatch(self, field: str, well: str, decision: Decision, *, is_planned: bool) -> None:
        """Pass on the decision about a field: carry it out, propose it, or do nothing, as the mode says.

        What a requested field brings about (the next time point, a rule that has found enough) was agreed to before.
        A field whose image is bad is replaced in every mode.
        """
        corrected = any(verdict.verdict in CORRECTIONS for verdict in decision.verdicts)
        if self.plan.mode == "act" or not is_planned or corrected:
            self.scheduler.add_decision(field, decision.requests, decision.stops)
            return
        if self.plan.mode == "propose":
            self.proposals.propose(field, well, decision)
        self.scheduler.add_decision(field)

    def _ask_to_turn(self, before: str, after: str) -> bool:
        """Ask a person to change the objective, and wait for the answer, in the thread of the camera."""
        named = [f"{name} ({self.plan.objective(name).immersion})" for name in (before, after)]
        question = self.proposals.ask_change(" to ".join(named))
        logger.info("waiting for a person to change the objective from %s", " to ".join(named))
        while (answer := self.proposals.find_answer(question)) is None:
            time.sleep(POLL_S)
        return answer

    def _carry_out(self, requests: Sequence[Request], stops: Sequence[Stop]) -> None:
        self.scheduler.add_requests(requests, stops)

    def _report(self, line: Mapping[str, Any], pixels: np.ndarray) -> None:
        for observer in self._observers:
            observer.on_field(line, pixels)
        self._safeguards.check(line)

    def close(self, deadline: float = math.inf) -> None:
        """Finish the acquired fields until a deadline, by `time.monotonic`.

        Raises:
            KeyboardInterrupt: It was interrupted; waiting fields are dropped.
        """
        self.worker.close(deadline)
