"""What a network costs, measured once: with a real network in a Run that is otherwise empty."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lociscope.artifacts.recipe import Recipe
from lociscope.artifacts.run import Run
from lociscope.errors import LociscopeError
from lociscope.models import build_network
from lociscope.models.cost import Cost, count_macs
from lociscope.training import cost as measuring
from lociscope.training.cost import measure_cost

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = Run(tmp_path_factory.mktemp("run"))
    Recipe.read("lenet5", {"data.size": 32, "network.width": 0.1}).write(made.recipe_file)
    build_network("lenet5", 32, {"width": 0.1}).save(made.best_model)
    return made


@pytest.mark.slow
def test_the_cost_of_a_network_is_counted_timed_and_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measure_cost(run)
    assert found is not None
    assert found.macs == count_macs(build_network("lenet5", 32, {"width": 0.1}))
    assert found.latency_ms is not None
    assert found.latency_ms > 0
    assert "onnxruntime" in found.where
    assert json.loads((run.folder / "cost.json").read_text())["schema"] == 1
    monkeypatch.setattr(measuring, "_measure", lambda *_: pytest.fail("measured again"))
    assert measure_cost(run) == found == measure_cost(run, quick=True)


def test_an_export_that_fails_says_why_and_is_tried_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Run(tmp_path)
    for path in (run.recipe_file, run.best_model):
        (tmp_path / path.name).write_bytes(path.read_bytes())

    def fail(*_: object) -> float:
        raise ValueError("no such layer\nin ONNX")

    monkeypatch.setattr(measuring, "measure_latency", fail)
    found = measure_cost(copy)
    assert found is not None
    assert found.macs is not None
    assert (found.latency_ms, found.reason) == (None, "not measured: no such layer")
    assert not (tmp_path / "cost.json").exists()


def test_a_folder_that_cannot_be_written_gives_the_cost_all_the_same(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "best.keras").write_bytes(b"network")

    def refuse(path: Path) -> None:
        raise LociscopeError(f"Cannot write '{path}'.")

    monkeypatch.setattr(measuring, "_measure", lambda run, digest: Cost(network=digest, macs=1))
    monkeypatch.setattr(measuring, "atomic_write", refuse)
    found = measure_cost(Run(tmp_path))
    assert found is not None
    assert found.macs == 1
    assert "is measured again next time" in caplog.text


def test_a_run_without_a_network_costs_nothing_that_is_known(tmp_path: Path) -> None:
    assert measure_cost(Run(tmp_path)) is None
