"""Where to look next: planned fields, and between them what the rules have asked for, as one stream of events."""

from __future__ import annotations

import heapq
import threading
from collections import Counter, deque
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from lociscope.microscope.positions import Position, estimate_field_seconds, make_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import useq

    from lociscope.microscope.plan import Plan

POLL_S = 0.05
"""How often is looked whether the camera may go on."""


@dataclass(frozen=True, slots=True)
class Request:
    """A field that a rule asks for.

    Attributes:
        position: The field.
        urgency: 0–1; the most urgent goes first.
    """

    position: Position
    urgency: float


@dataclass(frozen=True, slots=True)
class Skipped:
    """A field that was not imaged, and why."""

    id: str
    why: str


class EventScheduler:
    """Gives the microscope its next field, and takes decisions from another thread meanwhile.

    Args:
        plan: The plan.
        planned: The planned fields that are not done yet, in order.
        clock: Seconds that went by.
        begun: Fields that an earlier call imaged, by rule (None for planned ones).
        spent: Seconds that an earlier call took.

    Attributes:
        has_capacity: Whether another field may be imaged now; False only while too many wait for the predictor.
        positions: Every field that was begun, by its name.
    """

    def __init__(
        self,
        plan: Plan,
        planned: Sequence[Position],
        clock: Callable[[], float],
        *,
        begun: Counter[int | None] | None = None,
        spent: float = 0.0,
    ) -> None:
        self._plan = plan
        self._planned = deque(planned)
        self._clock = clock
        self._begun: Counter[int | None] = Counter(begun or {})
        self._started = clock() - spent
        self._decided: SimpleQueue[tuple[str, Sequence[Request]]] = SimpleQueue()
        self._open: set[str] = set()
        self._heaps: dict[str, list[tuple[float, int, Position]]] = {"now": [], "last": []}
        self._asked: set[str] = set()
        self._stopped = threading.Event()
        self._why = "interrupted"
        self.has_capacity: Callable[[], bool] = lambda: True
        self.positions: dict[str, Position] = {}
        self._dropped: list[Skipped] = []

    @property
    def spent(self) -> float:
        """Seconds since the plan began, with those of earlier calls."""
        return self._clock() - self._started

    @property
    def left(self) -> list[Skipped]:
        """Fields that were planned or asked for and are not imaged, once the events have ended."""
        asked = [position for heap in self._heaps.values() for _, _, position in sorted(heap)]
        return [*self._dropped, *(Skipped(position.id, self._why) for position in (*self._planned, *asked))]

    def add_decision(self, field: str, requests: Sequence[Request]) -> None:
        """Tells what was decided of a field; called from any thread, for every field, also for one that failed."""
        self._decided.put((field, requests))

    def stop(self) -> None:
        """Ends the events after the field that is being imaged."""
        self._stopped.set()

    def events(self) -> Iterator[useq.MDAEvent]:
        """The pictures to take, until the plan is done, its budget is spent, or `stop` is called."""
        for position in self._next_positions():
            yield from make_events(position, self._plan)

    def _next_positions(self) -> Iterator[Position]:
        last = None
        while not self._stopped.is_set():
            self._read(wait=False)
            position = self._choose()
            if position is None:
                if not self._open:
                    return
                self._read(wait=True)
                continue
            why = self._over(last, position)
            if why:
                self._why = why
                self._dropped.append(Skipped(position.id, why))
                return
            while not self.has_capacity() and not self._stopped.wait(POLL_S):
                pass
            self._begun[position.rule] += 1
            self.positions[position.id] = position
            if position.of is None:
                self._open.add(position.id)
            last = position
            yield position

    def _choose(self) -> Position | None:
        """What a rule wants at once, or what is planned, or, when all of that is decided, what can wait."""
        position = self._pop("now")
        if position is None and self._planned:
            position = self._planned.popleft()
        if position is None and not self._open:
            position = self._pop("last")
        return position

    def _pop(self, order: str) -> Position | None:
        heap = self._heaps[order]
        while heap:
            _, _, position = heapq.heappop(heap)
            if position.rule is None or self._begun[position.rule] < self._plan.rules[position.rule - 1].most:
                return position
            self._dropped.append(Skipped(position.id, f"rule {position.rule} has its most"))
        return None

    def _over(self, last: Position | None, position: Position) -> str | None:
        """Which budget another field would exceed."""
        budget = self._plan.budget
        if sum(self._begun.values()) >= budget.fields:
            return f"the budget of {budget.fields} fields is spent"
        if self.spent + estimate_field_seconds(last, position, self._plan) > budget.minutes * 60:
            return f"the budget of {budget.minutes:g} minutes is spent"
        return None

    def _read(self, *, wait: bool) -> None:
        """Takes in what was decided; waits a moment for the first where there is nothing else to do."""
        try:
            field, requests = self._decided.get(timeout=POLL_S) if wait else self._decided.get_nowait()
            while True:
                self._take(field, requests)
                field, requests = self._decided.get_nowait()
        except Empty:
            return

    def _take(self, field: str, requests: Sequence[Request]) -> None:
        self._open.discard(field)
        for request in requests:
            position = request.position
            if position.id in self._asked or position.rule is None:
                continue
            self._asked.add(position.id)
            order = self._plan.rules[position.rule - 1].order
            heapq.heappush(self._heaps[order], (-request.urgency, len(self._asked), position))
