"""The logbook of the experiments: made of Runs once, and of the kept figures ever after."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lociscope.errors import LociscopeError
from lociscope.report import ranking

if TYPE_CHECKING:
    from types import ModuleType

Make = Callable[..., Path]


@pytest.fixture
def script(load_script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(ranking, "RESAMPLES", 20)
    return load_script("docs/_generate/experiments_page")


@pytest.fixture
def runs(make_run: Make, tmp_path: Path) -> Path:
    """Three iterations of one experiment, an unfinished one, and a baseline on other fields."""
    score = {"lrap": {"value": 0.612, "low": 0.5, "high": 0.7, "n": 56}}
    make_run("lenet/01-published", {"network.name": "lenet5-1998", "note": "As a|b in 1998."}, noise=4.0)
    make_run("lenet/02-base", {"note": "Up to date."}, seed=1, scores=score)
    make_run("lenet/03-focal", {"train.loss": "focal"}, seed=2, validation=1)
    (make_run("lenet/04-unfinished") / "DONE").unlink()
    make_run("features/linear", seed=3)
    return tmp_path


WORDS: list[dict[str, Any]] = [
    {
        "folder": "lenet", "title": "LeNet", "about": "About it.", "taught": "It taught.", "base": "02-base",
        "kept": {"02-base": "It is the base."}, "dropped": {"03-focal": ""},
    },
    {"runs": ["lenet/02-base", "features/linear"], "title": "Shortlist", "shortlist": True},
    {"folder": "alexnet", "title": "AlexNet"},
]  # fmt: skip


def test_the_page_is_that_of_the_kept_figures(script: ModuleType) -> None:
    shown = (script.ROOT / "docs" / "logbooks" / "experiments.md").read_text(encoding="utf-8")
    assert shown == script.page(), "python docs/_generate/experiments_page.py > docs/logbooks/experiments.md"


def test_every_verdict_is_on_an_iteration(script: ModuleType) -> None:
    known = json.loads(script.FIGURES.read_text(encoding="utf-8"))
    for experiment in script.read_words():
        names = {row["name"] for row in known.get(experiment["title"], {"rows": []})["rows"]}
        assert not ({*experiment.get("kept", ()), *experiment.get("dropped", ())} - names) or not names


def test_iterations_are_told_with_what_changed_and_what_it_gave(script: ModuleType, runs: Path) -> None:
    figures = json.loads(json.dumps(script.gather(WORDS, runs), allow_nan=False))
    assert str(runs) not in json.dumps(figures)
    text = script.page(WORDS, figures)
    published = next(line for line in text.splitlines() if line.startswith("| 01-published | As"))
    assert "As a\\|b in 1998. (`network.name` lenet5 → lenet5-1998)" in published
    assert "| **−0." in published
    base = next(line for line in text.splitlines() if line.startswith("| 02-base | Up"))
    assert base.endswith("| yes: It is the base. |")
    focal = next(line for line in text.splitlines() if line.startswith("| 03-focal |"))
    assert "60 other validation fields, from 03-focal: no comparison." in focal
    assert focal.endswith("| no |")
    assert "Without figures: 04-unfinished (not finished, or damaged)." in text
    assert "0.61 (0.50–0.70)" in text
    assert "It taught." in text
    assert "How alike they err" in text
    assert "Greedy selection combines" in text
    assert text.endswith("## AlexNet\n\n\n\nNo iteration is finished yet.\n")
    for line in text.splitlines():
        assert not line.startswith("|") or line.endswith("|")


def test_finalists_are_told_seed_by_seed_with_what_the_ensemble_gains(script: ModuleType) -> None:
    def figures(value: float, low: float) -> dict[str, Any]:
        keys = ("macro_f1", "macro_average_precision", "lrap", "macro_auc")
        return {"atlas_test": {key: {"value": value, "low": low, "high": value + 0.1, "n": 90} for key in keys}}

    found = {
        "models": {"small": {"0": figures(0.5, 0.4), "1": figures(0.52, 0.42)}, "alexnet": {"0": figures(0.6, 0.5)}},
        "ensembles": {
            "small+alexnet": {
                "0": {
                    "members": ["small", "alexnet"], "best": "alexnet", "combiner": "stacked",
                    "scores": figures(0.65, 0.6), "gains": figures(0.05, 0.01),
                }
            }
        },
    }  # fmt: skip
    names = {"names": {"small": "Small"}, "ensembles": {"small+alexnet": "both together"}}
    words = {"about": "About.", "taught": "Taught.", **names}
    lines = script.finalists(words, found).splitlines()
    assert "| Small, seed 1 | 0.520 (0.420–0.620) | 0.520 (0.420–0.620) | 0.520 (0.420–0.620) |" in lines[7]
    assert lines[8].startswith("| alexnet | 0.600")
    assert lines[9].startswith("| **both together, seed 0** | 0.650 (0.600–0.750) |")
    assert lines[10].startswith("| gain over alexnet | **+0.050** (0.010–0.150) |")
    assert not [line for line in lines if "dictionary" in line]  # nobody measured it


def test_lines_left_out_are_told_the_largest_first(script: ModuleType) -> None:
    def figure(value: float, low: float) -> dict[str, Any]:
        return {"value": value, "low": low, "high": value + 0.1, "n": 90}

    both = {"others": figure(0.7, 0.6), "left_out": figure(0.5, 0.4)}
    found = {name: {"lrap": each} for name, each in both.items()} | {
        "gains": {"lrap": figure(-0.2, -0.3)},
        "lines": {
            "BJ": both | {"fields": 222, "gain": figure(0.01, -0.02)},
            "U-2 OS": both | {"fields": 3254, "gain": figure(-0.3, -0.4)},
        },
    }
    lines = script.left_out({"about": "About.", "taught": "Taught."}, found).splitlines()
    assert lines[6] == "| LRAP | 0.700 (0.600–0.800) | 0.500 (0.400–0.600) | **−0.200** (−0.300 to −0.100) |"
    assert lines[10].startswith("| U-2 OS | 3,254 | 0.700 (0.600–0.800) | 0.500 (0.400–0.600) | **−0.300** (−0.400 to")
    assert lines[11].endswith("| +0.010 (−0.020 to 0.110) |")
    assert lines[-1] == "Taught."


def test_a_base_that_is_not_there(script: ModuleType, runs: Path) -> None:
    with pytest.raises(LociscopeError, match=r"The base '09' is none of 01-published"):
        script.gather([{"folder": "lenet", "title": "LeNet", "base": "09"}], runs)


def test_figures_are_gathered_where_a_folder_is_named(
    script: ModuleType, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "FIGURES", runs / "experiments.json")
    monkeypatch.setattr(script, "read_words", lambda: WORDS)
    assert script.main([str(runs)]) == 0
    first = capsys.readouterr().out
    assert script.main([]) == 0
    assert capsys.readouterr().out == first
    kept = json.loads((runs / "experiments.json").read_text())
    assert len(kept["LeNet"]["rows"]) == 3
    (runs / "experiments.json").write_text(json.dumps(kept | {"Earlier": "its figures"}))
    assert script.main([str(runs)]) == 0
    assert json.loads((runs / "experiments.json").read_text()) == kept | {"Earlier": "its figures"}
