"""The figures of a comparison as plain values."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from lociscope.decide.intervals import Interval
from lociscope.models.cost import Cost
from lociscope.report import ranking
from lociscope.report.candidates import read_candidate
from lociscope.report.comparison_rows import build_rows, interval_to_dict, write_csv
from lociscope.report.ranking import compare_candidates

Make = Callable[..., Path]


@pytest.fixture
def rows(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    from dataclasses import replace

    monkeypatch.setattr(ranking, "RESAMPLES", 20)
    score = {"lrap": {"value": 0.6, "low": 0.5, "high": 0.7, "n": 56}}
    folders = [
        make_run("a", {"note": 'first, "so"'}),
        make_run("b", {"train.epochs": 4}, validation=1, scores=score),
        make_run("c", {"train.epochs": 5, "note": "longer"}, seed=2),
    ]
    candidates = [read_candidate(folder, folder.name) for folder in folders]
    candidates[2] = replace(candidates[2], cost=Cost(network="0", macs=5, latency_ms=2.5, where="here"))
    return build_rows(candidates, compare_candidates(candidates))


def test_a_row_reports_what_changed_and_what_it_gave(rows: list[dict[str, object]]) -> None:
    first, other, last = rows
    assert [row["set"] for row in rows] == [1, 2, 1]
    assert first["gains"] == {}
    assert first["from_previous"] == []
    assert last["base"] == "a"
    assert last["from_base"] == [("train.epochs", "3", "5")]
    assert last["from_previous"] == [("train.epochs", "4", "5")]
    assert last["note"] == "longer"
    assert last["cost"] == {
        "parameters": 60_000, "macs": 5, "latency_ms": 2.5, "where": "here", "reason": "", "bytes": 0
    }  # fmt: skip
    assert other["scores"] == {"real": {"lrap": {"value": 0.6, "low": 0.5, "high": 0.7, "n": 56}}}
    assert json.loads(json.dumps(rows, allow_nan=False))[2]["figures"]["lrap"]["n"] == 60


def test_a_csv_has_a_column_for_every_figure(rows: list[dict[str, object]], tmp_path: Path) -> None:
    write_csv(tmp_path / "out.csv", rows)
    with (tmp_path / "out.csv").open(newline="") as lines:
        first, other, last = list(csv.DictReader(lines))
    assert first["note"] == 'first, "so"'
    assert last["from_previous"] == "train.epochs 4 → 5"
    assert (first["gains.lrap.value"], other["scores.real.lrap.low"]) == ("", "0.5")
    assert float(last["gains.lrap.low"]) <= float(last["gains.lrap.high"])


def test_what_is_not_defined_is_null() -> None:
    assert interval_to_dict(Interval(0.12345, math.nan, math.nan, 3)) == {
        "value": 0.1235,
        "low": None,
        "high": None,
        "n": 3,
    }
