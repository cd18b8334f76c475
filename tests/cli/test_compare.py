"""`lociscope compare`, on Runs made by hand."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lociscope.models.cost import Cost
from lociscope.report import ranking
from lociscope.training import cost as measuring

if TYPE_CHECKING:
    from lociscope.artifacts.run import Run

Make = Callable[..., Path]
Say = Callable[..., Any]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "RESAMPLES", 20)


def test_runs_become_a_page_and_a_table(make_run: Make, lociscope: Say) -> None:
    a, b = make_run("a"), make_run("b", {"train.loss": "focal"}, seed=1)
    said = lociscope("compare", a, b, a, "-o", "out.html", "--csv", "out.csv")
    assert (said.code, said.out.strip()) == (0, "out.html")
    assert "1. " in said.err
    assert "average precision 0." in said.err
    assert "bce → focal" in Path("out.html").read_text()
    assert len(Path("out.csv").read_text().splitlines()) == 3


def test_figures_for_a_program(make_run: Make, lociscope: Say) -> None:
    said = lociscope("compare", make_run("a"), make_run("b", seed=1), "--base", make_run("c", seed=2), "--json")
    rows = json.loads(said.out)
    assert [row["name"] for row in rows] == ["c", "a", "b"]
    assert rows[1]["base"] == "c"
    assert set(rows[1]["gains"]) == {"macro_f1", "macro_average_precision", "lrap", "macro_auc"}


def test_a_base_among_the_runs_keeps_its_position(make_run: Make, lociscope: Say) -> None:
    a, b = make_run("a"), make_run("b", seed=1)
    rows = json.loads(lociscope("compare", a, b, "--base", b, "--json").out)
    assert [(row["name"], row["base"]) for row in rows] == [("a", "b"), ("b", "b")]


def test_what_is_broken_is_listed_and_the_rest_compared(make_run: Make, lociscope: Say, tmp_path: Path) -> None:
    good, unfinished, damaged = make_run("good"), make_run("unfinished"), make_run("damaged")
    (unfinished / "DONE").unlink()
    (damaged / "environment.json").write_text("{")
    said = lociscope("compare", unfinished, good, damaged, tmp_path / "nowhere", "-o", "out.html")
    assert said.code == 3
    assert "lociscope: 3 of 4 not compared, listed in out.html; the first: Run '" in said.err
    page = Path("out.html").read_text()
    for reason in ("is not finished", "environment.json is damaged", "is not a Run"):
        assert reason in page


def test_the_page_is_no_table(make_run: Make, lociscope: Say) -> None:
    said = lociscope("compare", make_run("a"), "-o", "a.html", "--csv", "a.html")
    assert (said.code, Path("a.html").exists()) == (2, False)
    assert "cannot be both the page and the table" in said.err


def test_nothing_to_compare(lociscope: Say, tmp_path: Path) -> None:
    said = lociscope("compare", tmp_path, tmp_path / "x", "-o", "out.html")
    assert said.code == 1
    assert "is not a Run" in said.err
    assert "The other 1 cannot be compared either." in said.err
    assert not Path("out.html").exists()


def test_a_base_that_is_broken_ends_the_command(make_run: Make, lociscope: Say, tmp_path: Path) -> None:
    said = lociscope("compare", make_run("a"), "--base", tmp_path / "nowhere", "-o", "out.html")
    assert said.code == 1
    assert "nowhere' is not a Run" in said.err


def test_no_run_named(lociscope: Say) -> None:
    assert lociscope("compare").code == 2


def test_the_cost_is_kept_in_the_run_and_quick_measures_nothing(
    make_run: Make, lociscope: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("a")
    (run / "best.keras").write_bytes(b"network")
    measured: list[Path] = []

    def measure(of: Run, digest: str) -> Cost:
        measured.append(of.folder)
        return Cost(network=digest, macs=2_000_000_000, latency_ms=4.5, where="a quiet place")

    monkeypatch.setattr(measuring, "_measure", measure)

    def cost(*words: str) -> dict[str, Any]:
        return dict(json.loads(lociscope("compare", run, "-o", "out.html", "--json", *words).out)[0]["cost"])

    assert cost("--quick")["macs"] is None
    assert measured == []
    assert cost()["latency_ms"] == 4.5
    assert cost()["bytes"] == 7
    assert measured == [run]
    assert cost("--quick")["macs"] == 2_000_000_000
    assert "a quiet place" in Path("out.html").read_text()
    (run / "best.keras").write_bytes(b"another")
    assert cost("--quick")["macs"] is None
    (run / "cost.json").write_text("{")
    assert cost()["macs"] == 2_000_000_000
    assert measured == [run, run]


def test_a_network_that_cannot_be_loaded_is_listed(make_run: Make, lociscope: Say) -> None:
    bad, good = make_run("bad"), make_run("good", seed=1)
    (bad / "best.keras").write_bytes(b"no archive")
    said = lociscope("compare", bad, good, "-o", "out.html")
    assert said.code == 3
    assert "best.keras' is not a Keras archive" in said.err


def test_without_tensorflow_the_rest_is_compared(
    make_run: Make, lociscope: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("a")
    with zipfile.ZipFile(run / "best.keras", "w") as archive:
        for name in ("config.json", "metadata.json", "model.weights.h5"):
            archive.writestr(name, "{}")
    for module in ("keras", "tensorflow"):
        monkeypatch.setitem(sys.modules, module, None)
    said = lociscope("compare", run, "-o", "out.html")
    assert said.code == 0
    assert "no GMAC and latency" in said.err
    assert "lociscope[train]" in said.err
