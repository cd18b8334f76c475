"""A model of others becomes a Bundle that every command takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fixtures.codes import raises_code

from lociscope.artifacts.bundle import read_bundle, read_reference
from lociscope.artifacts.catalog import Catalog
from lociscope.decide.calibration import Calibration
from lociscope.decide.single import fit_decision
from lociscope.errors import Code
from lociscope.labels import N_LABELS, find_known
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.registry.model_registry import Registry
from lociscope.workflows.import_model import ModelFormat, bundle_from_keras, bundle_from_onnx

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.images.field import Field

CLASSES = (0, 2, 7, 12, 25)
TORCH = "tests/convert/models/torch_dynamo.onnx"


@pytest.fixture(scope="module")
def torch_model(pytestconfig: pytest.Config) -> Path:
    return pytestconfig.rootpath / TORCH


@pytest.fixture(scope="module")
def label_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "labels.txt"
    path.write_text("Nucleoplasm\nNucleoli\n7\nActin filaments\nCytosol\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def bundle(torch_model: Path, small_catalog: Path, label_map: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("made") / "torch"
    made = bundle_from_onnx(
        torch_model, small_catalog, output,
        labels=label_map, model_format=ModelFormat(scale=255), licence="MIT", policy="constant",
    )  # fmt: skip
    assert made.fields == 40
    assert not made.failures
    assert made.model.difference < 1e-5
    return output


def test_the_card_says_what_was_fitted(bundle: Path) -> None:
    card = read_bundle(bundle).card
    assert card.classes == CLASSES
    assert (card.name, card.licence, card.input.height, card.input.normalisation) == ("torch", "MIT", 32, "percentiles")
    assert card.decide.calibration is not None
    assert card.decide.calibration.method == "platt"
    assert card.decide.calibration.fields == 40
    assert {"lrap", "macro_f1"} <= set(card.metrics)
    assert [t for n, t in enumerate(card.decide.thresholds) if n not in CLASSES] == [1.0] * (N_LABELS - len(CLASSES))
    assert card.provenance["model"] == "torch_dynamo.onnx"


def test_the_calibration_is_applied_to_each_field(bundle: Path, small_catalog: Path) -> None:
    opened = read_bundle(bundle)
    stored = opened.card.decide.calibration
    assert stored is not None
    calibration = Calibration("platt")
    calibration.coefficients_ = np.array(stored.coefficients)[:, list(CLASSES)]
    predictor = Predictor(opened)
    table = Catalog.read(small_catalog)
    found = predictor.predict([small_catalog])
    assert len(found) == len(table)
    prepared = [predictor.prepare(field) for field in _read(small_catalog, 3)]
    raw = np.concatenate([predictor.engine.run(each.pixels)["probabilities"] for each in prepared])
    rows = [found.ids.index(each.id) for each in prepared]
    np.testing.assert_allclose(found.probability[rows][:, CLASSES], calibration.predict(raw[:, CLASSES]), atol=1e-5)


def _read(catalog: Path, number: int) -> list[Field]:
    from lociscope.images.discovery.sources import read_catalog_sources
    from lociscope.images.io.read import read_field

    return [read_field(source) for source in read_catalog_sources(Catalog.read(catalog))[:number]]


def test_it_can_be_registered_and_monitored(bundle: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    version = registry.add(bundle, who="a", why="b").version
    registry.promote(version, who="a", why="b", check=open_bundle)
    reference = read_reference(read_bundle(registry.path()))
    assert reference is not None
    assert tuple(np.flatnonzero(find_known(reference.probability)).tolist()) == CLASSES


def test_the_older_exporter_and_no_calibration(
    pytestconfig: pytest.Config, small_catalog: Path, label_map: Path, tmp_path: Path
) -> None:
    model = pytestconfig.rootpath / "tests" / "convert" / "models" / "torch_script.onnx"
    made = bundle_from_onnx(
        model, small_catalog, tmp_path / "b",
        labels=label_map, model_format=ModelFormat(scale=255), calibration="none", policy="searched",
    )  # fmt: skip
    assert made.bundle.card.decide.calibration is None
    assert len(open_bundle(tmp_path / "b").predict(small_catalog)) == 40  # the model takes one field at a time


@pytest.mark.slow
def test_a_keras_file_and_kerass_own_export(small_catalog: Path, tmp_path: Path) -> None:
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    inputs = keras.Input((32, 32, 4))
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(inputs)
    network = keras.Model(inputs, layers.Dense(N_LABELS, activation="sigmoid")(layers.GlobalAveragePooling2D()(x)))
    network.save(tmp_path / "mine.keras")
    made = bundle_from_keras(tmp_path / "mine.keras", small_catalog, tmp_path / "keras")
    assert made.bundle.card.classes == tuple(range(N_LABELS))
    assert made.model.given.activation == "none"
    network(np.zeros((1, 32, 32, 4), np.float32))
    network.export(tmp_path / "mine.onnx", format="onnx", verbose=False)
    bundle_from_onnx(tmp_path / "mine.onnx", small_catalog, tmp_path / "onnx")
    one, two = (open_bundle(tmp_path / name).predict(small_catalog).probability for name in ("keras", "onnx"))
    np.testing.assert_allclose(one, two, atol=1e-5)
    x = layers.Lambda(lambda each: each * 2)(inputs)
    keras.Model(inputs, layers.GlobalAveragePooling2D()(x)).save(tmp_path / "code.keras")
    with raises_code(Code.REFUSED_CONTENT):
        bundle_from_keras(tmp_path / "code.keras", small_catalog, tmp_path / "refused")


def test_bad_input(torch_model: Path, small_catalog: Path, label_map: Path, tmp_path: Path) -> None:
    def make(**options: Any) -> None:
        given: dict[str, Any] = {"labels": label_map, "model_format": ModelFormat(scale=255), **options}
        bundle_from_onnx(torch_model, small_catalog, tmp_path / "b", **given)

    with raises_code(Code.INVALID_LABELS):
        make(labels=None)
    with raises_code(Code.UNKNOWN_NAME):
        make(policy="best")
    with raises_code(Code.UNKNOWN_NAME):
        make(calibration="isotonic")
    assert not (tmp_path / "b").exists()


def test_too_few_fields() -> None:
    truth = np.zeros((19, N_LABELS), np.uint8)
    with raises_code(Code.NOT_ENOUGH_DATA):
        fit_decision(truth, np.full((19, N_LABELS), 0.5))


def test_decisions_of_some_classes() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random((200, N_LABELS)) < 0.3).astype(np.uint8)
    probability = np.clip(0.5 * truth + 0.5 * rng.random((200, N_LABELS)), 0, 1)
    probability[:, 5:] = np.nan
    fitted = fit_decision(truth, probability, policy="searched")
    assert (fitted.thresholds[5:] == 1).all()
    assert not fitted.decided[:, 5:].any()
    assert fitted.decided[:, :5].mean() == pytest.approx(0.3, abs=0.05)
    assert np.isnan(fitted.out_of_fold[:, 5:]).all()
    json.dumps(fitted.calibration.coefficients_.tolist(), allow_nan=False)
