"""The observer: what it is fed, how its answers are scored, and its agreement with the answers that came with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType


@pytest.fixture
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("research/observer")


def test_enlarging_keeps_a_constant_and_follows_a_ramp(script: ModuleType) -> None:
    ramp = np.broadcast_to(np.arange(512, dtype=np.float32)[:, None, None] / 4, (512, 512, 4))
    larger = script.enlarge(ramp)
    assert larger.shape == (2048, 2048, 4)
    expected = np.rint((np.arange(2048) + 0.5) / 16 - 0.125)
    assert np.abs(larger[8:-8, 5, 0] - expected[8:-8]).max() <= 1
    assert np.unique(script.enlarge(np.full((512, 512, 4), 77, np.uint8))).tolist() == [77]


def test_crops_cover_a_field_and_are_standardised(script: ModuleType) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (2048, 2048, 4)).astype(np.float32)
    crops = np.stack(list(script.crops_of(pixels)))
    assert crops.shape == (4, 1024, 1024, 4)
    np.testing.assert_allclose(crops.mean(axis=(1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(crops.std(axis=(1, 2)), 1, atol=1e-3)


def test_scores(script: ModuleType) -> None:
    probability = np.full((4, 13), 0.1)
    probability[0, 2] = probability[1, 2] = 0.9  # cytosol
    probability[2, 7] = 0.8  # mitochondria
    probability[3, 2] = 0.7  # mitochondria, taken for cytosol
    answers = script.Answers(("a", "b", "c", "d"), probability, np.zeros((4, 224)))
    found = script.score(answers, {"a": (25,), "b": (25, 0), "c": (23,), "d": (23,)})
    assert found["classes"]["Cytosol"] == {"n": 1, "probability": 0.9, "reciprocal_rank": 1.0}
    mitochondria = found["classes"]["Mitochondria"]
    assert (mitochondria["n"], mitochondria["reciprocal_rank"]) == (2, 0.75)
    assert mitochondria["probability"] == pytest.approx(0.45)
    assert found["least"]["probability"] == pytest.approx(0.45)


@pytest.mark.slow
def test_the_forest_distinguishes_what_differs_and_nothing_else(script: ModuleType) -> None:
    random = np.random.default_rng(0)
    real, same = random.normal(size=(30, 224)), random.normal(size=(30, 224))
    assert script.distinguish(real, same + 1, rounds=1, trees=50, resamples=100)["auc"] > 0.95
    alike = script.distinguish(real, same, rounds=1, trees=50, resamples=100)
    assert alike["low"] < 0.6
    assert alike["auc"] < 0.75
    assert script.share_beyond(real, random.normal(size=(300, 224))) < 0.2
    assert script.share_beyond(real + 20, same) == 1


def test_without_its_weights_the_message_says_where_they_belong(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(LociscopeError) as error:
        script.Observer(tmp_path)
    assert error.value.code is Code.NOT_FOUND
    assert "LOCISCOPE_REAL_DATA" in str(error.value)


@pytest.mark.slow
def test_answers_are_those_that_came_with_the_weights(script: ModuleType, real_data: Path) -> None:
    if not (real_data / "observer").is_dir():
        pytest.skip("no observer among the real data")
    assert script.check(script.Observer(real_data / "observer"))["largest"] < 0.01


@pytest.mark.slow
def test_features_are_averages_of_their_maps(script: ModuleType, real_data: Path) -> None:
    if not (real_data / "observer").is_dir():
        pytest.skip("no observer among the real data")
    pixels = np.random.default_rng(0).integers(0, 255, (512, 512, 4)).astype(np.uint8)
    observer = script.Observer(real_data / "observer")
    features = observer.answer([("a", pixels)]).features[0]
    for number, its in observer.maps(pixels, [0, 31, 32, 95, 96, 223]).items():
        assert its.mean() == pytest.approx(features[number], abs=1e-4)
