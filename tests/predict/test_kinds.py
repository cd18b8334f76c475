"""Bundles of features: arrays, no pickle; whole fields only."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fixtures.codes import raises_code
from fixtures.feature_bundles import feature_bundle_at, random_heads
from fixtures.pixels import patches

from lociscope.artifacts.bundle import read_bundle
from lociscope.decide.feature_model import encode_heads, parse_heads
from lociscope.errors import Code
from lociscope.images.field import Field
from lociscope.images.segmentation.features import compute_features
from lociscope.predict.cell_source import segment_field
from lociscope.predict.cells import predict_cells
from lociscope.predict.explain import explain_field
from lociscope.predict.predictor import open_bundle

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return feature_bundle_at(tmp_path_factory.mktemp("features") / "b", heads=2)


def test_a_field_is_measured_as_for_training(features: Path) -> None:
    pixels = patches((48, 48, 4))
    predictor = open_bundle(features)
    found = predictor.predict(pixels).probability[0]
    measured = compute_features(pixels)[None]
    odds = [np.log(p / (1 - p)) for p in (random_heads(number).predict(measured) for number in range(2))]
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-np.mean(odds, axis=0)[0])), atol=1e-6)
    again = pickle.loads(pickle.dumps(predictor))
    np.testing.assert_array_equal(again.predict(pixels).probability[0], found)


def test_cells_and_evidence_need_a_network(features: Path) -> None:
    predictor = open_bundle(features)
    assert predictor.engine.outputs == ("probabilities",)
    with raises_code(Code.NOT_FOUND):
        predictor.engine.require_outputs("embedding")
    with raises_code(Code.INVALID_VALUE):
        explain_field(predictor, Field("a", patches((48, 48, 4))))
    field, labels = Field("a", patches((48, 48, 4))), np.ones((48, 48), np.int32)
    segmented = segment_field(field, predictor.bundle.card.input, labels)
    with raises_code(Code.INVALID_VALUE):
        predict_cells(predictor, segmented, predictor.predict(field).probability[0])
    assert not predictor.shows_evidence


def test_damaged_heads_are_refused(features: Path) -> None:
    data = read_bundle(features).model
    assert len(parse_heads(data, "it")) == 2
    for broken in (data[:-30], b"", encode_heads([])):
        with raises_code(Code.CORRUPT):
            parse_heads(broken, "it")
    with np.load(io.BytesIO(data)) as stored:
        arrays = dict(stored)
    packed = io.BytesIO()
    np.savez(packed, **{**arrays, "0.mean": np.array([{}], object)})
    with raises_code(Code.CORRUPT):  # an object array is a pickle
        parse_heads(packed.getvalue(), "it")
