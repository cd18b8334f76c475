from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lociscope.errors import LociscopeError, UsageError
from lociscope.labels import LABELS, N_LABELS
from lociscope.microscope.rules import (
    AllOf,
    AnyOf,
    Condition,
    LocationCondition,
    Not,
    StatusCondition,
    compute_urgency,
    format_condition,
    list_locations,
    matches,
    parse_rule,
)

UNSURE = StatusCondition("unsure")
CENTROSOME = LocationCondition(19, 0.5)
locations = st.builds(
    LocationCondition,
    st.integers(0, N_LABELS - 1),
    st.floats(0, 1).map(lambda value: round(value, 4) + 0.0),
    st.booleans(),
)
leaves: st.SearchStrategy[Condition] = st.one_of(
    st.builds(StatusCondition, st.sampled_from(["ok", "unsure"])), locations
)


def _deeper(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(Not, inner), st.builds(AllOf, parts), st.builds(AnyOf, parts))


conditions = st.recursive(leaves, _deeper, max_leaves=6)
rows = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).random(N_LABELS, np.float32))


def python_of(condition: Condition) -> str:
    """The same condition as Python, to be evaluated by Python itself."""
    match condition:
        case StatusCondition(value):
            return f"(status == {value!r})"
        case LocationCondition(number, value, below):
            return f"(p[{number}] {'<' if below else '>='} {value!r})"
        case Not(part):
            return f"(not {python_of(part)})"
        case AllOf(parts):
            return f"({' and '.join(map(python_of, parts))})"
        case AnyOf(parts):
            return f"({' or '.join(map(python_of, parts))})"


@given(conditions)
def test_a_formatted_condition_is_parsed_to_itself(condition: Condition) -> None:
    assert parse_rule(format_condition(condition)) == condition


@given(conditions, rows, st.sampled_from(["ok", "unsure"]))
def test_a_condition_matches_as_in_python(condition: Condition, p: np.ndarray, status: str) -> None:
    assert matches(condition, p, status) is bool(eval(python_of(condition), {"p": p, "status": status}))


@given(conditions, rows)
def test_urgency_is_a_share_and_locations_are_sorted(condition: Condition, p: np.ndarray) -> None:
    assert 0 <= compute_urgency(condition, p, "unsure") <= 1
    assert list(list_locations(condition)) == sorted(set(list_locations(condition)))


@given(st.text(max_size=60))
def test_any_text_is_a_rule_or_a_short_error(rule: str) -> None:
    try:
        parse_rule(rule)
    except LociscopeError as error:
        assert len(str(error)) < 2000


@pytest.mark.parametrize(
    ("rule", "means"),
    [
        ("status = unsure or Centrosome >= 0.5", AnyOf((UNSURE, CENTROSOME))),
        ("STATUS = Unsure OR centrosome ≥ .5", AnyOf((UNSURE, CENTROSOME))),
        ('"Rods & rings" < 0.1', LocationCondition(27, 0.1, below=True)),
        ("Rods & rings >= 1", LocationCondition(27, 1.0)),
        ("Golgi apparatus>=0.3 and not status=ok", AllOf((LocationCondition(7, 0.3), Not(StatusCondition("ok"))))),
        ("(status = unsure)", UNSURE),
        ("not not status = unsure", Not(Not(UNSURE))),
        (
            "status = ok and (Cytosol >= 0.2 or Nucleoli >= 0.2)",
            AllOf((StatusCondition("ok"), AnyOf((LocationCondition(25, 0.2), LocationCondition(2, 0.2))))),
        ),
        (
            "status = ok and Cytosol >= 0.2 or Nucleoli >= 0.2",
            AnyOf((AllOf((StatusCondition("ok"), LocationCondition(25, 0.2))), LocationCondition(2, 0.2))),
        ),
    ],
)  # fmt: skip
def test_parse_rule(rule: str, means: Condition) -> None:
    assert parse_rule(rule) == means


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("Centrosom >= 0.5", "Did you mean 'Centrosome'?"),
        ("status = unsur", "Did you mean 'unsure'?"),
        ("status >= 0.5", "expected '=' after 'status', received '>='"),
        ("Centrosome = 0.5", "expected '>=' or '<' after 'Centrosome', received '='"),
        ("Centrosome >= 1.5", "a probability from 0 to 1, received '1.5'"),
        ("Centrosome >= high", "a probability from 0 to 1, received 'high'"),
        ("Centrosome >=", "received 'its end'"),
        ("", "expected 'status' or the name of a location, received 'its end'"),
        ("(status = unsure", "a closing parenthesis"),
        ("status = unsure)", "received ')'"),
        ("status = unsure Centrosome >= 0.5", "no status 'unsure Centrosome'"),
        ("__import__('os') >= 0.5", "no location"),
        ("(" * 60 + "status = ok" + ")" * 60, "nests deeper"),
        ("not " * 200 + "status = ok", "nests deeper"),
        ("status = ok and " * 100 + "status = ok", "at most 1000"),
    ],
)
def test_an_invalid_rule_is_refused_with_its_remedy(rule: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_rule(rule)
    assert message in str(raised.value)


def test_urgency_is_the_highest_wanted_probability_reached() -> None:
    p = np.full(N_LABELS, 0.1, np.float32)
    p[[2, 19]] = 0.6, 0.9
    assert compute_urgency(parse_rule("Nucleoli >= 0.5 or Centrosome >= 0.5"), p, "ok") == pytest.approx(0.9)
    assert compute_urgency(parse_rule("Nucleoli >= 0.5 or Centrosome >= 0.95"), p, "ok") == pytest.approx(0.6)
    assert compute_urgency(parse_rule("status = unsure"), p, "unsure") == pytest.approx(0.1)


def test_every_location_can_be_named() -> None:
    assert [parse_rule(f"{name} >= 0.5") for name in LABELS] == [
        LocationCondition(number, 0.5) for number in range(N_LABELS)
    ]
