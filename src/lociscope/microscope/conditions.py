"""Conditions of rules: what they are, whether a field meets one, and whether any field can."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from lociscope.labels import LABELS, N_LABELS, to_multi_hot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STATUSES = ("ok", "unsure", "unlike-training")
"""Statuses of a field that a predictor assigns."""
LOCATIONS, RARE, CELLS = "locations", "rare", "differing cells"
"""Names of the measures of a field that are not the probability of one location."""
RARE_SHARE = 0.01
"""A location is rare if less than this share of the competition's fields have it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules know about a predicted field.

    Attributes:
        probability: (28,) in 0–1; NaN for locations that the bundle does not know.
        status: The field's status.
        locations: Number of locations that reach their thresholds.
        differing_cells: Share of its whole cells whose locations differ from those of most others, 0–1; None if no rule
            needs it, or no cell was found.
    """

    probability: np.ndarray
    status: str
    locations: int = 0
    differing_cells: float | None = None

    def measure(self, name: str) -> float:
        """Return the value of a measure: `LOCATIONS`, `RARE` or `CELLS`; NaN if it is unknown."""
        if name == LOCATIONS:
            return self.locations
        if name == RARE:
            known = self.probability[list(rare_locations())]
            return float(np.nanmax(known)) if np.isfinite(known).any() else np.nan
        return np.nan if self.differing_cells is None else self.differing_cells


@dataclass(frozen=True, slots=True)
class StatusCondition:
    """Holds if the status of the field is `value`."""

    value: str


@dataclass(frozen=True, slots=True)
class LocationCondition:
    """Holds if the probability of a location is at least `value`, or, with `below`, less.

    Attributes:
        number: The class number.
        value: A probability, 0–1.
        below: Whether the probability must be less.
    """

    number: int
    value: float
    below: bool = False


@dataclass(frozen=True, slots=True)
class MeasureCondition:
    """Holds if a measure of the field is at least `value`, or, with `below`, less. An unknown measure meets neither.

    Attributes:
        name: `LOCATIONS`, `RARE` or `CELLS`.
        value: A number of locations, a probability, or a share.
        below: Whether the measure must be less.
    """

    name: str
    value: float
    below: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    """Holds if its part does not."""

    part: Condition


@dataclass(frozen=True, slots=True)
class AllOf:
    """Holds if every part does; has at least two."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds if at least one part does; has at least two."""

    parts: tuple[Condition, ...]


Condition = StatusCondition | LocationCondition | MeasureCondition | Not | AllOf | AnyOf


@lru_cache(maxsize=1)
def rare_locations() -> tuple[int, ...]:
    """Return the class numbers of the locations that less than `RARE_SHARE` of the competition's fields have."""
    from lociscope.simulate.frequencies import label_sets

    sets, share = label_sets()
    frequency = (to_multi_hot(sets) * share[:, None]).sum(0)
    return tuple(np.flatnonzero(frequency < RARE_SHARE).tolist())


def matches(condition: Condition, facts: Facts) -> bool:
    """Return whether a field meets a condition."""
    match condition:
        case StatusCondition(value):
            return facts.status == value
        case LocationCondition(number, value, below):
            return bool(facts.probability[number] >= value) is not below
        case MeasureCondition(name, value, below):
            measured = facts.measure(name)
            return bool(measured < value if below else measured >= value)
        case Not(part):
            return not matches(part, facts)
        case AllOf(parts):
            return all(matches(part, facts) for part in parts)
        case AnyOf(parts):
            return any(matches(part, facts) for part in parts)


def iterate_leaves(condition: Condition) -> Iterator[StatusCondition | LocationCondition | MeasureCondition]:
    """Yield the comparisons of a condition."""
    match condition:
        case Not(part):
            yield from iterate_leaves(part)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from iterate_leaves(part)
        case _:
            yield condition


def list_locations(condition: Condition) -> tuple[int, ...]:
    """Return the class numbers that a condition names, ascending."""
    leaves = iterate_leaves(condition)
    return tuple(sorted({leaf.number for leaf in leaves if isinstance(leaf, LocationCondition)}))


def list_measures(condition: Condition) -> tuple[str, ...]:
    """Return the measures that a condition names, sorted."""
    return tuple(sorted({leaf.name for leaf in iterate_leaves(condition) if isinstance(leaf, MeasureCondition)}))


def describe_numbers(condition: Condition, facts: Facts) -> dict[str, float]:
    """Return the numbers that a condition compares, by location and measure."""
    numbers = {LABELS[number]: float(facts.probability[number]) for number in list_locations(condition)}
    return {
        name: round(value, 6)
        for name, value in (numbers | {name: facts.measure(name) for name in list_measures(condition)}).items()
        if np.isfinite(value)
    }


def compute_urgency(condition: Condition, facts: Facts) -> float:
    """Return how urgent it is to image again a field that meets a condition, 0–1.

    This is the highest probability or share among the comparisons that it reaches. For a field that was chosen by its
    status or the number of its locations alone, it is 1 minus the probability of its most probable location.
    """
    wanted = list(_find_reached(condition, facts))
    return float(max(wanted) if wanted else 1 - np.nanmax(facts.probability))


def _find_reached(condition: Condition, facts: Facts) -> Iterator[float]:
    match condition:
        case LocationCondition(number, below=False) if matches(condition, facts):
            yield float(facts.probability[number])
        case MeasureCondition(name, below=False) if name != LOCATIONS and matches(condition, facts):
            yield facts.measure(name)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from _find_reached(part, facts)


def format_condition(condition: Condition) -> str:
    """Return a condition as text that `parse_rule` accepts."""
    match condition:
        case StatusCondition(value):
            return f"status = {value}"
        case LocationCondition(number, value, below):
            return f"{LABELS[number]} {'<' if below else '≥'} {value!r}"
        case MeasureCondition(name, value, below):
            shown = f"{value:g}" if name == LOCATIONS else repr(value)
            return f"{name} {'<' if below else '≥'} {shown}"
        case Not(part):
            return f"not {_nested(part, AllOf, AnyOf)}"
        case AllOf(parts):
            return " and ".join(_nested(part, AllOf, AnyOf) for part in parts)
        case AnyOf(parts):
            return " or ".join(_nested(part, AnyOf) for part in parts)


def _nested(part: Condition, *kinds: type) -> str:
    return f"({format_condition(part)})" if isinstance(part, kinds) else format_condition(part)


MAX_STEPS = 20_000
"""Steps after which `can_hold` no longer looks for a contradiction."""


def can_hold(condition: Condition, statuses: Iterable[str] = STATUSES, most_locations: int = N_LABELS) -> bool:
    """Return whether any field can meet a condition: False only if its comparisons contradict each other.

    Args:
        condition: The condition.
        statuses: The statuses that a field may have.
        most_locations: The most locations that a field may have.
    """
    return _Search(most_locations).find([(condition, True)], {}, frozenset(statuses))


class _Search:
    """Looks for statuses and ranges of numbers that meet a condition, one way of meeting it after the other."""

    def __init__(self, most_locations: int) -> None:
        self._most_locations = most_locations
        self._steps = 0

    def find(
        self, goals: list[tuple[Condition, bool]], ranges: dict[object, tuple[float, float]], statuses: frozenset[str]
    ) -> bool:
        """Return whether all goals can be met; each is a condition and whether it must hold.

        Args:
            goals: Conditions still to meet.
            ranges: For each location or measure the least value, and the value that it must stay below.
            statuses: Statuses that are still possible.
        """
        self._steps += 1
        if not goals or self._steps > MAX_STEPS:
            return True
        (goal, wanted), *rest = goals
        match goal:
            case Not(part):
                return self.find([(part, not wanted), *rest], ranges, statuses)
            case AllOf(parts) | AnyOf(parts):
                every = isinstance(goal, AllOf) is wanted
                ways = [[(part, wanted) for part in parts]] if every else [[(part, wanted)] for part in parts]
                return any(self.find([*way, *rest], ranges, statuses) for way in ways)
            case StatusCondition(value):
                left = statuses & {value} if wanted else statuses - {value}
                return bool(left) and self.find(rest, ranges, left)
            case LocationCondition() | MeasureCondition():
                return self._narrow(goal, wanted, rest, ranges, statuses)

    def _narrow(
        self,
        goal: LocationCondition | MeasureCondition,
        wanted: bool,
        rest: list[tuple[Condition, bool]],
        ranges: dict[object, tuple[float, float]],
        statuses: frozenset[str],
    ) -> bool:
        key = goal.number if isinstance(goal, LocationCondition) else goal.name
        if not wanted and key in (RARE, CELLS):  # an unknown measure meets neither comparison
            return self.find(rest, ranges, statuses)
        most = float(self._most_locations) if key == LOCATIONS else 1.0
        low, high = ranges.get(key, (0.0, np.nextafter(most, np.inf)))
        low, high = (low, min(high, goal.value)) if goal.below is wanted else (max(low, goal.value), high)
        empty = int(np.ceil(low)) >= high if key == LOCATIONS else low >= high
        narrowed = {**ranges, key: (low, high)}
        return not empty and self.find(rest, narrowed, statuses)
