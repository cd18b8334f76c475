"""Apply the rules of a plan to one field: the verdicts, their numbers, the requested fields, and what they stop."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lociscope.errors import LociscopeError, UsageError
from lociscope.microscope.conditions import CELLS, Facts, compute_urgency, describe_numbers, list_measures, matches
from lociscope.microscope.configuration import Scale, choose_objective
from lociscope.microscope.decisions import Decision, Request, Stop, Verdict
from lociscope.microscope.positions import Position, expand_wells, is_inside, positions_around
from lociscope.microscope.rule_checks import check_wells

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lociscope.microscope.plan import Plan
    from lociscope.microscope.sections import Limits, Objective, Rule

_MET = ("waiting", "again", "outside", "stop", "stopped")
"""Verdicts of planned fields that meet the condition of a rule."""


class RuleEvaluator:
    """Applies the rules of a plan to planned fields, so that a requested field does not request others.

    A requested field is compared with the rule that requested it, which it confirms or refutes.

    Args:
        plan: The plan.
        scale: The pixel sizes.
        limits: The limits of the plan.

    Raises:
        UsageError: A rule can never act, or no objective has the zoom that it asks for.
    """

    def __init__(self, plan: Plan, scale: Scale, limits: Limits) -> None:
        self._plan = plan
        self._scale = scale
        self._limits = limits
        self._objectives: list[Objective] = [choose_objective(rule, plan, scale) for rule in plan.rules]
        self._wells = [frozenset(_find_wells(plan, number, rule)) for number, rule in enumerate(plan.rules, 1)]
        self._met: Counter[tuple[int, str]] = Counter()
        self._confirmed: Counter[int] = Counter()

    @property
    def needs_cells(self) -> bool:
        """Whether a rule compares the cells of a field."""
        return any(CELLS in list_measures(rule.condition) for rule in self._plan.rules)

    @property
    def waits_for_requested(self) -> bool:
        """Return False: requested fields request nothing."""
        return False

    @property
    def confirmed(self) -> Counter[int]:
        """How many fields that a rule requested meet its condition, by its number."""
        return Counter(self._confirmed)

    def replay(self, lines: Iterable[Mapping[str, Any]]) -> list[tuple[str, Stop]]:
        """Count the decisions of earlier calls, and return what they stopped, each with the field that was decided.

        Args:
            lines: Lines of `decisions.jsonl`.
        """
        stops: list[tuple[str, Stop]] = []
        for line in lines:
            for verdict in line.get("rules", ()):
                number, name = verdict["rule"], line["field"]
                if verdict["verdict"] in _MET:
                    self._met[self._count_key(number, line["well"])] += 1
                if verdict["verdict"] == "stop" and (scope := self._plan.rules[number - 1].stop):
                    stops.append((name, Stop(number, scope, line["well"])))
                if verdict["verdict"] == "confirmed":
                    stops += [(name, stop) for stop in self._confirm(number, line["well"])]
        return stops

    def evaluate(self, position: Position, facts: Facts) -> Decision:
        """Apply the rules to one field.

        Args:
            position: The field.
            facts: Its predictions.

        Returns:
            The verdict of each rule that looks at it, the requested fields, and what is stopped.
        """
        if position.rule is not None:
            return self._judge(position, position.rule, facts)
        if not position.is_judged:
            return Decision()
        parts = [
            self._apply(position, number, rule, facts)
            for number, rule in enumerate(self._plan.rules, 1)
            if position.well in self._wells[number - 1]
        ]
        return Decision(
            tuple(verdict for part in parts for verdict in part.verdicts),
            tuple(request for part in parts for request in part.requests),
            tuple(stop for part in parts for stop in part.stops),
        )

    def _judge(self, position: Position, number: int, facts: Facts) -> Decision:
        condition = self._plan.rules[number - 1].condition
        confirmed = matches(condition, facts)
        verdict = Verdict(number, "confirmed" if confirmed else "refuted", describe_numbers(condition, facts))
        return Decision((verdict,), stops=tuple(self._confirm(number, position.well) if confirmed else ()))

    def _confirm(self, number: int, well: str) -> list[Stop]:
        self._confirmed[number] += 1
        enough = self._plan.rules[number - 1].enough
        return [Stop(number, "rule", well)] if enough and self._confirmed[number] >= enough else []

    def _apply(self, position: Position, number: int, rule: Rule, facts: Facts) -> Decision:
        condition = rule.condition
        because = describe_numbers(condition, facts)
        if not matches(condition, facts):
            return Decision((Verdict(number, "no", because),))
        key = self._count_key(number, position.well)
        self._met[key] += 1
        if self._met[key] < rule.found:
            return Decision((Verdict(number, "waiting", because),))
        if rule.stop is not None and self._met[key] > rule.found:
            return Decision((Verdict(number, "stopped", because),))
        if rule.stop is not None:
            return Decision((Verdict(number, "stop", because),), stops=(Stop(number, rule.stop, position.well),))
        return self._request(position, number, rule, facts, because)

    def _request(
        self, position: Position, number: int, rule: Rule, facts: Facts, because: Mapping[str, float]
    ) -> Decision:
        objective = self._objectives[number - 1]
        candidates = positions_around(position, number, rule.sites, objective, self._plan, self._scale, rule.planes)
        if rule.times > 1:
            candidates = [replace(each, id=f"{each.id}-t01", time=1) for each in candidates]
        allowed = [each for each in candidates if is_inside(each, self._limits)]
        outside = tuple(each.id for each in candidates if each not in allowed)
        urgent = compute_urgency(rule.condition, facts)
        names = tuple(each.id for each in allowed)
        verdict = Verdict(number, "again" if allowed else "outside", because, urgent, names, outside)
        return Decision((verdict,), tuple(Request(each, urgent) for each in allowed))

    def _count_key(self, number: int, well: str) -> tuple[int, str]:
        return number, well if self._plan.rules[number - 1].per == "well" else ""


def _find_wells(plan: Plan, number: int, rule: Rule) -> list[str]:
    """Return the wells to which a rule applies.

    Raises:
        UsageError: One of them does not exist, or the plan's fields cannot bring the rule to act.
    """
    planned = expand_wells(plan.plate)
    applies = expand_wells(plan.plate, rule.wells, f"rules.{number}.wells") if rule.wells else planned
    try:
        check_wells(rule, planned, applies, plan.plate.sites[0] * plan.plate.sites[1])
    except LociscopeError as error:
        raise UsageError(f"The plan's rule {number}: {error}", code=error.code) from error
    return applies
