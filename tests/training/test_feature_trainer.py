"""The trainer of the features recipe: fields measured once, heads fitted, a finished Run."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.provenance import Provenance
from lociscope.artifacts.recipe import Recipe
from lociscope.data.cache.fields import PackedFields
from lociscope.data.importing import import_kaggle
from lociscope.data.simulated import simulate_one
from lociscope.decide.feature_model import FeatureModel
from lociscope.errors import Code, LociscopeError
from lociscope.images.segmentation.features import FEATURES, compute_features
from lociscope.predict.predictor import open_bundle
from lociscope.simulate.atlas import write_atlas
from lociscope.training import feature_cache, feature_trainer
from lociscope.training.feature_trainer import export, fit, prepare_datasets

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.images.discovery.sources import Failure

SMALL = {"data.fields": 12, "data.simulated_size": 128, "data.valid": 0.3, "network.trees": 3}


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return Recipe.read("features", dict(SMALL))


@pytest.fixture(scope="module")
def packed(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features") / "packed"
    prepare_datasets(recipe, None, folder, [])
    return folder


def test_fit_returns_a_run_that_predicts_its_validation_fields(recipe: Recipe, packed: Path, tmp_path: Path) -> None:
    datasets = prepare_datasets(recipe, None, packed, [])
    reports: list[tuple[int, int]] = []
    run = fit(recipe, datasets, tmp_path / "run", lambda done, total, _="", /: reports.append((done, total)))
    assert reports == [(done, 56) for done in range(1, 57)]
    assert run.done
    predictions = run.read_predictions()
    assert set(predictions.ids) == set(run.read_truth()) == set(datasets.valid.ids)
    again = FeatureModel.read(run.best_features).predict(np.asarray(datasets.valid.x))
    np.testing.assert_allclose(predictions.probability, again, atol=1e-6)
    assert run.read_history()[0]["val_loss"] > 0
    assert not run.checkpoints.exists()
    assert export(run, tmp_path / "bundle", "x", "Apache-2.0") == 0
    predictor = open_bundle(tmp_path / "bundle")
    assert predictor.bundle.card.kind == "features"
    assert {path.name for path in (tmp_path / "bundle").iterdir()} == {
        "MANIFEST", "card.json", "features.npz", "selftest.npz",
    }  # fmt: skip
    field = simulate_one(recipe.data, 0)
    found = predictor.predict(field.pixels).probability[0]
    expected = FeatureModel.read(run.best_features).predict(compute_features(field.pixels)[None])[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_specimens_stay_on_one_side(recipe: Recipe, packed: Path) -> None:
    datasets = prepare_datasets(recipe, None, packed, [])
    assert len(datasets.train) + len(datasets.valid) == 12
    assert isinstance(datasets.train, PackedFields)
    assert not set(datasets.train.groups) & set(datasets.valid.groups)
    assert datasets.train.x.shape[1] == len(FEATURES)


@pytest.mark.slow
def test_an_interruption_loses_one_file(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_cache, "FIELDS_PER_FILE", 5)
    measured: list[int] = []
    real = feature_cache.measure_simulated

    def cut_off(settings: object, index: int) -> feature_cache.FieldFeatures:
        measured.append(index)
        if len(measured) == 8:
            raise KeyboardInterrupt
        return real(settings, index)  # type: ignore[arg-type]

    monkeypatch.setattr(feature_trainer, "measure_simulated", cut_off)
    with pytest.raises(KeyboardInterrupt):
        prepare_datasets(recipe, None, tmp_path / "packed", [])
    cut = prepare_datasets(recipe, None, tmp_path / "packed", [])
    assert measured == [*range(8), *range(5, 12)]
    monkeypatch.setattr(feature_trainer, "measure_simulated", real)
    whole = prepare_datasets(recipe, None, tmp_path / "other", [])
    assert isinstance(cut.train, PackedFields)
    assert isinstance(whole.train, PackedFields)
    np.testing.assert_array_equal(cut.train.x, whole.train.x)
    assert cut.train.sha256 == whole.train.sha256


def test_a_folder_of_another_recipe_is_refused(packed: Path) -> None:
    with pytest.raises(LociscopeError, match="another recipe"):
        prepare_datasets(Recipe.read("features", {**SMALL, "data.seed": 3}), None, packed, [])


@pytest.mark.parametrize(("name", "share"), [("features-00000.npz", 0.5), ("features-00000.npz", 0), ("pack.json", 0)])
def test_a_damaged_store_is_refused(recipe: Recipe, packed: Path, tmp_path: Path, name: str, share: float) -> None:
    folder = shutil.copytree(packed, tmp_path / "packed")
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(LociscopeError, match=r"damaged or cut short\. Remove the folder"):
        prepare_datasets(recipe, None, folder, [])


def test_a_catalog_is_measured_and_damage_listed(tmp_path: Path) -> None:
    atlas = write_atlas(tmp_path / "atlas", fields=6, size=128, seed=2)
    catalog = import_kaggle(atlas, tmp_path)[0]
    catalog.write(tmp_path / "catalog.parquet")
    broken = next(tmp_path.rglob("*_green.png"))
    broken.write_bytes(b"nothing")
    failures: list[Failure] = []
    datasets = prepare_datasets(
        Recipe.read("features", SMALL), tmp_path / "catalog.parquet", tmp_path / "packed", failures
    )
    assert len(datasets.train) + len(datasets.valid) == 5
    assert [failure.id for failure in failures] == [broken.name.removesuffix("_green.png")]
    assert datasets.source == Provenance("catalog", "catalog.parquet")


def test_online_simulation_is_refused() -> None:
    with pytest.raises(LociscopeError) as refused:
        feature_trainer.check(Recipe.read("features", {"data.online": True}))
    assert refused.value.code is Code.INVALID_VALUE
