"""The logbook of the experiments, made from Runs once and from the recorded figures afterwards."""

from __future__ import annotations

import json
import re
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


def test_the_pages_are_those_of_the_recorded_figures(script: ModuleType) -> None:
    for path, text in script.render().items():
        assert path.read_text(encoding="utf-8") == text, "python docs/_generate/experiments_page.py"


def test_the_overview_opens_with_the_limitation_and_one_table(script: ModuleType) -> None:
    text = script.render()[script.OVERVIEW]
    assert text.startswith("# Experiments\n\nAfter this page you know")
    parts = [text.index(f"## {each}") for each in ("Results", "The experiments", "Simulator version 3", "How to read")]
    assert parts == sorted(parts)
    assert text.index("**All training fields are simulated**") < text.index("simulator version 2") < parts[0]
    assert "LeNet-5 | 0.58 (0.51–0.66) | 0.86 (0.82–0.90) | 0.71 (0.65–0.78) |" in text


def test_each_experiment_is_told_as_question_changes_result_and_lesson(script: ModuleType) -> None:
    pages = script.render()
    parts = re.split(r"^### ", pages[script.OVERVIEW].split("## Simulator version 3")[0], flags=re.MULTILINE)[1:]
    names = [each.splitlines()[0] for each in parts]
    assert names == ["LeNet-5", "AlexNet", "Pre-trained, modified", "Features", "Combination"]
    for each in parts:
        places = [each.index(f"**{word}.**") for word in ("Question", "Changes", "Lesson")]
        assert places == sorted(places)
        assert re.search(r"\(−?\d\.\d+(–| to )\d\.\d+\)", each)  # a result has an interval
        (anchor,) = re.findall(r"experiments-details\.md#([a-z0-9-]+)", each)
        titles = re.findall(r"^## (.+)$", pages[script.DETAILS], flags=re.MULTILINE)
        assert anchor in {title.lower().replace(",", "").replace(" ", "-") for title in titles}


def test_a_story_has_the_recorded_figures(script: ModuleType) -> None:
    def figure(value: float) -> dict[str, Any]:
        return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 90}

    rows = [
        {"name": "01", "base": "01", "figures": {"macro_average_precision": figure(0.4)}, "gains": {}},
        {"name": "02", "base": "01", "figures": {}, "gains": {"macro_average_precision": figure(0.3)}},
    ]
    told = {
        "title": "T", "experiment": "E", "tables": "E, all", "question": "Why?", "setup": "So.", "lesson": "Thus.",
        "changes": [["wider", "02"]], "models": [["Best", "best"]], "gains": [["both", "a+b"]],
    }  # fmt: skip
    scores = {"atlas_test": {"macro_f1": figure(0.5)}, "fields": {"lrap": figure(0.6), "macro_auc": figure(0.7)}}
    final = {"models": {"best": {"0": scores}}, "ensembles": {"a+b": {"0": {"gains": scores}}}}
    lines = script.story(told, {"E": {"rows": rows}}, final)
    assert "| change | gain in average precision over 0.400 (0.300–0.500) |" in lines
    assert "| wider | **+0.300** (0.200–0.400) |" in lines
    assert "| both | **+0.500** (0.400–0.600) | **+0.600** (0.500–0.700) | **+0.700** (0.600–0.800) |" in lines
    assert "Best: macro-F1 0.50 (0.40–0.60) on simulated test fields, LRAP 0.60 (0.50–0.70)" in "\n".join(lines)
    assert lines[-2] == "**Lesson.** Thus. [Tables](experiments-details.md#e-all)"


def test_figures_of_a_later_simulator_are_those_of_its_logbooks(script: ModuleType) -> None:
    """Scores in the texts of version 3 stand in the recipe or the logbook that reports them."""
    recorded = "".join(
        (script.ROOT / path).read_text(encoding="utf-8")
        for path in ("src/lociscope/recipes/small.toml", "docs/logbooks/distillation.md")
    )
    texts = script.render()[script.OVERVIEW].split("## Simulator version 3")[1].split("## How to read")[0]
    found = re.findall(r"0\.\d{3}", texts)
    assert len(found) > 15
    assert [each for each in found if each not in recorded] == []


def test_every_verdict_is_on_an_iteration(script: ModuleType) -> None:
    known = json.loads(script.FIGURES.read_text(encoding="utf-8"))
    for experiment in script.read_words():
        names = {row["name"] for row in known.get(experiment["title"], {"rows": []})["rows"]}
        assert not ({*experiment.get("kept", ()), *experiment.get("dropped", ())} - names) or not names


def test_iterations_are_listed_with_changes_and_gains(script: ModuleType, runs: Path) -> None:
    figures = json.loads(json.dumps(script.gather(WORDS, runs), allow_nan=False))
    assert str(runs) not in json.dumps(figures)
    text = script.details(WORDS, figures)
    lines = text.splitlines()
    published = next(line for line in lines if line.startswith("| 01-published |"))
    assert "| **−0." in published
    assert "- **01-published** As a|b in 1998. Changes: `network.name` lenet5 → lenet5-1998." in text
    assert next(line for line in lines if line.startswith("| 02-base |")).endswith("| yes |")
    assert "- **02-base** Up to date. The base. Adopted: It is the base." in text
    assert next(line for line in lines if line.startswith("| 03-focal |")).endswith("| no |")
    assert "*Not comparable: 60 other validation fields, compared with 03-focal.*" in text
    assert "Without figures: 04-unfinished (not finished, or damaged)." in text
    assert "0.61 (0.50–0.70)" in text
    assert "Similarity of errors" in text
    assert "Models chosen by greedy ensemble selection" in text
    assert text.endswith("## AlexNet\n\n\n\nNo iteration is finished yet.\n")
    for line in lines:
        assert not line.startswith("|") or line.endswith("|")


def test_finalists_are_listed_by_seed_with_the_gain_of_the_ensemble(script: ModuleType) -> None:
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
    assert "| Small, seed 1 | 0.520 (0.420–0.620) | 0.520 (0.420–0.620) | 0.520 (0.420–0.620) |" in lines[9]
    assert lines[10].startswith("| alexnet | 0.600")
    assert lines[11].startswith("| **both together, seed 0** | 0.650 (0.600–0.750) |")
    assert lines[12].startswith("| gain over alexnet | **+0.050** (0.010–0.150) |")
    assert not [line for line in lines if "dictionary" in line]  # nobody measured it


def test_cell_lines_are_listed_largest_first(script: ModuleType) -> None:
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
    assert lines[8] == "| LRAP | 0.700 (0.600–0.800) | 0.500 (0.400–0.600) | **−0.200** (−0.300 to −0.100) |"
    assert lines[12].startswith("| U-2 OS | 3,254 | 0.700 (0.600–0.800) | 0.500 (0.400–0.600) | **−0.300** (−0.400 to")
    assert lines[13].endswith("| +0.010 (−0.020 to 0.110) |")


def test_a_base_that_is_not_there(script: ModuleType, runs: Path) -> None:
    with pytest.raises(LociscopeError, match=r"The base '09' is not one of 01-published"):
        script.gather([{"folder": "lenet", "title": "LeNet", "base": "09"}], runs)


def test_figures_are_gathered_where_a_folder_is_named(
    script: ModuleType, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "FIGURES", runs / "experiments.json")
    monkeypatch.setattr(script, "OVERVIEW", runs / "overview.md")
    monkeypatch.setattr(script, "DETAILS", runs / "details.md")
    monkeypatch.setattr(script, "read_words", lambda: WORDS)
    monkeypatch.setattr(script, "story", lambda *told: [])  # these tell of other experiments
    assert script.main([str(runs)]) == 0
    first = (runs / "details.md").read_text()
    assert "02-base" in first
    assert script.main([]) == 0
    assert (runs / "details.md").read_text() == first
    kept = json.loads((runs / "experiments.json").read_text())
    assert len(kept["LeNet"]["rows"]) == 3
    (runs / "experiments.json").write_text(json.dumps(kept | {"Earlier": "its figures"}))
    assert script.main([str(runs)]) == 0
    assert json.loads((runs / "experiments.json").read_text()) == kept | {"Earlier": "its figures"}
