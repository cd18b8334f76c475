"""The report of a study: its sentences, its figures, and nothing that another machine must fetch."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lociscope.artifacts.study import TrialRecord
from lociscope.decide.intervals import Interval
from lociscope.report.study import format_value, history_figure, parallel_figure, scale, summarize, write_study

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest.importorskip("matplotlib")


def trial(number: int, lrap: float | None, state: str = "complete", **others: Any) -> TrialRecord:
    values = {"train.learning_rate": 10.0 ** -(number + 1), "network.pooling": ("max", "average")[number % 2]}
    return TrialRecord(number, state, lrap, lrap, 3, 0.2, 1.25, values, **others)


TRIALS = [
    trial(0, 0.5, own=True),
    trial(1, None, "failed", why="The loss is <nan>."),
    trial(2, 0.625),
    trial(3, None, "pruned"),
    trial(4, 0.25),
]
SPACE = {"train.learning_rate": "0.0001–0.1 (log)", "network.pooling": "average, max"}
GAIN = Interval(0.125, 0.02, 0.2, 9, 0.9)


def page(tmp_path: Path, trials: list[TrialRecord] = TRIALS, importance: dict[str, float] | None = None) -> str:
    path = tmp_path / "study.html"
    write_study(path, "mine <b>", trials, SPACE, ["train.learning_rate"], importance or {}, GAIN)
    return path.read_text(encoding="utf-8")


def test_the_result_in_plain_words() -> None:
    assert summarize(TRIALS, GAIN) == [
        "5 trials: 3 completed, 1 pruned, 1 failed.",
        "The best is trial 2, with LRAP 0.625 on the validation fields.",
        "That is 0.125 above the unchanged recipe (90 % interval 0.020–0.200).",
    ]
    assert summarize(TRIALS, Interval(0.125, -0.1, 0.2, 9, 0.9))[-1].endswith("−0.100 to 0.200, not significant).")
    assert summarize(TRIALS, None)[-1].startswith("The best is trial 2")
    assert summarize(TRIALS[:1], None)[-1] == "That is the unchanged recipe: no trial is better."
    assert summarize(TRIALS[1:2], None) == ["1 trial: 1 failed."]


def test_the_page_stands_alone_and_escapes_what_it_shows(tmp_path: Path) -> None:
    html = page(tmp_path, importance={"network.pooling": 0.75, "train.learning_rate": 0.25})
    assert html.count("<svg") == 2
    assert not re.search(r"<script src|<link|url\((?!#)|src=|href=\"http|@import", html)
    assert "Tuning of mine &lt;b&gt;" in html
    assert "Trial 1 failed: The loss is &lt;nan&gt;." in html
    assert "With so few trials it is mostly chance." in html
    assert html.index("network.pooling</th>") < html.index("train.learning_rate</th>"), "the more important key first"


def test_trials_are_ranked_and_those_without_a_score_come_last(tmp_path: Path) -> None:
    rows = re.findall(r'<th scope="row"[^>]*>(\d)', page(tmp_path))
    assert rows == ["2", "0", "4", "1", "3"]


@pytest.mark.parametrize("trials", [TRIALS[:1], TRIALS[1:2], [TRIALS[1], TRIALS[3]]])
def test_few_trials_or_none_that_ended_make_a_page_too(tmp_path: Path, trials: list[TrialRecord]) -> None:
    html = page(tmp_path, trials)
    assert "<svg" not in html
    assert "can be estimated once more trials are complete" in html


def test_equal_scores_and_equal_values_can_be_plotted() -> None:
    alike = [trial(2, 0.5), trial(2, 0.5)]
    for figure in (history_figure(alike), parallel_figure(alike, list(SPACE), ["train.learning_rate"])):
        assert "nan" not in figure


def test_equal_trials_give_equal_figures() -> None:
    assert history_figure(TRIALS) == history_figure(TRIALS)


# === Axes ===


@given(values=st.lists(st.floats(1e-9, 1e9) | st.integers(1, 1000), min_size=1, max_size=9), log=st.booleans())
def test_numbers_are_placed_by_their_size(values: list[float], log: bool) -> None:
    heights = scale(values, log).heights
    assert all(0 <= height <= 1 for height in heights)
    order = sorted(range(len(values)), key=lambda i: values[i])
    assert all(heights[a] <= heights[b] for a, b in pairwise(order))


def test_the_middle_of_a_logarithmic_axis() -> None:
    assert scale([0.01, 0.1, 1.0], True).heights[1] == pytest.approx(0.5)
    assert scale([0.0, 5, 10], False).heights[1] == 0.5


@pytest.mark.parametrize("values", [["max", "average", "lse"], [True, False, True], ["max", "max"], [1, "auto", True]])
def test_words_are_placed_evenly_and_each_is_written(values: list[Any]) -> None:
    made = scale(values, False)
    written = dict(made.ticks)
    assert [written[height] for height in made.heights] == [format_value(value) for value in values]
    assert all(math.isfinite(height) and 0 <= height <= 1 for height in made.heights)


def test_values_for_the_eye() -> None:
    assert [format_value(value) for value in (None, True, 0.00489713, 12, "max", 0.5)] == [
        "–",
        "true",
        "0.0049",
        "12",
        "max",
        "0.5",
    ]


def test_the_page_in_a_browser(tmp_path: Path, inspect_page: Callable[[Path], None]) -> None:
    page(tmp_path, importance={"network.pooling": 0.75, "train.learning_rate": 0.25})
    inspect_page(tmp_path / "study.html")
