"""The page of a comparison."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.report import ranking
from lociscope.report.candidates import read_candidate
from lociscope.report.compare import (
    Failure,
    best_by_measure,
    format_costs,
    format_gain,
    format_score,
    heat_map,
    summarize,
    write_compare,
)
from lociscope.report.comparison_rows import build_rows
from lociscope.report.ranking import compare_candidates

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Make = Callable[..., Path]


@pytest.fixture
def page(make_run: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three Runs on the same fields, one on others, and one that cannot be read."""
    monkeypatch.setattr(ranking, "RESAMPLES", 20)
    score = {"lrap": {"value": 0.612, "low": 0.5, "high": 0.7, "n": 56}}
    folders = [
        make_run("base", {"note": "Where <it> starts."}, noise=2.0, specimens=20, scores=score),
        make_run("focal", {"train.loss": "focal"}, noise=0.3, seed=1, specimens=20),
        make_run("long", {"train.epochs": 9}, noise=1.0, seed=2, specimens=20),
        make_run("strange", validation=1),
    ]
    candidates = [read_candidate(folder, folder.name) for folder in folders]
    comparison_groups = compare_candidates(candidates)
    path = tmp_path / "compare.html"
    write_compare(
        path,
        candidates,
        comparison_groups,
        build_rows(candidates, comparison_groups),
        [Failure("broken", "It is <no> Run.")],
    )
    return path


def text_of(path: Path) -> str:
    words: list[str] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            words.append(data.strip())

    Reader().feed(path.read_text())
    return " ".join(" ".join(words).split())


def test_the_page_says_all_of_every_run(page: Path) -> None:
    text = text_of(page)
    for said in (
        "Comparison of 4 Runs", "60 validation fields of 20 specimens", "Where <it> starts.", "bce → focal", "0.612",
        "3 → 9", "60,000", "Label prior", "cross-fitted", "It is <no> Run.", "focal has the highest average precision",
        "The Runs were validated on 2 different sets", "1 of the 4 Runs has these validation fields", "5 of 5 folds",
    ):  # fmt: skip
        assert said in text, said
    html = page.read_text()
    assert html.count("<svg") == 5  # one for each Run, and one for the three with the same loss
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "src=" not in html


def test_one_run_alone_is_a_page_too(make_run: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "RESAMPLES", 20)
    one = [read_candidate(make_run("a", fields=10), "a")]
    comparison_groups = compare_candidates(one)
    write_compare(tmp_path / "one.html", one, comparison_groups, build_rows(one, comparison_groups))
    text = text_of(tmp_path / "one.html")
    assert "Comparison of 1 Run " in text
    assert "Do they err alike?" not in text
    assert "Not compared" not in text
    assert summarize(comparison_groups) == []


def test_a_gain_is_marked_only_where_it_is_sure() -> None:
    figures = {"value": 0.03, "low": 0.01, "high": 0.05}
    assert (format_gain(figures).text, format_gain(figures).kind) == ("+0.030", "up")
    assert format_gain({"value": 0.03, "low": -0.01, "high": 0.05}).kind == ""
    assert format_gain({"value": -0.03, "low": -0.05, "high": -0.01}).kind == "down"
    assert format_gain(None).text == format_score(None).text == format_score({"value": None}).text == "–"


def test_costs_have_readable_units() -> None:
    cost = {"parameters": 625_308, "macs": 247_070_720, "latency_ms": 7.635, "bytes": 2_637_970}
    assert [cell.text for cell in format_costs({"cost": cost, "minutes": 32.81})] == [
        "625,308",
        "0.247",
        "7.63",
        "2.6",
        "32.8",
    ]
    unknown = cost | {"parameters": None, "macs": None, "latency_ms": None}
    assert [cell.text for cell in format_costs({"cost": unknown, "minutes": 1.0})] == ["–", "–", "–", "2.6", "1.0"]


def test_the_best_of_one_is_none() -> None:
    assert best_by_measure([{"name": "a", "figures": {}}]) == {}


def test_heat_has_figures_only_where_there_is_room() -> None:
    few = heat_map(np.array([[1, 0.5], [np.nan, 1]]))
    assert few[0][0] is None
    assert few[0][1] is not None
    assert few[1][0] is not None
    assert (few[0][1].text, few[0][1].shown, few[0][1].depth) == ("0.50", True, 22)
    assert (few[1][0].text, few[1][0].depth) == ("–", 0)
    many = heat_map(np.full((17, 17), -0.001))[0][1]
    assert many is not None
    assert (many.text, many.shown, many.depth) == ("0.00", False, 0)


def test_the_page_in_a_browser(page: Path, inspect_page: Callable[[Path], None]) -> None:
    inspect_page(page)


def test_tables_are_sorted_by_a_click_and_fit_a_telephone(page: Path, browser: Browser) -> None:
    browser_page = browser.new_page(viewport={"width": 390, "height": 800})
    complaints: list[str] = []
    browser_page.on("console", lambda message: complaints.append(message.text))
    browser_page.on("pageerror", lambda error: complaints.append(str(error)))
    browser_page.goto(page.as_uri())
    table = browser_page.locator("table.sortable").first
    names = table.locator("tbody").first.locator("th .name")
    assert names.all_inner_texts() == ["base", "focal", "long"]
    button = table.get_by_role("button", name="Macro-F1")
    button.click()
    assert names.all_inner_texts() == ["focal", "long", "base"]
    button.click()
    assert names.all_inner_texts() == ["base", "long", "focal"]
    assert table.locator("[aria-sort=ascending]").count() == 1
    table.get_by_role("button", name="Run").click()
    assert names.all_inner_texts() == ["base", "focal", "long"]
    assert browser_page.evaluate("document.documentElement.scrollWidth") == 390
    assert complaints == []
