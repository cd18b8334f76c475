"""Test-time augmentation: the eight symmetries, their mean, and outputs that are not resumed with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lociscope.errors import LociscopeError, UsageError
from lociscope.images.discovery.naming import Rules
from lociscope.images.discovery.sources import find_fields
from lociscope.predict.batch import predict_to_file
from lociscope.predict.output import OutputOptions
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.predict.test_time_augmentation import average_outputs, check_square, rotate_and_flip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 4), np.uint8)


def test_the_views_are_the_eight_symmetries_of_a_square() -> None:
    views = list(rotate_and_flip(PIXELS))
    assert len(views) == 8
    assert len({view[0].tobytes() for view in views}) == 8
    np.testing.assert_array_equal(views[0], PIXELS)
    again = {view.tobytes() for view in map(np.ascontiguousarray, views)}
    for turned in (np.rot90(PIXELS, 1, (1, 2)), PIXELS[:, ::-1]):  # a view's views are the same eight
        assert {np.ascontiguousarray(view).tobytes() for view in rotate_and_flip(turned)} == again


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_log_odds_are_averaged(probabilities: list[float]) -> None:
    calls = [{"probabilities": np.full((1, 28), p, np.float32), "embedding": np.full((1, 3), p)} for p in probabilities]
    made = average_outputs(calls)
    p = np.clip(np.asarray(probabilities, np.float32).astype(float), 1e-6, 1 - 1e-6)
    mean = np.log(p / (1 - p)).mean()
    np.testing.assert_allclose(made["probabilities"], 1 / (1 + np.exp(-mean)), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(made["embedding"], np.mean(probabilities), atol=1e-6)
    assert made["probabilities"].dtype == np.float32


@pytest.fixture(scope="module")
def eight(tiny_bundle: Path) -> Predictor:
    return open_bundle(tiny_bundle, tta=True)


def test_a_turned_field_gets_the_same_prediction(eight: Predictor, tiny_bundle: Path) -> None:
    turned = np.rot90(PIXELS, 3, (1, 2))[:, ::-1]
    first, second = eight.predict(PIXELS, embeddings=True), eight.predict(turned, embeddings=True)
    np.testing.assert_allclose(first.probability, second.probability, atol=1e-6)
    assert first.embedding is not None
    assert second.embedding is not None
    np.testing.assert_allclose(first.embedding, second.embedding, rtol=1e-5, atol=1e-6)
    alone = open_bundle(tiny_bundle)
    each = np.stack([alone.predict(view).probability for view in rotate_and_flip(PIXELS)])
    logits = np.log(each / (1 - each)).mean(axis=0)
    np.testing.assert_allclose(first.probability, 1 / (1 + np.exp(-logits)), atol=1e-5)


def test_an_output_without_augmentation_is_not_resumed_with_it(
    eight: Predictor, tiny_bundle: Path, write_field: Callable[..., Path], tmp_path: Path
) -> None:
    found, broken = find_fields([write_field("a1")], Rules())
    out = tmp_path / "out.csv"
    predict_to_file(open_bundle(tiny_bundle), found, out, OutputOptions(), broken=broken)
    with pytest.raises(LociscopeError, match="other options"):
        predict_to_file(eight, found, out, OutputOptions())
    record = tmp_path / "out.run.json"
    record.write_text(record.read_text().replace(', "views": 1', ""))  # as written before there was augmentation
    assert predict_to_file(open_bundle(tiny_bundle), found, out, OutputOptions()).new == 0
    with pytest.raises(LociscopeError, match="other options"):
        predict_to_file(eight, found, out, OutputOptions())


def test_only_squares_can_be_turned() -> None:
    check_square(32, 32)
    with pytest.raises(UsageError, match="32 × 64 px"):
        check_square(32, 64)
