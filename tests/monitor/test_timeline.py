"""Windows over time: one level for all of them, what moved since when, and the fields that show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.errors import Code, LociscopeError
from lociscope.images.statistics import STATISTICS
from lociscope.monitor.timeline import Move, Slice, TimelineWindow, compare_windows, find_moves, find_telling_fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from lociscope.monitor import Sample

    Draw = Callable[..., Sample]


def test_what_moved_since_when(draw: Draw, reference: Sample) -> None:
    shifts = (0, 0, -4, -4, -4)
    slices = [Slice(f"day {day}", draw(30, day, MedianIntensity_red=shift)) for day, shift in enumerate(shifts)]
    found = compare_windows(slices, reference, by="1d", ordered=True, count=5)
    assert [window.report.drifted for window in found.windows if window.report] == [False, False, True, True, True]
    assert found.moves == [Move(measure="MedianIntensity_red", since="day 2", until=None, windows=3)]
    assert {window.report.level for window in found.windows if window.report} == {0.01}
    assert [len(window.telling) for window in found.windows] == [0, 0, 3, 3, 3]


def test_windows_with_too_few_fields_are_listed_and_not_compared(draw: Draw, reference: Sample) -> None:
    slices = [Slice("a", draw(30, 1, parts_blue=-4)), Slice("b", draw(4, 2)), Slice("c", draw(30, 3, parts_blue=-4))]
    found = compare_windows(slices, reference, by="plate", ordered=False, count=3)
    assert [(window.fields, window.report is None) for window in found.windows] == [(30, False), (4, True), (30, False)]
    assert found.moves == [Move(measure="parts_blue", since="a", until=None, windows=2)]
    with pytest.raises(LociscopeError) as raised:
        compare_windows(slices[1:2], reference, by="plate", ordered=False, count=1)
    assert raised.value.code == Code.NOT_ENOUGH_DATA


def test_a_move_that_ended_has_an_end(draw: Draw, reference: Sample) -> None:
    shifts = (-4, 0, -4, -4, 0)
    slices = [Slice(str(day), draw(30, day, parts_red=shift)) for day, shift in enumerate(shifts)]
    found = compare_windows(slices, reference, by="1d", ordered=True, count=5)
    assert found.moves == [
        Move(measure="parts_red", since="2", until="3", windows=2),
        Move(measure="parts_red", since="0", until="0", windows=1),
    ]
    assert find_moves([TimelineWindow(name="x", fields=0, report=None)]) == []


def test_the_fields_that_tell_most_come_first(draw: Draw, reference: Sample) -> None:
    window = draw(30, 1, MedianIntensity_red=-4)
    assert window.statistics is not None
    window.statistics[7, STATISTICS.index("MedianIntensity_red")] = 0
    found = compare_windows([Slice("w", window)], reference, by="1d", ordered=True, count=1)
    (only,) = found.windows
    assert only.telling[0] == window.ids[7]
    assert only.report is not None
    bare = window.take(np.arange(30))
    assert find_telling_fields(bare, reference, only.report, 1) == [window.ids[7]]
