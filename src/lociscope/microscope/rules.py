"""Parse rules, a small language that chooses fields to image again. Rules are never evaluated as code.

    condition := and ("or" and)*
    and       := not ("and" not)*
    not       := "not" not | "(" condition ")" | comparison
    comparison:= "mixed" | "status" "=" NAME | (LOCATION | MEASURE) (">=" | "<") NUMBER

Locations are the 28 names of `lociscope.labels`, measures those of `lociscope.microscope.conditions`, in upper or lower
case; `≥` means `>=`, and `mixed` means `locations >= 2`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from lociscope.errors import Code, UsageError, suggest
from lociscope.labels import LABELS, N_LABELS
from lociscope.microscope.conditions import (
    CELLS,
    LOCATIONS,
    RARE,
    STATUSES,
    AllOf,
    AnyOf,
    Condition,
    LocationCondition,
    MeasureCondition,
    Not,
    StatusCondition,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LENGTH = 1000
"""Most characters of a rule: nobody writes a longer one, and it could nest too deep."""
MAX_DEPTH = 50
_KEYWORDS = ("and", "or", "not")
_MEASURES = (LOCATIONS, RARE, CELLS)
_MIXED = "mixed"
_TOKEN = re.compile(
    r'\s*(?:(?P<sign>>=|≥|<|=|\(|\))|"(?P<quoted>[^"]*)"|(?P<number>\d+\.?\d*|\.\d+)|(?P<word>[^\s()<>=≥"]+))'
)


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
        if name.lower() == _MIXED:
            return MeasureCondition(LOCATIONS, 2)
        subject = self._find_subject(name)
        what = subject if isinstance(subject, str) else LABELS[subject]
        below = self._take("sign", "<")
        if not (below or self._take("sign", ">=") or self._take("sign", "≥")):
            raise self._error(self._peek()[1], f"'>=' or '<' after {what!r}")
        if isinstance(subject, int):
            return LocationCondition(subject, self._take_number(1, "a probability from 0 to 1"), below)
        if subject == LOCATIONS:
            number = self._take_number(N_LABELS, f"a whole number from 0 to {N_LABELS}", whole=True)
        else:
            number = self._take_number(1, "a number from 0 to 1")
        return MeasureCondition(subject, number, below)

    def _take_number(self, most: float, expected: str, *, whole: bool = False) -> float:
        kind, word = self._peek()
        if kind != "number" or not 0 <= float(word) <= most or (whole and not float(word).is_integer()):
            raise self._error(word, expected)
        self._tokens.pop(0)
        return float(word)

    def _find_subject(self, name: str) -> int | str:
        """Return the class number of a location, or the name of a measure."""
        numbers: dict[str, int | str] = {label.lower(): number for number, label in enumerate(LABELS)}
        numbers |= {measure: measure for measure in _MEASURES}
        if name.lower() not in numbers:
            raise UsageError(
                f"The rule {_shorten(self._rule)}: there is no location {_shorten(name)}."
                f"{suggest(name, (*LABELS, *_MEASURES, _MIXED, 'status'))}",
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
