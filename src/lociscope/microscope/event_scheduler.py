"""Schedule planned fields and the fields that rules request, as one stream of events of useq-schema."""

from __future__ import annotations

import threading
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from lociscope.microscope.decisions import Request, Skipped, SkipReason, Stop
from lociscope.microscope.positions import Position, estimate_field_seconds, make_events
from lociscope.microscope.request_queue import ImagedField, RequestQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import useq

    from lociscope.microscope.plan import Plan

POLL_S = 0.05
"""Interval at which the scheduler checks whether the camera may continue."""


class EventScheduler:
    """Yields the events of the microscope, and accepts decisions from another thread meanwhile.

    Args:
        plan: The plan.
        planned: The planned fields that are not imaged yet, in order.
        clock: Returns elapsed seconds.
        imaged: The fields that earlier calls imaged.
        elapsed: Seconds that earlier calls took.
        wait: Waits so many seconds while the next time point of a series is not due; by default it sleeps.

    Attributes:
        waits_for_requested: Whether the decisions about requested fields matter too: a program may request more, or
            their image is bad.
        has_capacity: Returns whether another field may be imaged now; False while too many wait for the predictor.
        expects_requests: Returns whether requests may still be added, such as proposals that a person has not answered;
            then the events do not end.
        agrees_to_turn: Asks a person whether the objective may change from one to another, and returns the answer once
            it is there; by default nobody agrees.
        correct: Returns where to image a field, which the drift of the stage may have moved.
        positions: Every field that was started, by its name.
    """

    def __init__(
        self,
        plan: Plan,
        planned: Sequence[Position],
        clock: Callable[[], float],
        *,
        imaged: Iterable[ImagedField] = (),
        elapsed: float = 0.0,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._plan = plan
        self._planned = deque(planned)
        self._clock = clock
        self._queue = RequestQueue(plan, imaged)
        self._started = clock() - elapsed
        self._decisions: SimpleQueue[tuple[str | None, Sequence[Request], Sequence[Stop]]] = SimpleQueue()
        self._undecided: set[str] = set()
        self._stopped, self._running = threading.Event(), threading.Event()
        self._running.set()
        self._wait = wait or self._stopped.wait
        self._end: tuple[SkipReason, float | None] = (SkipReason.INTERRUPTED, None)
        self.waits_for_requested = False
        self.has_capacity: Callable[[], bool] = lambda: True
        self.expects_requests: Callable[[], bool] = lambda: False
        self.agrees_to_turn: Callable[[str, str], bool] = lambda before, after: False
        self._objective = plan.objectives[0].name
        self._refused: set[str] = set()
        self.correct: Callable[[Position], Position] = lambda position: position
        self.positions: dict[str, Position] = {}
        self._dropped: list[Skipped] = []

    @property
    def elapsed(self) -> float:
        """Seconds since the plan began, including earlier calls."""
        return self._clock() - self._started

    @property
    def skipped(self) -> list[Skipped]:
        """Planned and requested fields that were not imaged, once the events have ended."""
        left = (*self._planned, *self._queue.waiting)
        return [*self._dropped, *self._queue.dropped, *(Skipped(position.id, *self._end) for position in left)]

    def add_decision(self, field: str, requests: Sequence[Request] = (), stops: Sequence[Stop] = ()) -> None:
        """Add the decision about a field, from any thread; every field needs one, also one that failed."""
        self._decisions.put((field, requests, stops))

    def add_requests(self, requests: Sequence[Request], stops: Sequence[Stop] = ()) -> None:
        """Add what an earlier decision wants, from any thread."""
        self._decisions.put((None, requests, stops))

    def stop(self) -> None:
        """End the events after the current field."""
        self._stopped.set()
        self._running.set()

    def pause(self) -> None:
        """Begin no further field until `resume` is called; the shutter is closed meanwhile."""
        self._running.clear()

    def resume(self) -> None:
        """Continue after a pause."""
        self._running.set()

    @property
    def paused(self) -> bool:
        """Whether no further field begins."""
        return not self._running.is_set()

    def events(self) -> Iterator[useq.MDAEvent]:
        """Yield the images to take, until the plan is done, its budget is spent, or `stop` is called."""
        for position in self._next_positions():
            yield from make_events(self.correct(position), self._plan)

    def _next_positions(self) -> Iterator[Position]:
        last = None
        while not self._stopped.is_set():
            self._running.wait()
            if self._stopped.is_set():
                return
            self._read_decisions(wait=False)
            position = self._choose()
            if position is None:
                if self._is_done():
                    return
                continue
            exceeded = self._find_exceeded(last, position)
            if exceeded:
                self._end = exceeded
                self._dropped.append(Skipped(position.id, *exceeded))
                return
            while not self.has_capacity() and not self._stopped.wait(POLL_S):
                pass
            if not self._agree_to_turn(position):
                continue
            self._queue.begin(position, self.elapsed)
            self.positions[position.id] = position
            if position.is_judged or self.waits_for_requested:
                self._undecided.add(position.id)
            last = position
            yield position

    def _agree_to_turn(self, position: Position) -> bool:
        """Return whether the objective may change to that of a field; a person may have to be asked, and waited for."""
        before, after = self._objective, position.objective
        if self._plan.needs_person(before, after):
            agreed = False if after in self._refused else self.agrees_to_turn(before, after)
            if not agreed:
                self._refused.add(after)
                stopped = self._stopped.is_set()
                reason = Skipped(position.id, *self._end) if stopped else _refuse(position)
                self._dropped.append(reason)
                return False
        self._objective = after
        return True

    def _choose(self) -> Position | None:
        """Return a field that is due or requested at once, a planned one, or, once they are decided, one that waits."""
        position = self._queue.take_due(self.elapsed) or self._queue.take("now")
        if position is None and self._planned:
            position = self._planned.popleft()
        if position is None and not self._has_undecided_planned():
            position = self._queue.take("last")
        return position

    def _has_undecided_planned(self) -> bool:
        return any(self.positions[name].is_judged for name in self._undecided)

    def _is_done(self) -> bool:
        """Wait a moment for what may still come; return whether nothing can."""
        if self._undecided:
            self._read_decisions(wait=True)
            return False
        due, most = self._queue.next_due_s, self._plan.budget.minutes * 60
        if self.elapsed > most or (due is not None and due > most):
            self._end = (SkipReason.TIME_BUDGET, self._plan.budget.minutes)
            return True
        if due is not None:
            self._wait(min(POLL_S, max(0.0, due - self.elapsed)))
            return False
        if self.expects_requests():
            self._read_decisions(wait=True)
            return False
        return self._decisions.empty()

    def _find_exceeded(self, last: Position | None, position: Position) -> tuple[SkipReason, float] | None:
        """Return the budget that another field would exceed."""
        budget = self._plan.budget
        if self._queue.imaged >= budget.fields:
            return SkipReason.FIELD_BUDGET, budget.fields
        if self.elapsed + estimate_field_seconds(last, position, self._plan) > budget.minutes * 60:
            return SkipReason.TIME_BUDGET, budget.minutes
        return None

    def _read_decisions(self, *, wait: bool) -> None:
        """Read the decisions; with `wait`, wait a moment for the first."""
        try:
            decided = self._decisions.get(timeout=POLL_S) if wait else self._decisions.get_nowait()
            while True:
                self._apply(*decided)
                decided = self._decisions.get_nowait()
        except Empty:
            return

    def _apply(self, field: str | None, requests: Sequence[Request], stops: Sequence[Stop]) -> None:
        self._undecided.discard(field or "")
        for request in requests:
            self._queue.add(request)
        for stop in stops:
            if stop.scope == "rule":
                self._queue.close_rule(stop.rule)
                continue
            ended = [each for each in self._planned if stop.scope == "plate" or each.well == stop.well]
            self._planned = deque(each for each in self._planned if each not in ended)
            self._dropped += [Skipped(each.id, SkipReason.ENOUGH, stop.rule) for each in ended]


def _refuse(position: Position) -> Skipped:
    return Skipped(position.id, SkipReason.OBJECTIVE, detail=position.objective)
