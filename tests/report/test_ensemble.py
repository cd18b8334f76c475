"""The report of a fitted ensemble."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from lociscope.decide.ensemble_report import ClassReport, EnsembleReport, ReliabilityDiagram, Score, Trial
from lociscope.report.ensemble import sort_trials, summarize, write_ensemble
from lociscope.report.figures import reliability_diagram

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def score(value: float, half: float = 0.02, level: float = 0.95) -> Score:
    return Score(value=value, low=value - half, high=value + half, level=level, n=300)


@pytest.fixture
def report() -> EnsembleReport:
    diagram = ReliabilityDiagram(
        name="all classes", classes=(0, 1), positives=150, predicted=(0.1, 0.6), observed=(0.12, 0.5), low=(0.1, 0.4),
        high=(0.2, 0.7), error=0.01,
    )  # fmt: skip
    return EnsembleReport(
        fields=300, members=2, combiner="stacked", policy="expected", why="It has the least loss.",
        losses={"stacked": 0.1, "mean": 0.2}, weights=(0.75, 0.25),
        trials=(
            Trial(combiner="mean", policy="searched", fitted=0.7, macro_f1=0.4, macro_f1_frequent=None),
            Trial(combiner="stacked", policy="expected", fitted=0.62, macro_f1=0.59, macro_f1_frequent=0.64),
        ),
        expected=score(0.59, 0.05), scores={"macro_f1": score(0.59), "lrap": score(0.8)},
        levels={"28 classes": score(0.59), "3 compartments": score(0.88)},
        over_mean=score(0.08, level=0.9), over_best=score(0.01, level=0.9),
        classes=(
            *(ClassReport(number=i, positives=100, threshold=0.3, f1=0.7, average_precision=0.8) for i in range(26)),
            ClassReport(number=26, positives=3, threshold=0.1, f1=0.2, average_precision=0.3),
            ClassReport(number=27, positives=0, threshold=0.1, f1=None, average_precision=None),
        ),
        reliability=(diagram,), coverage=0.901, coverage_promised=0.9, set_size=4.1, unsure=0.15, negative=0.001,
        jaccard_ok=0.71, jaccard_unsure=0.35, notes=("No field has the classes 27 <&>.",),
    )  # fmt: skip


def test_the_page_says_what_was_compared_and_selected(report: EnsembleReport, tmp_path: Path) -> None:
    write_ensemble(tmp_path / "report.html", report, ["a.parquet", "<b>.csv"])
    html = (tmp_path / "report.html").read_text()
    words = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            words.append(data.strip())

    Reader().feed(html)
    text = " ".join(words)
    for said in (
        "0.59",
        "0.88",
        "mean of probabilities",
        "selected",
        "a.parquet",
        "<b>.csv",
        "Nucleoplasm",
        "<&>",
        "0.75",
    ):
        assert said in text
    assert "Cytoplasmic bodies" in text
    assert "<svg" in html
    assert "http://" not in html.replace("http://www.w3.org", "")


def test_a_gain_that_is_not_sure_is_called_so(report: EnsembleReport) -> None:
    text = " ".join(summarize(report))
    assert "0.08 above (90 % interval 0.06–0.10) the mean" in text
    assert "0.01 above (90 % interval −0.01 to 0.03, not significant) the best" in text
    assert "90 % of fields (nominal 90 %)" in text


def test_that_the_networks_did_not_see_the_fields_is_said_where_it_is_proven(report: EnsembleReport) -> None:
    assert "It is not recorded whether the networks were trained on them." in summarize(report)[0]
    proven = report.model_copy(update={"unseen": (True, True)})
    assert "that the networks were not trained on, as the records of their Runs prove." in summarize(proven)[0]


def test_trials_are_listed_best_first(report: EnsembleReport) -> None:
    assert [trial.combiner for trial in sort_trials(report.trials)] == ["stacked", "mean"]


def test_the_diagram_is_the_same_again(report: EnsembleReport) -> None:
    assert reliability_diagram(report.reliability) == reliability_diagram(report.reliability)


def test_the_page_in_a_browser(report: EnsembleReport, tmp_path: Path, inspect_page: Callable[[Path], None]) -> None:
    write_ensemble(tmp_path / "report.html", report, ["a.parquet", "<b>.csv"])
    inspect_page(tmp_path / "report.html")
