"""Export: the bundle says what Keras says, on real cells' simulated kin."""

from __future__ import annotations

import shutil
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.bundle import read_bundle
from lociscope.artifacts.provenance import Provenance
from lociscope.artifacts.recipe import Recipe
from lociscope.artifacts.run import Run
from lociscope.data.cache.fields import PackedFields
from lociscope.data.datasets import TrainingData
from lociscope.data.pipeline.dataset import evaluation_batches
from lociscope.errors import LociscopeError
from lociscope.images.field import Field
from lociscope.images.preprocess import prepare
from lociscope.labels import N_LABELS
from lociscope.models import NETWORKS, load_network
from lociscope.predict.predictor import open_bundle
from lociscope.simulate import simulate_field
from lociscope.training import export as exporting
from lociscope.training.keras_trainer import fit

if TYPE_CHECKING:
    from pathlib import Path

FIELDS, TRAINED_ON = 24, 16
SMALL: dict[str, dict[str, float]] = {
    "alexnet-2012": {"units": 16},
    "alexnet": {"width": 0.1},
    "lenet5": {"width": 0.2},
    "gapnet-pl": {"width": 0.25},
}
LEAST_SIZE = {"alexnet-2012": 67}
QUICK = {"lenet5"}
"""The network of the ordinary run; `tests/models` exports others there, untrained."""


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.stack([simulate_field(number, seed=11, size=64).pixels for number in range(FIELDS)])


def _slow_unless_quick(name: str) -> object:
    return name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=map(_slow_unless_quick, NETWORKS))
def run(request: pytest.FixtureRequest, pixels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Run:
    name = request.param
    network, size = {"name": name, **SMALL.get(name, {})}, LEAST_SIZE.get(name, 32)
    recipe = Recipe.from_dict({"network": network, "data": {"size": size}, "train": {"epochs": 1, "batch": 8}}, "test")
    names = [str(number) for number in range(FIELDS)]
    x = np.stack([prepare(field, recipe.data.input) for field in pixels])
    y = (np.random.default_rng(0).random((FIELDS, N_LABELS)) < 0.1).astype(np.uint8)
    packed = PackedFields(names, names, x, y, "hash")
    folder = tmp_path_factory.mktemp("run") / "run"
    source = Provenance("simulated", fields=FIELDS, seed=0)
    return fit(
        recipe,
        TrainingData(packed.take(np.arange(TRAINED_ON)), packed.take(np.arange(TRAINED_ON, FIELDS)), source),
        folder,
    )


@pytest.fixture(scope="module")
def bundle(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    exporting.export_bundle(run, folder, "test", "Apache-2.0")
    return folder


def test_onnx_agrees_with_keras(run: Run, bundle: Path, pixels: np.ndarray) -> None:
    network = load_network(run.best_model)
    spec = run.read_recipe().data.input
    inputs = np.stack([prepare(field, spec) for field in pixels]).astype(np.float32) / 255
    expected = network(inputs, training=False)
    engine = open_bundle(bundle).engine
    given = engine.run(np.rint(inputs * 255).astype(np.uint8), engine.outputs)
    assert set(engine.outputs) == set(expected) >= {"probabilities", "embedding"}
    assert np.abs(given["probabilities"] - expected["probabilities"]).max() <= 1e-5
    for name in expected.keys() - {"probabilities"}:
        np.testing.assert_allclose(given[name], expected[name], atol=1e-3)


def test_training_and_prediction_give_the_same(run: Run, bundle: Path, pixels: np.ndarray) -> None:
    """What `tf.data` feeds Keras in validation, and what `predict` makes of the same fields."""
    spec = run.read_recipe().data.input
    names = [str(number) for number in range(FIELDS)]
    x = np.stack([prepare(field, spec) for field in pixels])
    packed = PackedFields(names, names, x, np.zeros((FIELDS, N_LABELS), np.uint8), "")
    network = load_network(run.best_model)
    batches = [np.asarray(network(x, training=False)["probabilities"]) for x, _ in evaluation_batches(packed, 16)]
    made = open_bundle(bundle).predict(Field(name, field) for name, field in zip(names, pixels, strict=True))
    assert made.ids == names
    assert np.abs(made.probability - np.concatenate(batches)).max() <= 1e-4


def test_the_card_says_where_it_comes_from(run: Run, bundle: Path) -> None:
    card = read_bundle(bundle).card
    assert card.provenance["data_hash"] == run.read_environment().data_hash
    assert card.provenance["recipe"]["network"]["name"] == run.read_recipe().network.name
    assert len(set(card.decide.thresholds)) == 1
    assert card.decide.calibration is None
    assert card.reference is None
    assert {score.n for score in card.metrics.values()} == {FIELDS - TRAINED_ON}
    assert all(score.low <= score.value <= score.high for score in card.metrics.values())
    assert card.metrics["lrap"].low < card.metrics["lrap"].value < card.metrics["lrap"].high


def test_a_network_of_another_size_or_a_damaged_one(run: Run, tmp_path: Path) -> None:
    copy = Run(shutil.copytree(run.folder, tmp_path / "run"))
    Recipe.from_dict({"network": {"name": "lenet5"}, "data": {"size": 96}}, "test").write(copy.recipe_file)
    with pytest.raises(LociscopeError, match=r"takes \d+ px, its recipe says 96\. Train again"):
        exporting.export_bundle(copy, tmp_path / "bundle", "test", "Apache-2.0")
    rewritten = {"model.weights.h5": b"", "config.json": b"{}"}
    for member, contents in rewritten.items():
        with zipfile.ZipFile(run.best_model) as whole, zipfile.ZipFile(copy.best_model, "w") as changed:
            for name in whole.namelist():
                changed.writestr(name, contents if name == member else whole.read(name))
        with pytest.raises(LociscopeError, match=r"best\.keras' is damaged \(.*Train again") as said:
            load_network(copy.best_model)
        assert "\n" not in str(said.value)


def test_a_difference_is_refused_and_nothing_written(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "_max_difference", lambda *_: 3e-4)
    with pytest.raises(LociscopeError, match=r"differs from Keras by 0\.0003"):
        exporting.export_bundle(run, tmp_path / "bundle", "test", "Apache-2.0")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("size", "number"), [(32, 64), (128, 64), (512, 4), (1024, 1), (2048, 1)])
def test_big_fields_are_compared_few_at_a_time(size: int, number: int) -> None:
    inputs = np.broadcast_to(np.arange(64, dtype=np.float32)[:, None, None, None], (64, size, size, 4))
    parts = exporting._split_parts(inputs)
    assert {len(part) for part in parts} == {number}
    assert [value for part in parts for value in part[:, 0, 0, 0]] == [*range(64)]
