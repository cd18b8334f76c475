"""Rules: a small language that says which fields to look at again, parsed and never evaluated as code.

    condition := and ("or" and)*
    and       := not ("and" not)*
    not       := "not" not | "(" condition ")" | comparison
    comparison:= "status" "=" NAME | PLACE (">=" | "<") NUMBER

Places are the 28 names of `lociscope.labels`, in any case; `≥` may stand for `>=`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from lociscope.errors import Code, UsageError, suggest
from lociscope.labels import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

STATUSES = ("ok", "unsure")
"""What `lociscope.decide.locations` says of a field."""
LONGEST = 1000
"""Characters of a rule: more are no rule that a person wrote, and would nest too deep."""
DEEPEST = 50
_KEYWORDS = ("and", "or", "not")
_TOKEN = re.compile(
    r'\s*(?:(?P<sign>>=|≥|<|=|\(|\))|"(?P<quoted>[^"]*)"|(?P<number>\d+\.?\d*|\.\d+)|(?P<word>[^\s()<>=≥"]+))'
)


@dataclass(frozen=True, slots=True)
class StatusCondition:
    """The status of the field is `value`."""

    value: str


@dataclass(frozen=True, slots=True)
class LocationCondition:
    """The probability of a place reaches `value`, or, where `below`, does not.

    Attributes:
        number: The class number.
        value: A probability, 0–1.
        below: Whether the probability has to be less.
    """

    number: int
    value: float
    below: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Condition


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds; at least two."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One part holds, or more; at least two."""

    parts: tuple[Condition, ...]


Condition = StatusCondition | LocationCondition | Not | AllOf | AnyOf


def matches(condition: Condition, probability: np.ndarray, status: str) -> bool:
    """Whether a condition holds of a field.

    Args:
        condition: The condition.
        probability: (28,) in 0–1.
        status: The field's status.
    """
    match condition:
        case StatusCondition(value):
            return status == value
        case LocationCondition(number, value, below):
            return bool(probability[number] >= value) is not below
        case Not(part):
            return not matches(part, probability, status)
        case AllOf(parts):
            return all(matches(part, probability, status) for part in parts)
        case AnyOf(parts):
            return any(matches(part, probability, status) for part in parts)


def list_locations(condition: Condition) -> tuple[int, ...]:
    """The class numbers that a condition names, ascending."""
    match condition:
        case LocationCondition(number):
            return (number,)
        case Not(part):
            return list_locations(part)
        case AllOf(parts) | AnyOf(parts):
            return tuple(sorted({number for part in parts for number in list_locations(part)}))
        case _:
            return ()


def compute_urgency(condition: Condition, probability: np.ndarray, status: str) -> float:
    """How much a field that a condition holds of wants to be looked at again, 0–1.

    It is the highest probability among the wanted places that are reached; of a field chosen for its status alone,
    how far its likeliest place is from certain.
    """
    wanted = [probability[place.number] for place in _reached(condition, probability, status)]
    return float(max(wanted) if wanted else 1 - probability.max())


def _reached(condition: Condition, probability: np.ndarray, status: str) -> list[LocationCondition]:
    match condition:
        case LocationCondition(below=False) if matches(condition, probability, status):
            return [condition]
        case AllOf(parts) | AnyOf(parts):
            return [place for part in parts for place in _reached(part, probability, status)]
        case _:
            return []


def format_condition(condition: Condition) -> str:
    """The condition in words; `parse_rule` takes them again."""
    match condition:
        case StatusCondition(value):
            return f"status = {value}"
        case LocationCondition(number, value, below):
            return f"{LABELS[number]} {'<' if below else '≥'} {value!r}"
        case Not(part):
            return f"not {_nested(part, AllOf, AnyOf)}"
        case AllOf(parts):
            return " and ".join(_nested(part, AllOf, AnyOf) for part in parts)
        case AnyOf(parts):
            return " or ".join(_nested(part, AnyOf) for part in parts)


def _nested(part: Condition, *kinds: type) -> str:
    return f"({format_condition(part)})" if isinstance(part, kinds) else format_condition(part)


@lru_cache(maxsize=256)
def parse_rule(rule: str) -> Condition:
    """Reads a rule.

    Args:
        rule: Such as `status = unsure or Centrosome >= 0.5`.

    Raises:
        UsageError: It is no rule; the sentence names the nearest place or status, or what was expected.
    """
    if len(rule) > LONGEST:
        raise UsageError(
            f"The rule {rule[:40]!r}… has {len(rule)} characters; at most {LONGEST} are read. Shorten it.",
            code=Code.TOO_LARGE,
        )
    return _Parser(rule).whole()


class _Parser:
    """Reads one rule from left to right."""

    def __init__(self, rule: str) -> None:
        self._rule = rule
        self._depth = 0
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(rule.rstrip()):
            match = _TOKEN.match(rule, at)
            if match is None:
                raise self._wrong(rule[at:].strip()[:20])
            self._tokens.append((str(match.lastgroup), str(match[str(match.lastgroup)])))
            at = match.end()

    def whole(self) -> Condition:
        found = self._joined("or", lambda: self._joined("and", self._not, AllOf), AnyOf)
        if self._tokens:
            raise self._wrong(self._tokens[0][1])
        return found

    def _joined(
        self, word: str, part: Callable[[], Condition], kind: Callable[[tuple[Condition, ...]], Condition]
    ) -> Condition:
        parts = [part()]
        while self._take("word", word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else kind(tuple(parts))

    def _not(self) -> Condition:
        self._depth += 1
        if self._depth > DEEPEST:
            raise UsageError(
                f"The rule {self._rule[:40]!r}… nests deeper than {DEEPEST}. Write it flatter.", code=Code.CORRUPT
            )
        try:
            if self._take("word", "not"):
                return Not(self._not())
            if self._take("sign", "("):
                inner = self._joined("or", lambda: self._joined("and", self._not, AllOf), AnyOf)
                if not self._take("sign", ")"):
                    raise self._wrong(self._next()[1], "a closing parenthesis")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Condition:
        name = self._name()
        if name.lower() == "status":
            if not self._take("sign", "="):
                raise self._wrong(self._next()[1], "'=' after 'status'")
            value = self._name()
            if value.lower() not in STATUSES:
                raise UsageError(
                    f"The rule {_cut(self._rule)}: there is no status {_cut(value)}.{suggest(value, STATUSES)}",
                    code=Code.INVALID_VALUE,
                )
            return StatusCondition(value.lower())
        number = self._place(name)
        below = self._take("sign", "<")
        if not (below or self._take("sign", ">=") or self._take("sign", "≥")):
            raise self._wrong(self._next()[1], f"'>=' or '<' after {LABELS[number]!r}")
        kind, word = self._next()
        if kind != "number" or not 0 <= float(word) <= 1:
            raise self._wrong(word, "a probability from 0 to 1")
        self._tokens.pop(0)
        return LocationCondition(number, float(word), below)

    def _place(self, name: str) -> int:
        folded = {label.lower(): number for number, label in enumerate(LABELS)}
        if name.lower() not in folded:
            raise UsageError(
                f"The rule {_cut(self._rule)}: there is no place {_cut(name)}.{suggest(name, LABELS)}",
                code=Code.INVALID_VALUE,
            )
        return folded[name.lower()]

    def _name(self) -> str:
        """A quoted name, or words up to a sign or keyword."""
        if self._next()[0] == "quoted":
            return self._tokens.pop(0)[1]
        words = []
        while self._next()[0] == "word" and self._next()[1].lower() not in _KEYWORDS:
            words.append(self._tokens.pop(0)[1])
        if not words:
            raise self._wrong(self._next()[1], "'status' or the name of a place")
        return " ".join(words)

    def _next(self) -> tuple[str, str]:
        return self._tokens[0] if self._tokens else ("end", "its end")

    def _take(self, kind: str, value: str) -> bool:
        found, word = self._next()
        if found == kind and word.lower() == value:
            self._tokens.pop(0)
            return True
        return False

    def _wrong(self, found: str, expected: str = "'and', 'or' or its end") -> UsageError:
        return UsageError(
            f"The rule {_cut(self._rule)}: expected {expected}, received {_cut(found)}. "
            "Write it as in 'status = unsure or Centrosome >= 0.5'.",
            code=Code.INVALID_VALUE,
        )


def _cut(words: str) -> str:
    """In quotes, and not longer than a sentence bears."""
    return repr(words) if len(words) <= 60 else f"{words[:60]!r}…"
