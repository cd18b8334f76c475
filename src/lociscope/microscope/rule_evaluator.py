"""What the rules say of one field: the numbers that mattered, the verdict, and the fields that they ask for."""

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
    """What one rule says of one field.

    Attributes:
        rule: Its number, from 1.
        verdict: `again`, `outside` where all that it asks for lies outside the limits, or `no`.
        because: The probabilities of the places that it names.
        urgency: How much the field wants to be looked at again, 0–1; 0 where the verdict is `no`.
        fields: Names of the fields that it asks for.
        outside: Names of those that lie outside the limits, and are not imaged.
    """

    rule: int
    verdict: str
    because: Mapping[str, float]
    urgency: float = 0.0
    fields: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As the log of decisions has it."""
        return {
            "rule": self.rule, "verdict": self.verdict, "because": dict(self.because),
            "urgency": round(self.urgency, 6), "fields": list(self.fields), "outside": list(self.outside),
        }  # fmt: skip


class RuleEvaluator:
    """Applies a plan's rules; planned fields alone are judged, so that no look leads to another without end.

    Args:
        plan: The plan.
        scale: How large the pixels are.
        limits: How far the stage may go.
    """

    def __init__(self, plan: Plan, scale: Scale, limits: Limits) -> None:
        self._plan = plan
        self._scale = scale
        self._limits = limits
        self._rules: list[tuple[int, Objective]] = [
            (number, choose_objective(rule, plan, scale)) for number, rule in enumerate(plan.rules, 1)
        ]

    def evaluate(self, position: Position, probability: np.ndarray, status: str) -> tuple[list[Verdict], list[Request]]:
        """Judges one field.

        Args:
            position: The field.
            probability: (28,) in 0–1.
            status: Its status.

        Returns:
            What each rule says, and the fields that they ask for, all of them within the limits.
        """
        if position.of is not None:
            return [], []
        verdicts, requests = [], []
        for number, objective in self._rules:
            verdict, wanted = self._ask(position, number, objective, probability, status)
            verdicts.append(verdict)
            requests += wanted
        return verdicts, requests

    def _ask(
        self, position: Position, number: int, objective: Objective, probability: np.ndarray, status: str
    ) -> tuple[Verdict, list[Request]]:
        rule = self._plan.rules[number - 1]
        condition = rule.condition
        because = {LABELS[place]: round(float(probability[place]), 6) for place in list_locations(condition)}
        if not matches(condition, probability, status):
            return Verdict(number, "no", because), []
        wanted = positions_around(position, number, rule.sites, objective, self._plan, self._scale)
        allowed = [each for each in wanted if is_inside(each, self._limits)]
        outside = tuple(each.id for each in wanted if each not in allowed)
        urgent = compute_urgency(condition, probability, status)
        names = tuple(each.id for each in allowed)
        verdict = Verdict(number, "again" if allowed else "outside", because, urgent, names, outside)
        return verdict, [Request(each, urgent) for each in allowed]
