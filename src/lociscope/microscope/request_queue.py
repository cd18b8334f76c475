"""The fields that rules request: in their order, each once, and no more than the plan allows."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lociscope.channels import CHANNEL_NAMES
from lociscope.microscope.autofocus import FOCUS_IMAGES
from lociscope.microscope.decisions import Request, Skipped, SkipReason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lociscope.microscope.plan import Plan
    from lociscope.microscope.positions import Position


@dataclass(frozen=True, slots=True)
class ImagedField:
    """A field that has been imaged, as far as budgets are concerned.

    Attributes:
        rule: Number of the rule that requested it; None for a planned one, or one that a program requested.
        well: Its well.
        root: The planned field that it images again, or its own name.
        autofocus: Whether its focus was looked for.
        exposures: Its exposures in ms; empty for those of the plan.
    """

    rule: int | None
    well: str
    root: str
    autofocus: bool = False
    exposures: tuple[float, ...] = ()


class RequestQueue:
    """Orders requested fields by priority and urgency, and applies the limits of their rules.

    Fields with an objective that a person must change to come last, objective by objective.

    Args:
        plan: The plan.
        imaged: The fields that earlier calls imaged.
    """

    def __init__(self, plan: Plan, imaged: Iterable[ImagedField] = ()) -> None:
        self._plan = plan
        self._by_rule: Counter[int | None] = Counter()
        self._by_well: Counter[tuple[int | None, str]] = Counter()
        self._light: dict[str, float] = {}
        for each in imaged:
            self._count(each)
        self._heaps: dict[str, list[tuple[int, int, float, int, Position]]] = {"now": [], "last": []}
        self._series: list[tuple[float, int, Position]] = []
        self._known: set[str] = set()
        self._closed: set[int] = set()
        self.dropped: list[Skipped] = []
        """Requested fields that are not imaged, and why."""

    @property
    def imaged(self) -> int:
        """Number of fields that were imaged, planned and requested."""
        return self._by_rule.total()

    @property
    def waiting(self) -> list[Position]:
        """The fields that are requested and not imaged, in order."""
        queued = [position for heap in self._heaps.values() for *_, position in sorted(heap)]
        return [*queued, *(position for *_, position in sorted(self._series))]

    @property
    def next_due_s(self) -> float | None:
        """When the next time point of a series is due, seconds since the plan began; None without a series."""
        return self._series[0][0] if self._series else None

    def add(self, request: Request) -> None:
        """Add a request, unless the field is known already."""
        position = request.position
        if position.id in self._known:
            return
        self._known.add(position.id)
        number = len(self._known)
        if request.due_s is not None:
            heapq.heappush(self._series, (request.due_s, number, position))
            return
        rule = None if position.rule is None else self._plan.rules[position.rule - 1]
        priority, order = (5, "last") if rule is None else (rule.priority, rule.order)
        turn = self._find_turn(position)
        heapq.heappush(self._heaps["last" if turn else order], (turn, -priority, -request.urgency, number, position))

    def _find_turn(self, position: Position) -> int:
        """Return the number of an objective that a person must change to, after all others; 0 for one that turns."""
        names = [each.name for each in self._plan.objectives]
        return names.index(position.objective) if self._plan.needs_person(names[0], position.objective) else 0

    def close_rule(self, number: int) -> None:
        """Drop what a rule still requests; it has found enough."""
        self._closed.add(number)

    def take(self, order: str) -> Position | None:
        """Return the next field of an order, `now` or `last`, that the limits allow; None if there is none."""
        while self._heaps[order]:
            position = heapq.heappop(self._heaps[order])[-1]
            if self._is_allowed(position):
                return position
        return None

    def take_due(self, elapsed: float) -> Position | None:
        """Return the next time point that is due, or None."""
        while self._series and self._series[0][0] <= elapsed:
            position = heapq.heappop(self._series)[-1]
            if self._is_allowed(position):
                return position
        return None

    def begin(self, position: Position, elapsed: float) -> None:
        """Count a field that is imaged now, and request the next time point of its series."""
        self._count(_to_imaged(position))
        following = make_next_time_point(position, elapsed, self._plan)
        if following is not None:
            self.add(following)

    def _count(self, field: ImagedField) -> None:
        self._by_rule[field.rule] += 1
        self._by_well[field.rule, field.well] += 1
        light = light_seconds(self._plan, field)
        self._light[field.root] = self._light.get(field.root, 0.0) + light

    def _is_allowed(self, position: Position) -> bool:
        found = self._find_limit(position)
        if found is not None:
            self.dropped.append(Skipped(position.id, *found))
        return found is None

    def _find_limit(self, position: Position) -> tuple[SkipReason, float] | None:
        """Return the limit that another field would exceed."""
        number, light_s = position.rule, self._plan.budget.light_s
        if number is not None:
            rule = self._plan.rules[number - 1]
            if number in self._closed:
                return SkipReason.ENOUGH, number
            if rule.most is not None and self._by_rule[number] >= rule.most:
                return SkipReason.RULE_LIMIT, number
            if rule.most_per_well is not None and self._by_well[number, position.well] >= rule.most_per_well:
                return SkipReason.WELL_LIMIT, number
        light = self._light.get(position.of or position.id, 0.0)
        light += light_seconds(self._plan, _to_imaged(position))
        if light_s is not None and light > light_s * (1 + 1e-9):
            return SkipReason.LIGHT_BUDGET, light_s
        return None


def make_next_time_point(position: Position, began_s: float, plan: Plan) -> Request | None:
    """Return the request for the time point after one that began at `began_s`; None at the end of a series."""
    if position.rule is None or position.time is None:
        return None
    rule = plan.rules[position.rule - 1]
    if rule.every_s is None or position.time >= rule.times:
        return None
    time = position.time + 1
    following = replace(position, id=f"{position.id.rpartition('-t')[0]}-t{time:02d}", time=time)
    return Request(following, 1.0, began_s + rule.every_s)


def _to_imaged(position: Position) -> ImagedField:
    root = position.of or position.id
    return ImagedField(position.rule, position.well, root, position.autofocus, position.exposures)


def light_seconds(plan: Plan, field: ImagedField) -> float:
    """Return how long light falls on a field while its four images are taken, and while its focus is looked for, s."""
    planned = tuple(plan.channels.of(index).exposure_ms for index in range(len(CHANNEL_NAMES)))
    exposures = field.exposures or planned
    return ((FOCUS_IMAGES * exposures[0] if field.autofocus else 0.0) + sum(exposures)) / 1000
