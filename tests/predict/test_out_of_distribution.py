"""The detector: known fields keep their status, others are `unlike-training`; damaged files are refused."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.bundle import Bundle, read_bundle
from lociscope.errors import Code, LociscopeError
from lociscope.images.appearance import APPEARANCE, PER_PLANE
from lociscope.predict.fit_detector import Rows, find_threshold, fit_detector, make_variants
from lociscope.predict.out_of_distribution import (
    MAX_DISTANCE,
    Detector,
    encode_detector,
    mark_unlike,
    measure_distances,
    read_detector,
)

if TYPE_CHECKING:
    from pathlib import Path

K = len(APPEARANCE)


def rows(rng: np.random.Generator, n: int, shift: float, d: int = 5) -> Rows:
    appearance = rng.normal(shift, 1, (n, K)).astype(np.float32)
    appearance[::5, 3 * len(PER_PLANE) : 4 * len(PER_PLANE)] = np.nan  # without ER
    return Rows(appearance, rng.normal(shift, 1, (n, d)).astype(np.float32), np.arange(n) // 2)


@pytest.fixture(scope="module")
def detector() -> Detector:
    rng = np.random.default_rng(0)
    return fit_detector(rows(rng, 120, 0), rows(rng, 100, 0.2), rows(rng, 60, 2), 0.05).detector


@pytest.fixture
def bundle(tiny_bundle: Path, detector: Detector) -> Bundle:
    return replace(read_bundle(tiny_bundle), detector=encode_detector(detector))


def test_known_fields_keep_their_status_and_others_are_marked(detector: Detector) -> None:
    rng = np.random.default_rng(1)
    known, other = rows(rng, 200, 0.2), rows(rng, 200, 2)
    assert (detector.score(known.appearance, known.embedding) > detector.threshold).mean() <= 0.08
    assert (detector.score(other.appearance, other.embedding) > detector.threshold).mean() >= 0.98
    appearances = [known.appearance[1], other.appearance[1], None]
    embedding = np.stack([known.embedding[1], other.embedding[1], other.embedding[2]])
    assert mark_unlike(detector, ["ok", "unsure", "unsure"], appearances, embedding) == [
        "ok",
        "unlike-training",
        "unsure",
    ]


def test_a_field_without_nuclei_microtubules_and_er_is_marked(detector: Detector) -> None:
    blank = np.full((1, K), np.nan, np.float32)
    green = blank.copy()
    green[0, len(PER_PLANE) : 2 * len(PER_PLANE)] = 0
    for appearance in (blank, green):
        assert detector.score(appearance, np.zeros((1, 5), np.float32))[0] > detector.threshold


def test_one_odd_measure_is_not_enough(detector: Detector) -> None:
    """Such as the skewness that a scale bar causes in an almost empty channel."""
    odd = np.zeros((1, K), np.float32)
    odd[0, 2] = 1000
    assert detector.score(odd, np.zeros((1, 5), np.float32))[0] < detector.threshold


def test_the_threshold_is_conformal() -> None:
    scores = np.arange(99.0)
    assert find_threshold(scores, 0.05) == 94  # rank ⌈100 × 0.95⌉: 5 of 100 new scores are above on average
    assert find_threshold(scores, 0.001) == 98
    rng = np.random.default_rng(2)
    alarms = [float((rng.normal(size=500) > find_threshold(rng.normal(size=99), 0.05)).mean()) for _ in range(200)]
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.01)


def test_distances_leave_out_what_is_missing() -> None:
    found = measure_distances(np.array([[3.0, np.nan], [3.0, 4.0], [np.nan, np.nan]]), np.diag([9.0, 4.0]))
    np.testing.assert_allclose(found, [1, np.sqrt((1 + 4) / 2), MAX_DISTANCE])


def test_a_model_without_embeddings() -> None:
    rng = np.random.default_rng(3)
    fit = fit_detector(rows(rng, 120, 0, d=0), None, rows(rng, 60, 2, d=0), 0.05)
    other = rows(rng, 50, 2, d=0)
    assert (fit.detector.score(other.appearance, None) > fit.detector.threshold).mean() >= 0.95
    assert len(fit.held_out) == 60  # two rows of one field count once
    assert fit.unlike >= 0.95


def test_it_is_read_as_it_was_written(bundle: Bundle, detector: Detector, tiny_bundle: Path) -> None:
    read = read_detector(bundle)
    assert read is not None
    some = rows(np.random.default_rng(4), 20, 1)
    np.testing.assert_allclose(
        read.score(some.appearance, some.embedding), detector.score(some.appearance, some.embedding), atol=1e-3
    )
    assert read_detector(read_bundle(tiny_bundle)) is None


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"schema": np.array(2)}, Code.UNSUPPORTED_VERSION, "schema 2, newer than 1"),
        ({"names": np.array(["a"] * K)}, Code.UNSUPPORTED_VERSION, "other measures"),
        ({"weights": np.zeros(3, np.float32)}, Code.CORRUPT, r"weights has \(3,\)"),
        ({"scale": np.full(K, np.nan, np.float32)}, Code.CORRUPT, "scale has"),
        ({"threshold": np.array(np.nan, np.float32)}, Code.CORRUPT, "threshold nan"),
    ],
)
def test_other_schemas_and_damage(bundle: Bundle, change: dict[str, np.ndarray], code: Code, message: str) -> None:
    assert bundle.detector is not None
    with np.load(io.BytesIO(bundle.detector)) as arrays:
        values = {name: arrays[name] for name in arrays.files} | change
    data = io.BytesIO()
    np.savez(data, **values)
    with pytest.raises(LociscopeError, match=message) as error:
        read_detector(replace(bundle, detector=data.getvalue()))
    assert error.value.code == code


def test_a_truncated_file(bundle: Bundle) -> None:
    assert bundle.detector is not None
    with pytest.raises(LociscopeError, match="damaged") as error:
        read_detector(replace(bundle, detector=bundle.detector[:1000]))
    assert error.value.code == Code.CORRUPT


def test_variants_are_a_crop_and_empty_channels() -> None:
    from lociscope.images.field import Field

    pixels = np.random.default_rng(0).integers(1, 255, (64, 64, 4)).astype(np.uint8)
    same, crop, no_er, no_red = make_variants(Field("a", pixels), 1)
    assert same.pixels is pixels
    assert crop.pixel_size == pytest.approx(164 / 64)
    assert 25 <= len(crop.pixels) < 58
    assert not no_er.pixels[..., 3].any()
    assert not no_red.pixels[..., 0].any()
    assert no_red.pixels[..., 1:].all()
