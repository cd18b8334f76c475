"""What is decided about a field: the fields that rules request, what they stop, and why a field is not imaged."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lociscope.microscope.positions import Position


@dataclass(frozen=True, slots=True)
class Request:
    """A field that a rule, or a person's program, requests.

    Attributes:
        position: The field.
        urgency: 0–1; of one priority the most urgent comes first.
        due_s: When to image it at the earliest, seconds since the plan began; for the time points of a series.
    """

    position: Position
    urgency: float
    due_s: float | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Ends a part of the plan.

    Attributes:
        rule: Number of the rule that stops it, from 1.
        scope: `well` or `plate`: their planned fields that are left; `rule`: the fields that the rule still requests.
        well: The well of the field that was decided.
    """

    rule: int
    scope: Literal["well", "plate", "rule"]
    well: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one rule for one field.

    Attributes:
        rule: Number of the rule, from 1.
        verdict: `no`; `waiting` if `when` holds and `found` is not reached; `again`; `outside` if every requested field
            is outside the limits; `stop`, and `stopped` for later fields that meet it; for a field that the rule itself
            requested, `confirmed` or `refuted`.
        because: The numbers that the rule compares.
        urgency: How urgent it is to image the field again, 0–1; 0 unless the verdict is `again` or `outside`.
        fields: Names of the requested fields.
        outside: Names of requested fields outside the limits, which are not imaged.
    """

    rule: int
    verdict: str
    because: Mapping[str, float]
    urgency: float = 0.0
    fields: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Verdict:
        """Return the verdict of a line of `decisions.jsonl`."""
        return cls(**{**values, "fields": tuple(values["fields"]), "outside": tuple(values["outside"])})

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as a line of `decisions.jsonl` has it."""
        return {
            "rule": self.rule, "verdict": self.verdict, "because": dict(self.because),
            "urgency": round(self.urgency, 6), "fields": list(self.fields), "outside": list(self.outside),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decision:
    """What the rules decide about one field.

    Attributes:
        verdicts: The result of each rule.
        requests: The fields to image, all of them inside the limits.
        stops: The parts of the plan to end.
    """

    verdicts: tuple[Verdict, ...] = ()
    requests: tuple[Request, ...] = ()
    stops: tuple[Stop, ...] = ()


class SkipReason(StrEnum):
    """Why a field was not imaged."""

    INTERRUPTED = "interrupted"
    DEVICE = "device"
    """A device failed; the detail says how."""
    RULE_LIMIT = "rule-limit"
    """The rule has imaged the most fields that it may; the value is its number."""
    WELL_LIMIT = "well-limit"
    """The rule has imaged the most fields that it may in this well; the value is its number."""
    UNANSWERED = "unanswered"
    """It was proposed, and nobody answered."""
    OBJECTIVE = "objective"
    """No person agreed to the change of the objective; the detail is the objective."""
    ENOUGH = "enough"
    """A rule has found enough; the value is its number."""
    FIELD_BUDGET = "field-budget"
    """The budget of fields is spent; the value is the budget."""
    TIME_BUDGET = "time-budget"
    """The budget of minutes is spent; the value is the budget."""
    LIGHT_BUDGET = "light-budget"
    """The field, with those around it, has received the most light; the value is the budget in s."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A field that was not imaged.

    Attributes:
        id: Its name.
        reason: Why.
        value: A number that belongs to the reason.
        detail: A text that belongs to the reason.
    """

    id: str
    reason: SkipReason
    value: float | None = None
    detail: str = ""


SKIP_TEXTS = {
    SkipReason.INTERRUPTED: "interrupted",
    SkipReason.RULE_LIMIT: "rule {value:g} has imaged its most fields",
    SkipReason.WELL_LIMIT: "rule {value:g} has imaged its most fields in this well",
    SkipReason.DEVICE: "{detail}",
    SkipReason.UNANSWERED: "proposed, not answered",
    SkipReason.OBJECTIVE: "nobody agreed to the change to {detail}",
    SkipReason.ENOUGH: "rule {value:g} has found enough",
    SkipReason.FIELD_BUDGET: "the budget of {value:g} fields is spent",
    SkipReason.TIME_BUDGET: "the budget of {value:g} minutes is spent",
    SkipReason.LIGHT_BUDGET: "the budget of {value:g} s of light is spent",
}
"""Each reason as `left.csv` has it."""
