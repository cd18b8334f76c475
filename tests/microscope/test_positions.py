from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lociscope.errors import UsageError
from lociscope.microscope.configuration import check_setup
from lociscope.microscope.positions import (
    OutsideLimitsError,
    Position,
    check_limits,
    estimate_field_seconds,
    expand_wells,
    find_well_centres,
    is_inside,
    make_events,
    plan_positions,
    positions_around,
)
from lociscope.microscope.sections import Limits

LIMITS = Limits(x=(-10, 10), y=(-10, 10), z=(0, 5))


@pytest.mark.parametrize(
    ("wells", "names"),
    [
        (["A1"], ["A1"]),
        (["B2", "A1"], ["B2", "A1"]),
        (["A1:B2"], ["A1", "A2", "B1", "B2"]),
        (["B2:A1"], ["A1", "A2", "B1", "B2"]),
        (["A1", "A1:A2"], ["A1", "A2"]),
    ],
)
def test_wells_are_named_or_blocks_of_them(make_plan: Any, wells: list[str], names: list[str]) -> None:
    assert expand_wells(make_plan({"plate.wells": wells}).plate) == names


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plate.wells": ["I1"]}, "a plate of 96-well has no well 'I1'. It has A1 to H12."),
        ({"plate.wells": ["A1:H13"]}, "no well 'H13'"),
        ({"plate.wells": ["x"]}, "no well 'x'"),
        ({"plate.name": "96-wel"}, "there is no plate '96-wel'. Did you mean '96-well'?"),
        ({"plate.name": "6-well", "plate.wells": ["A4"]}, "no well 'A4'. Known: A1, A2"),
    ],
)
def test_an_unknown_well_or_plate_is_refused(make_plan: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        expand_wells(make_plan(changes).plate)
    assert message in str(raised.value)


def test_fields_are_side_by_side_around_the_centre_of_the_well(make_plan: Any) -> None:
    plan = make_plan({"plate.sites": [2, 2], "plate.wells": ["A1", "B2"], "plate.gap": 10.0})
    positions = plan_positions(plan, check_setup(plan, None))
    step = 32 * 5.12 + 10
    assert [position.id for position in positions] == [
        f"{well}_{site:02d}" for well in ("A1", "B2") for site in range(1, 5)
    ]
    assert [(position.x, position.y) for position in positions[:4]] == [
        (-step / 2, step / 2), (step / 2, step / 2), (step / 2, -step / 2), (-step / 2, -step / 2)
    ]  # fmt: skip
    assert (positions[4].x, positions[4].y) == (9000 - step / 2, -9000 + step / 2)


def test_a_turned_plate_turns_its_wells(make_plan: Any) -> None:
    at = find_well_centres(make_plan({"plate.rotation": 90.0, "plate.a1": [100.0, 200.0]}).plate)
    assert at["A1"] == pytest.approx((100, 200))
    assert at["A2"] == pytest.approx((100, 9200), abs=1e-6)  # rotated by 90°, right becomes up


def test_four_fields_at_twice_the_zoom_show_the_whole_of_the_first(make_plan: Any) -> None:
    plan = make_plan()
    scale = check_setup(plan, None)
    position = plan_positions(plan, scale)[0]
    four = positions_around(position, 1, 4, plan.objective("20x"), plan, scale)
    half = 32 * 5.12 / 4
    assert {(round(each.x - position.x, 6), round(each.y - position.y, 6)) for each in four} == {
        (dx, dy) for dx in (-half, half) for dy in (-half, half)
    }
    assert positions_around(position, 1, 1, plan.objective("20x"), plan, scale)[0].x == position.x
    assert [each.of for each in four] == [position.id] * 4
    assert len({each.id for each in positions_around(position, 1, 100, plan.objective("20x"), plan, scale)}) == 100


def test_focus_is_unchanged_or_offset_by_the_objective(make_plan: Any) -> None:
    scale = check_setup(make_plan(), None)
    left = make_plan({"plate.z": None})
    assert plan_positions(left, scale)[0].z is None
    offset = make_plan({"objectives.1.focus_um": 3.0, "plate.z": 1.0})
    position = plan_positions(offset, scale)[0]
    assert (position.z, positions_around(position, 1, 1, offset.objective("20x"), offset, scale)[0].z) == (1.0, 4.0)


@given(*[st.none() | st.floats(allow_nan=True, allow_infinity=True) for _ in "xyz"])
def test_accepted_positions_are_inside_the_limits(x: float | None, y: float | None, z: float | None) -> None:
    try:
        check_limits(x, y, z, LIMITS, "it")
    except OutsideLimitsError:
        return
    assert all(at is None or -10 <= at <= 10 for at in (x, y))
    assert z is None or 0 <= z <= 5


def test_the_error_names_the_axis() -> None:
    with pytest.raises(OutsideLimitsError, match=r"Field 'a' is at z 6.0 µm, outside the limits 0 to 5."):
        check_limits(0, 0, 6, LIMITS, "Field 'a'")
    assert not is_inside(Position("a", "A1", 1, 11, 0, None, "10x"), LIMITS)


def test_a_field_is_four_events_that_name_it(make_plan: Any) -> None:
    plan = make_plan({"objectives.0.label": "Plan 10x"})
    position = plan_positions(plan, check_setup(plan, None))[0]
    events = list(make_events(position, plan))
    assert [event.channel.config for event in events if event.channel] == ["red", "green", "blue", "yellow"]
    assert {(event.x_pos, event.y_pos, event.z_pos) for event in events} == {(position.x, position.y, 0.0)}
    assert {event.metadata["field"] for event in events} == {position.id}
    assert tuple((events[0].properties or [])[0]) == ("Objective", "Label", "Plan 10x")


def test_seconds_follow_the_plan(make_plan: Any) -> None:
    timing = {"stage_um_per_s": 100.0, "settle_s": 1.0, "channel_s": 0.5, "objective_s": 10.0, "readout_s": 0.25}
    plan = make_plan({"timing": timing})
    here = Position("a", "A1", 1, 0, 0, 0, "10x")
    alone = 0.4 + 4 * 0.75
    assert estimate_field_seconds(None, here, plan) == pytest.approx(alone)
    assert estimate_field_seconds(here, here, plan) == pytest.approx(alone)
    there = Position("b", "A1", 2, 300, 400, 0, "20x")
    assert estimate_field_seconds(here, there, plan) == pytest.approx(alone + 5 + 1 + 10)
