"""Outputs of models are kept once, and finalists and their ensemble are scored from them alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.artifacts.catalog import Catalog
from lociscope.cli import app
from lociscope.errors import UsageError
from lociscope.labels import N_LABELS, to_multi_hot
from lociscope.simulate import simulate_field

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> Callable[[str], ModuleType]:
    def load(name: str) -> ModuleType:
        module = load_script(f"research/{name}")
        if name == "finalists":
            module.RESAMPLES = 30  # type: ignore[attr-defined]
        return module

    return load


def make_sets(outputs: ModuleType, seed: int, noise: float = 1.6) -> dict[str, Any]:
    """What a model with errors of its own says; the truth is the same for all seeds."""
    found = {}
    for number, name in enumerate(("valid", "atlas_valid", "atlas_test", "atlas_lines", "strangers", "fields")):
        known, own = np.random.default_rng(number), np.random.default_rng([number, seed])
        truth = (known.random((240, N_LABELS)) < 0.15).astype(np.uint8)
        logits = 3 * truth - 2 + noise * own.normal(size=truth.shape)
        found[name] = outputs.Said(truth, 1 / (1 + np.exp(-logits)), np.arange(240).astype(str))
    return found


@pytest.fixture
def folder(script: Callable[[str], ModuleType], tmp_path: Path) -> Path:
    outputs = script("outputs")
    for name, seed, noise in (("good/0", 1, 1.5), ("good/1", 2, 1.5), ("other/0", 3, 1.7)):
        path = tmp_path / f"{name}.npz"
        path.parent.mkdir(exist_ok=True)
        outputs.write(path, make_sets(outputs, seed, noise))
    return tmp_path


@pytest.mark.slow
def test_models_whose_errors_are_their_own_are_better_together(script: Callable[..., Any], folder: Path) -> None:
    found = script("finalists").report(folder, [["good", "other"], ["other"]])
    assert {name: list(seeds) for name, seeds in found["ensembles"].items()} == {
        "good+other": ["0", "1"],
        "other": ["0"],
    }
    ensemble = found["ensembles"]["good+other"]["0"]
    assert ensemble["best"] == "good"
    for name in ("atlas_test", "atlas_lines", "strangers"):
        single = found["models"]["good"]["0"][name]["macro_average_precision"]
        gain = ensemble["gains"][name]["macro_average_precision"]
        assert gain["low"] > 0.02
        assert ensemble["scores"][name]["macro_average_precision"]["value"] == pytest.approx(
            single["value"] + gain["value"], abs=2e-4
        )
    assert set(ensemble["scores"]["fields"]) == {"lrap", "macro_auc"}


def test_every_seed_is_scored_and_the_figures_are_kept(
    script: Callable[..., Any], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text('{"models": {"earlier": {"0": {}}, "good": {"2": {}}}, "ensembles": {}}')
    assert script("finalists").main([str(folder), "--ensemble", "good", "--json", str(kept)]) == 0
    found = json.loads(kept.read_text())
    assert found["models"].pop("earlier") == {"0": {}}
    known = {"label prior": [""], "good": ["0", "1"], "other": ["0"]}
    assert {name: sorted(seeds) for name, seeds in found["models"].items()} == known
    assert list(found["ensembles"]["good"]) == ["0", "1"]
    value = found["models"]["good"]["1"]["atlas_test"]["lrap"]["value"]
    assert f"lrap {value:.3f}" in capsys.readouterr().out
    (folder / "good" / "0.npz").unlink()
    assert script("finalists").main([str(folder), "--json", str(kept)]) == 0
    assert json.loads(kept.read_text())["ensembles"] == found["ensembles"]


def test_the_label_prior_says_how_frequent_each_place_is(script: Callable[..., Any]) -> None:
    sets = make_sets(script("outputs"), 0)
    prior = script("finalists").label_prior(sets)
    assert set(prior) == {"valid", "atlas_valid", "atlas_test", "atlas_lines", "strangers"}
    np.testing.assert_allclose(prior["atlas_test"].probability[7], sets["atlas_valid"].truth.mean(axis=0))
    blind = script("finalists").scores(prior)["atlas_test"]["macro_average_precision"]
    assert blind.value == pytest.approx(sets["atlas_test"].truth.mean(), abs=1e-9)


def test_a_model_that_said_nothing_is_named(script: Callable[..., Any], folder: Path) -> None:
    with pytest.raises(UsageError, match=r"'lenet'.*good, other"):
        script("finalists").report(folder, [["good", "lenet"]])


def test_a_set_is_opened_once_per_model(
    script: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs, asked = script("outputs"), []

    def ask(run: Path, catalog: Path | None) -> dict[str, Any]:
        asked.append(run.name)
        return make_sets(outputs, 0)

    monkeypatch.setattr(outputs, "ask", ask)
    for _ in range(2):
        assert outputs.main(["small/0=runs/a", "small/1=runs/b", "--out", str(tmp_path)]) == 0
    assert asked == ["a", "b"]
    read, said = outputs.read(tmp_path / "small" / "1.npz"), make_sets(outputs, 0)
    assert list(read) == list(said)
    np.testing.assert_array_equal(read["strangers"].probability, said["strangers"].probability)
    with pytest.raises(UsageError, match="NAME/SEED=RUN"):
        outputs.main(["runs/a", "--out", str(tmp_path)])


@pytest.mark.slow
def test_strangers_are_the_fields_that_the_catalog_keeps_for_tests(
    script: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = script("outputs")
    drawn = [simulate_field(number, seed=1, size=64) for number in range(4)]
    for command in (
        ["simulate", "atlas", tmp_path / "atlas", "--fields", 6, "--size", 64, "--workers", 1],
        ["import", "kaggle", tmp_path / "atlas", "-o", tmp_path / "drawn.parquet"],
    ):
        app([str(word) for word in command], standalone_mode=False)
    table = Catalog.read(tmp_path / "drawn.parquet")
    table.with_column("split", ["train", "test", "valid", "test", "test", "train"]).write(tmp_path / "drawn.parquet")
    monkeypatch.setattr(outputs, "load_model", lambda run: lambda pixels, size: np.full(N_LABELS, pixels.mean()))
    monkeypatch.setattr(outputs, "simulated", lambda part: drawn)
    monkeypatch.setattr(outputs, "own", lambda run: "its own")
    monkeypatch.setattr(outputs.Run, "open", lambda path: path)
    monkeypatch.setattr(outputs, "REAL", tmp_path / "nowhere")
    found = outputs.ask(tmp_path, tmp_path / "drawn.parquet")
    assert list(found) == ["valid", "atlas_valid", "atlas_test", "atlas_lines", "strangers"]
    np.testing.assert_array_equal(found["atlas_test"].probability[:, 0], [field.pixels.mean() for field in drawn])
    kept = [entry for entry in table if entry.id in {table.ids[row] for row in (1, 3, 4)}]
    np.testing.assert_array_equal(found["strangers"].truth, to_multi_hot([entry.target or () for entry in kept]))
    assert len({*found["strangers"].probability[:, 0]}) == 3
