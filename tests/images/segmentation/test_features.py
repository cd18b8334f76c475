"""Compartment features: what they say of places whose truth is known."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from lociscope.channels import RED, YELLOW
from lociscope.errors import LociscopeError
from lociscope.images.segmentation.cell_measures import CELL_FEATURES
from lociscope.images.segmentation.features import FEATURES, FIELD_FEATURES, compute_features
from lociscope.simulate import simulate_field

PIXEL = 0.4


@cache
def features_of(label: int, index: int) -> np.ndarray:
    field = simulate_field(index, seed=11, size=384, pixel_size=PIXEL, locations=(label,), cell_line="U-2 OS")
    return compute_features(field.pixels, PIXEL)


def of(label: int, name: str, index: int = 4) -> float:
    return float(features_of(label, index)[FEATURES.index(name)])


def test_the_names_are_fixed_and_single() -> None:
    assert len(FEATURES) == len(set(FEATURES)) == 2 * len(CELL_FEATURES) + len(FIELD_FEATURES) == 162


@pytest.mark.parametrize(
    ("name", "label", "other"),
    [
        ("share.nucleus.mean", 0, 25),
        ("zone.nucleoli.mean", 2, 0),
        ("zone.rim.mean", 1, 25),
        ("zone.edge.mean", 21, 7),
        ("match.fine_cytoplasm_red.mean", 14, 25),
        ("match.cytoplasm_yellow.mean", 6, 21),
        ("focus.core.mean", 19, 25),
        ("nucleus.spot_number.mean", 4, 0),
        ("turn.coherence.mean", 12, 25),
        ("peak.height.mean", 7, 25),
    ],
)
def test_a_feature_distinguishes_its_location_from_another(name: str, label: int, other: int) -> None:
    assert np.mean([of(label, name, i) for i in (4, 8)]) > np.mean([of(other, name, i) for i in (4, 8)])


def test_bits_and_exposure_hardly_matter() -> None:
    pixels = simulate_field(0, size=256).pixels
    eight, sixteen = (compute_features(each, 0.64) for each in (pixels, pixels.astype(np.uint16) * 257))
    np.testing.assert_allclose(eight, sixteen, atol=1e-4)


def test_a_finer_field_gives_nearly_the_same() -> None:
    pixels = simulate_field(0, size=512).pixels
    finer = pixels.repeat(2, axis=0).repeat(2, axis=1)
    plain, doubled = compute_features(pixels), compute_features(finer)
    np.testing.assert_allclose(doubled, plain, atol=1e-3)


def test_features_of_a_missing_stain_are_nan() -> None:
    pixels = simulate_field(0, size=256).pixels.copy()
    pixels[..., [RED, YELLOW]] = 0
    values = dict(zip(FEATURES, compute_features(pixels), strict=True))
    unknown = {name for name, value in values.items() if np.isnan(value)}
    assert {"match.red.mean", "match.yellow.high", "focus.core.mean", "turn.red.mean", "field.bundle_green"} <= unknown
    assert all(any(word in name for word in ("red", "yellow", "focus", "bundle")) for name in unknown)


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (64, 64)])
@pytest.mark.parametrize("value", [0, 255])
def test_nothing_to_see_is_no_error(shape: tuple[int, int], value: int) -> None:
    values = compute_features(np.full((*shape, 4), value, np.uint8))
    assert values.shape == (len(FEATURES),)
    assert not np.isinf(values).any()


def test_noise_is_no_error() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 90, 4), np.uint8)
    assert not np.isinf(compute_features(noise, 0.3)).any()


def test_arrays_that_are_not_fields_are_refused() -> None:
    with pytest.raises(LociscopeError, match="channels RGBY"):
        compute_features(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(LociscopeError, match="above 0"):
        compute_features(np.zeros((8, 8, 4), np.uint8), -1.0)
