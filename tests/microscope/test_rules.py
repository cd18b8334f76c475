from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lociscope.errors import LociscopeError, UsageError
from lociscope.labels import LABELS, N_LABELS
from lociscope.microscope.conditions import (
    CELLS,
    LOCATIONS,
    RARE,
    AllOf,
    AnyOf,
    Condition,
    LocationCondition,
    MeasureCondition,
    Not,
    StatusCondition,
)
from lociscope.microscope.rules import parse_rule

UNSURE = StatusCondition("unsure")
CENTROSOME = LocationCondition(19, 0.5)


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
        ("mixed", MeasureCondition(LOCATIONS, 2)),
        ("Locations < 1 or RARE >= .5", AnyOf((MeasureCondition(LOCATIONS, 1, True), MeasureCondition(RARE, 0.5)))),
        ("mixed and differing cells ≥ 0.3", AllOf((MeasureCondition(LOCATIONS, 2), MeasureCondition(CELLS, 0.3)))),
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
        ("locations >= 1.5", "a whole number from 0 to 28, received '1.5'"),
        ("locations >= 29", "a whole number from 0 to 28, received '29'"),
        ("rare >= 2", "a number from 0 to 1, received '2'"),
        ("rare = 1", "expected '>=' or '<' after 'rare'"),
        ("mixd", "Did you mean 'mixed'?"),
        ("mixed >= 2", "received '>='"),
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


def test_every_location_can_be_named() -> None:
    assert [parse_rule(f"{name} >= 0.5") for name in LABELS] == [
        LocationCondition(number, 0.5) for number in range(N_LABELS)
    ]
