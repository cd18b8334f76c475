"""Parts of a range in threads."""

from __future__ import annotations

import threading

import pytest

from lociscope.processes.threads import count_cores, map_ranges


@pytest.mark.parametrize("threads", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("count", [1, 2, 10, 101])
def test_parts_cover_the_range_in_order(count: int, threads: int) -> None:
    parts = map_ranges(lambda part: list(range(count))[part], count, threads)
    assert [number for part in parts for number in part] == list(range(count))
    assert all(parts)
    assert len(parts) == min(threads or count_cores(), count)


def test_parts_run_at_the_same_time() -> None:
    if count_cores() < 2:
        pytest.skip("one core")
    meeting = threading.Barrier(2, timeout=60)
    assert sorted(map_ranges(lambda part: meeting.wait(), 2, 2)) == [0, 1]


def test_an_error_in_a_part_is_raised() -> None:
    def fail(part: slice) -> None:
        raise ValueError(part.start)

    with pytest.raises(ValueError, match="0"):
        map_ranges(fail, 4, 2)
