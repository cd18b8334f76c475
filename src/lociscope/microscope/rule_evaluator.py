"""Apply the rules of a plan to one field: the verdicts, their probabilities, and the requested fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lociscope.labels import LABELS
from lociscope.microscope.configuration import Scale, choose_objective
from lociscope.microscope.event_scheduler import Request
from lociscope.microscope.positions import Position, is_inside, positions_around
from lociscope.microscope.rules import compute_urgency, list_locations, matches

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from lociscope.microscope.plan import Limits, Objective, Plan


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one rule for one field.

    Attributes:
        rule: Number of the rule, from 1.
        verdict: `again`, `outside` if every requested field is outside the limits, or `no`.
        because: The probabilities of the locations that the rule names.
        urgency: How urgent it is to image the field again, 0–1; 0 if the verdict is `no`.
        fields: Names of the requested fields.
        outside: Names of requested fields outside the limits, which are not imaged.
    """

    rule: int
    verdict: str
    because: Mapping[str, float]
    urgency: float = 0.0
    fields: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as a line of `decisions.jsonl` has it."""
        return {
            "rule": self.rule, "verdict": self.verdict, "because": dict(self.because),
            "urgency": round(self.urgency, 6), "fields": list(self.fields), "outside": list(self.outside),
        }  # fmt: skip


class RuleEvaluator:
    """Applies the rules of a plan to planned fields only, so that a requested field does not request others.

    Args:
        plan: The plan.
        scale: The pixel sizes.
        limits: The limits of the plan.
    """

    def __init__(self, plan: Plan, scale: Scale, limits: Limits) -> None:
        self._plan = plan
        self._scale = scale
        self._limits = limits
        self._rules: list[tuple[int, Objective]] = [
            (number, choose_objective(rule, plan, scale)) for number, rule in enumerate(plan.rules, 1)
        ]

    def evaluate(self, position: Position, probability: np.ndarray, status: str) -> tuple[list[Verdict], list[Request]]:
        """Apply every rule to one field.

        Args:
            position: The field.
            probability: (28,) in 0–1.
            status: Its status.

        Returns:
            The verdict of each rule, and the requested fields, all of them inside the limits.
        """
        if position.of is not None:
            return [], []
        verdicts, requests = [], []
        for number, objective in self._rules:
            verdict, requested = self._evaluate_rule(position, number, objective, probability, status)
            verdicts.append(verdict)
            requests += requested
        return verdicts, requests

    def _evaluate_rule(
        self, position: Position, number: int, objective: Objective, probability: np.ndarray, status: str
    ) -> tuple[Verdict, list[Request]]:
        rule = self._plan.rules[number - 1]
        condition = rule.condition
        because = {LABELS[number]: round(float(probability[number]), 6) for number in list_locations(condition)}
        if not matches(condition, probability, status):
            return Verdict(number, "no", because), []
        candidates = positions_around(position, number, rule.sites, objective, self._plan, self._scale)
        allowed = [each for each in candidates if is_inside(each, self._limits)]
        outside = tuple(each.id for each in candidates if each not in allowed)
        urgent = compute_urgency(condition, probability, status)
        names = tuple(each.id for each in allowed)
        verdict = Verdict(number, "again" if allowed else "outside", because, urgent, names, outside)
        return verdict, [Request(each, urgent) for each in allowed]
