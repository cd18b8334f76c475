"""Parse and apply rules, a small language that chooses fields to image again. Rules are never evaluated as code.

    condition := and ("or" and)*
    and       := not ("and" not)*
    not       := "not" not | "(" condition ")" | comparison
    comparison:= "status" "=" NAME | LOCATION (">=" | "<") NUMBER

Locations are the 28 names of `lociscope.labels`, in upper or lower case; `≥` means `>=`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from lociscope.errors import Code, UsageError, suggest
from lociscope.labels import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable

STATUSES = ("ok", "unsure", "unlike-training")
"""Statuses of a field that a predictor assigns."""
MAX_LENGTH = 1000
"""Most characters of a rule: nobody writes a longer one, and it could nest too deep."""
MAX_DEPTH = 50
_KEYWORDS = ("and", "or", "not")
_TOKEN = re.compile(
    r'\s*(?:(?P<sign>>=|≥|<|=|\(|\))|"(?P<quoted>[^"]*)"|(?P<number>\d+\.?\d*|\.\d+)|(?P<word>[^\s()<>=≥"]+))'
)


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


Condition = StatusCondition | LocationCondition | Not | AllOf | AnyOf


def matches(condition: Condition, probability: np.ndarray, status: str) -> bool:
    """Return whether a field meets a condition.

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
    """Return the class numbers that a condition names, ascending."""
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
    """Return how urgent it is to image again a field that meets a condition, 0–1.

    This is the highest probability among the locations whose thresholds it reaches. For a field that was chosen by
    its status alone, it is 1 minus the probability of its most probable location.
    """
    wanted = [probability[location.number] for location in _find_reached(condition, probability, status)]
    return float(max(wanted) if wanted else 1 - np.nanmax(probability))


def _find_reached(condition: Condition, probability: np.ndarray, status: str) -> list[LocationCondition]:
    match condition:
        case LocationCondition(below=False) if matches(condition, probability, status):
            return [condition]
        case AllOf(parts) | AnyOf(parts):
            return [location for part in parts for location in _find_reached(part, probability, status)]
        case _:
            return []


def format_condition(condition: Condition) -> str:
    """Return a condition as text that `parse_rule` accepts."""
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
    """Parse a rule.

    Args:
        rule: Such as `status = unsure or Centrosome >= 0.5`.

    Raises:
        UsageError: It is not a rule. The error suggests the nearest location or status, or names what was expected.
    """
    if len(rule) > MAX_LENGTH:
        raise UsageError(
            f"The rule {rule[:40]!r}… has {len(rule)} characters; at most {MAX_LENGTH} are allowed. Shorten it.",
            code=Code.TOO_LARGE,
        )
    return _Parser(rule).parse()


class _Parser:
    """A recursive-descent parser of one rule."""

    def __init__(self, rule: str) -> None:
        self._rule = rule
        self._depth = 0
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(rule.rstrip()):
            match = _TOKEN.match(rule, at)
            if match is None:
                raise self._error(rule[at:].strip()[:20])
            self._tokens.append((str(match.lastgroup), str(match[str(match.lastgroup)])))
            at = match.end()

    def parse(self) -> Condition:
        found = self._parse_condition()
        if self._tokens:
            raise self._error(self._tokens[0][1])
        return found

    def _parse_condition(self) -> Condition:
        return self._parse_joined("or", lambda: self._parse_joined("and", self._parse_not, AllOf), AnyOf)

    def _parse_joined(
        self, word: str, part: Callable[[], Condition], kind: Callable[[tuple[Condition, ...]], Condition]
    ) -> Condition:
        parts = [part()]
        while self._take("word", word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else kind(tuple(parts))

    def _parse_not(self) -> Condition:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UsageError(
                f"The rule {self._rule[:40]!r}… nests deeper than {MAX_DEPTH}. Use fewer parentheses.",
                code=Code.TOO_LARGE,
            )
        try:
            if self._take("word", "not"):
                return Not(self._parse_not())
            if self._take("sign", "("):
                inner = self._parse_condition()
                if not self._take("sign", ")"):
                    raise self._error(self._peek()[1], "a closing parenthesis")
                return inner
            return self._parse_comparison()
        finally:
            self._depth -= 1

    def _parse_comparison(self) -> Condition:
        name = self._take_name()
        if name.lower() == "status":
            if not self._take("sign", "="):
                raise self._error(self._peek()[1], "'=' after 'status'")
            value = self._take_name()
            if value.lower() not in STATUSES:
                raise UsageError(
                    f"The rule {_shorten(self._rule)}: there is no status {_shorten(value)}.{suggest(value, STATUSES)}",
                    code=Code.UNKNOWN_NAME,
                )
            return StatusCondition(value.lower())
        number = self._find_location(name)
        below = self._take("sign", "<")
        if not (below or self._take("sign", ">=") or self._take("sign", "≥")):
            raise self._error(self._peek()[1], f"'>=' or '<' after {LABELS[number]!r}")
        kind, word = self._peek()
        if kind != "number" or not 0 <= float(word) <= 1:
            raise self._error(word, "a probability from 0 to 1")
        self._tokens.pop(0)
        return LocationCondition(number, float(word), below)

    def _find_location(self, name: str) -> int:
        numbers = {label.lower(): number for number, label in enumerate(LABELS)}
        if name.lower() not in numbers:
            raise UsageError(
                f"The rule {_shorten(self._rule)}: there is no location {_shorten(name)}.{suggest(name, LABELS)}",
                code=Code.UNKNOWN_NAME,
            )
        return numbers[name.lower()]

    def _take_name(self) -> str:
        """Return a quoted name, or the words up to a sign or keyword."""
        if self._peek()[0] == "quoted":
            return self._tokens.pop(0)[1]
        words = []
        while self._peek()[0] == "word" and self._peek()[1].lower() not in _KEYWORDS:
            words.append(self._tokens.pop(0)[1])
        if not words:
            raise self._error(self._peek()[1], "'status' or the name of a location")
        return " ".join(words)

    def _peek(self) -> tuple[str, str]:
        return self._tokens[0] if self._tokens else ("end", "its end")

    def _take(self, kind: str, value: str) -> bool:
        found, word = self._peek()
        if found == kind and word.lower() == value:
            self._tokens.pop(0)
            return True
        return False

    def _error(self, found: str, expected: str = "'and', 'or' or its end") -> UsageError:
        return UsageError(
            f"The rule {_shorten(self._rule)}: expected {expected}, received {_shorten(found)}. "
            "Write it as in 'status = unsure or Centrosome >= 0.5'.",
            code=Code.INVALID_VALUE,
        )


def _shorten(words: str) -> str:
    """Return a text in quotes, shortened to 60 characters."""
    return repr(words) if len(words) <= 60 else f"{words[:60]!r}…"
