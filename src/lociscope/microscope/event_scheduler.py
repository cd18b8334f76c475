"""Schedule planned fields and the fields that rules request, as one stream of events."""

from __future__ import annotations

import heapq
import threading
from collections import Counter, deque
from dataclasses import dataclass
from enum import StrEnum
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from lociscope.microscope.positions import Position, estimate_field_seconds, make_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import useq

    from lociscope.microscope.plan import Plan

POLL_S = 0.05
"""Interval at which the scheduler checks whether the camera may continue."""


@dataclass(frozen=True, slots=True)
class Request:
    """A field that a rule requests.

    Attributes:
        position: The field.
        urgency: 0–1; the most urgent comes first.
    """

    position: Position
    urgency: float


class SkipReason(StrEnum):
    """Why a field was not imaged."""

    INTERRUPTED = "interrupted"
    RULE_LIMIT = "rule-limit"
    """The rule has imaged the most fields that it may; the value is its number."""
    FIELD_BUDGET = "field-budget"
    """The budget of fields is spent; the value is the budget."""
    TIME_BUDGET = "time-budget"
    """The budget of minutes is spent; the value is the budget."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A field that was not imaged.

    Attributes:
        id: Its name.
        reason: Why.
        value: A number that belongs to the reason.
    """

    id: str
    reason: SkipReason
    value: float | None = None


class EventScheduler:
    """Yields the events of the microscope, and accepts decisions from another thread meanwhile.

    Args:
        plan: The plan.
        planned: The planned fields that are not imaged yet, in order.
        clock: Returns elapsed seconds.
        imaged: Number of fields that earlier calls imaged, by rule (None for planned ones).
        elapsed: Seconds that earlier calls took.

    Attributes:
        has_capacity: Returns whether another field may be imaged now; False while too many wait for the predictor.
        positions: Every field that was started, by its name.
    """

    def __init__(
        self,
        plan: Plan,
        planned: Sequence[Position],
        clock: Callable[[], float],
        *,
        imaged: Counter[int | None] | None = None,
        elapsed: float = 0.0,
    ) -> None:
        self._plan = plan
        self._planned = deque(planned)
        self._clock = clock
        self._imaged: Counter[int | None] = Counter(imaged or {})
        self._started = clock() - elapsed
        self._decisions: SimpleQueue[tuple[str, Sequence[Request]]] = SimpleQueue()
        self._undecided: set[str] = set()
        self._heaps: dict[str, list[tuple[float, int, Position]]] = {"now": [], "last": []}
        self._requested: set[str] = set()
        self._stopped = threading.Event()
        self._end: tuple[SkipReason, float | None] = (SkipReason.INTERRUPTED, None)
        self.has_capacity: Callable[[], bool] = lambda: True
        self.positions: dict[str, Position] = {}
        self._dropped: list[Skipped] = []

    @property
    def elapsed(self) -> float:
        """Seconds since the plan began, including earlier calls."""
        return self._clock() - self._started

    @property
    def skipped(self) -> list[Skipped]:
        """Planned and requested fields that were not imaged, once the events have ended."""
        requested = [position for heap in self._heaps.values() for _, _, position in sorted(heap)]
        return [*self._dropped, *(Skipped(position.id, *self._end) for position in (*self._planned, *requested))]

    def add_decision(self, field: str, requests: Sequence[Request]) -> None:
        """Add the decision about a field, from any thread; every field needs one, also one that failed."""
        self._decisions.put((field, requests))

    def stop(self) -> None:
        """End the events after the current field."""
        self._stopped.set()

    def events(self) -> Iterator[useq.MDAEvent]:
        """Yield the images to take, until the plan is done, its budget is spent, or `stop` is called."""
        for position in self._next_positions():
            yield from make_events(position, self._plan)

    def _next_positions(self) -> Iterator[Position]:
        last = None
        while not self._stopped.is_set():
            self._read_decisions(wait=False)
            position = self._choose()
            if position is None:
                if not self._undecided:
                    return
                self._read_decisions(wait=True)
                continue
            exceeded = self._find_exceeded(last, position)
            if exceeded:
                self._end = exceeded
                self._dropped.append(Skipped(position.id, *exceeded))
                return
            while not self.has_capacity() and not self._stopped.wait(POLL_S):
                pass
            self._imaged[position.rule] += 1
            self.positions[position.id] = position
            if position.of is None:
                self._undecided.add(position.id)
            last = position
            yield position

    def _choose(self) -> Position | None:
        """Return a field that a rule requests at once, a planned one, or, once all are decided, one that can wait."""
        position = self._pop("now")
        if position is None and self._planned:
            position = self._planned.popleft()
        if position is None and not self._undecided:
            position = self._pop("last")
        return position

    def _pop(self, order: str) -> Position | None:
        heap = self._heaps[order]
        while heap:
            _, _, position = heapq.heappop(heap)
            if position.rule is None or self._imaged[position.rule] < self._plan.rules[position.rule - 1].most:
                return position
            self._dropped.append(Skipped(position.id, SkipReason.RULE_LIMIT, position.rule))
        return None

    def _find_exceeded(self, last: Position | None, position: Position) -> tuple[SkipReason, float] | None:
        """Return the budget that another field would exceed."""
        budget = self._plan.budget
        if sum(self._imaged.values()) >= budget.fields:
            return SkipReason.FIELD_BUDGET, budget.fields
        if self.elapsed + estimate_field_seconds(last, position, self._plan) > budget.minutes * 60:
            return SkipReason.TIME_BUDGET, budget.minutes
        return None

    def _read_decisions(self, *, wait: bool) -> None:
        """Read the decisions; with `wait`, wait a moment for the first."""
        try:
            field, requests = self._decisions.get(timeout=POLL_S) if wait else self._decisions.get_nowait()
            while True:
                self._queue_requests(field, requests)
                field, requests = self._decisions.get_nowait()
        except Empty:
            return

    def _queue_requests(self, field: str, requests: Sequence[Request]) -> None:
        self._undecided.discard(field)
        for request in requests:
            position = request.position
            if position.id in self._requested or position.rule is None:
                continue
            self._requested.add(position.id)
            order = self._plan.rules[position.rule - 1].order
            heapq.heappush(self._heaps[order], (-request.urgency, len(self._requested), position))
