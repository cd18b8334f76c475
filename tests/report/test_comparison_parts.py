"""Quality against cost, and scores by location."""

from __future__ import annotations

from typing import Any

from lociscope.report.comparison_parts import cost_plots, find_efficient

METRIC = "macro_average_precision"


def row(name: str, value: float | None, latency: float | None, size: int = 1000) -> dict[str, Any]:
    return {"name": name, "figures": {METRIC: {"value": value}}, "cost": {"latency_ms": latency, "bytes": size}}


ROWS = [row("fast", 0.4, 1), row("good", 0.6, 9), row("slow", 0.5, 10), row("equal", 0.6, 9), row("unknown", 0.9, None)]


def test_a_run_that_another_exceeds_at_a_lower_cost_is_not_efficient() -> None:
    assert find_efficient(ROWS, METRIC, "latency_ms") == {"fast", "good", "equal"}
    assert find_efficient(ROWS, METRIC, "bytes") == {"unknown"}
    assert find_efficient([row("a", None, 1)], METRIC, "latency_ms") == set()


def test_plots_have_the_ends_of_their_axes() -> None:
    latency, size = cost_plots(ROWS, METRIC)
    assert (latency.low, latency.high, latency.bottom, latency.top) == ("1 ms", "10 ms", "0.400", "0.600")
    places = {each.name: (each.x, each.y) for each in latency.points}
    assert places["fast"] == (60, 220)
    assert places["good"][1] == 40
    assert places["slow"][0] == 580
    assert {each.name for each in latency.points if each.efficient} == {"fast", "good", "equal"}
    assert len({each.x for each in size.points}) == 1  # all of one size
    assert cost_plots(ROWS[:1], METRIC) == []
