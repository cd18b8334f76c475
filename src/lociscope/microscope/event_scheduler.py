"""Where to look next: planned fields, and between them what the rules have asked for, as one stream of events."""

from __future__ import annotations

import heapq
import threading
from collections import Counter, deque
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from lociscope.microscope.positions import Stop, events_of, seconds

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
        stop: The field.
        urgency: 0–1; the most urgent goes first.
    """

    stop: Stop
    urgency: float


@dataclass(frozen=True, slots=True)
class Left:
    """A field that was not imaged, and why."""

    id: str
    why: str


class Steering:
    """Gives the microscope its next field, and takes decisions from another thread meanwhile.

    Args:
        plan: The plan.
        planned: The planned fields that are not done yet, in order.
        clock: Seconds that went by.
        begun: Fields that an earlier call imaged, by rule (None for planned ones).
        spent: Seconds that an earlier call took.

    Attributes:
        room: Whether another field may be imaged now; False only while too many wait for the predictor.
        stops: Every field that was begun, by its name.
    """

    def __init__(
        self,
        plan: Plan,
        planned: Sequence[Stop],
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
        self._heaps: dict[str, list[tuple[float, int, Stop]]] = {"now": [], "last": []}
        self._asked: set[str] = set()
        self._stopped = threading.Event()
        self._why = "interrupted"
        self.room: Callable[[], bool] = lambda: True
        self.stops: dict[str, Stop] = {}
        self._dropped: list[Left] = []

    @property
    def spent(self) -> float:
        """Seconds since the plan began, with those of earlier calls."""
        return self._clock() - self._started

    @property
    def left(self) -> list[Left]:
        """Fields that were planned or asked for and are not imaged, once the events have ended."""
        asked = [stop for heap in self._heaps.values() for _, _, stop in sorted(heap)]
        return [*self._dropped, *(Left(stop.id, self._why) for stop in (*self._planned, *asked))]

    def decided(self, field: str, requests: Sequence[Request]) -> None:
        """Tells what was decided of a field; called from any thread, for every field, also for one that failed."""
        self._decided.put((field, requests))

    def stop(self) -> None:
        """Ends the events after the field that is being imaged."""
        self._stopped.set()

    def events(self) -> Iterator[useq.MDAEvent]:
        """The pictures to take, until the plan is done, its budget is spent, or `stop` is called."""
        for stop in self._next_stops():
            yield from events_of(stop, self._plan)

    def _next_stops(self) -> Iterator[Stop]:
        last = None
        while not self._stopped.is_set():
            self._read(wait=False)
            stop = self._choose()
            if stop is None:
                if not self._open:
                    return
                self._read(wait=True)
                continue
            why = self._over(last, stop)
            if why:
                self._why = why
                self._dropped.append(Left(stop.id, why))
                return
            while not self.room() and not self._stopped.wait(POLL_S):
                pass
            self._begun[stop.rule] += 1
            self.stops[stop.id] = stop
            if stop.of is None:
                self._open.add(stop.id)
            last = stop
            yield stop

    def _choose(self) -> Stop | None:
        """What a rule wants at once, or what is planned, or, when all of that is decided, what can wait."""
        stop = self._pop("now")
        if stop is None and self._planned:
            stop = self._planned.popleft()
        if stop is None and not self._open:
            stop = self._pop("last")
        return stop

    def _pop(self, order: str) -> Stop | None:
        heap = self._heaps[order]
        while heap:
            _, _, stop = heapq.heappop(heap)
            if stop.rule is None or self._begun[stop.rule] < self._plan.rules[stop.rule - 1].most:
                return stop
            self._dropped.append(Left(stop.id, f"rule {stop.rule} has its most"))
        return None

    def _over(self, last: Stop | None, stop: Stop) -> str | None:
        """Which budget another field would exceed."""
        budget = self._plan.budget
        if sum(self._begun.values()) >= budget.fields:
            return f"the budget of {budget.fields} fields is spent"
        if self.spent + seconds(last, stop, self._plan) > budget.minutes * 60:
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
            stop = request.stop
            if stop.id in self._asked or stop.rule is None:
                continue
            self._asked.add(stop.id)
            order = self._plan.rules[stop.rule - 1].order
            heapq.heappush(self._heaps[order], (-request.urgency, len(self._asked), stop))
