"""A field's statistics: what each says moves when that changes, and stands still when the depth does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lociscope.artifacts.card import InputSpec
from lociscope.images.preprocess import preprocess, sample_pixels
from lociscope.images.quality import InputMeasures
from lociscope.images.statistics import PER_CHANNEL, STATISTICS, compute_statistics, estimate_full_scale
from lociscope.simulate import simulate_field

if TYPE_CHECKING:
    from collections.abc import Callable

SPEC = InputSpec(height=64, width=64, low=0.5, high=99.9)


@pytest.fixture(scope="module")
def field() -> np.ndarray:
    return simulate_field(4, seed=1, size=256).pixels


def measured(pixels: np.ndarray) -> dict[str, float]:
    whole = preprocess(pixels, SPEC.height, SPEC.width, SPEC)
    values = compute_statistics(whole, InputMeasures(whole.pixels))
    assert values.dtype == np.float32
    return dict(zip(STATISTICS, values.tolist(), strict=True))


def blurred(pixels: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(pixels, (4, 4, 0)))


def noisy(pixels: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 60, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def test_names_are_one_each() -> None:
    assert len(set(STATISTICS)) == len(STATISTICS) == 4 * len(PER_CHANNEL) + 6


@pytest.mark.parametrize(
    ("shift", "name", "sign"),
    [
        (lambda x: (x * 0.5).astype(np.uint8), "BrightIntensity_green", -1),
        (lambda x: np.minimum(x.astype(int) + 20, 255).astype(np.uint8), "BackgroundIntensity_blue", 1),
        (lambda x: np.minimum(x.astype(int) + 20, 255).astype(np.uint8), "MedianIntensity_red", 1),
        (blurred, "PowerLogLogSlope_red", -1),
        (noisy, "PowerLogLogSlope_blue", 1),
        (noisy, "parts_blue", -1),
        (lambda x: np.minimum(x.astype(int) * 9, 255).astype(np.uint8), "PercentMaximal_yellow", 1),
        (lambda x: x[..., [2, 1, 0, 3]], "parts_red", 1),
        (lambda x: x[..., [2, 1, 0, 3]], "Correlation_red_yellow", -1),
    ],
)
def test_each_statistic_changes_with_its_cause(
    field: np.ndarray, shift: Callable[[np.ndarray], np.ndarray], name: str, sign: int
) -> None:
    before, after = measured(field)[name], measured(shift(field))[name]
    assert sign * (after - before) > 0.01 * max(abs(before), 1)


@pytest.mark.parametrize("change", [lambda x: x.astype(np.uint16) * 257, lambda x: x.astype(np.float32) / 255])
def test_the_depth_of_the_file_does_not_matter(field: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> None:
    field = field.copy()
    field[0, 0] = 255
    np.testing.assert_allclose(list(measured(change(field)).values()), list(measured(field).values()), atol=0.05)


@settings(max_examples=40)
@given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(4))))
def test_any_field_has_finite_statistics(pixels: np.ndarray) -> None:
    assert np.isfinite(list(measured(pixels).values())).all()


@pytest.mark.parametrize("shape", [(9, 9, 4), (32, 32, 4), (1, 1, 4)])
def test_an_empty_and_a_tiny_input_have_finite_statistics(shape: tuple[int, ...]) -> None:
    values = measured(np.full(shape, 7, np.uint16))
    assert np.isfinite(list(values.values())).all()
    assert values["Correlation_red_green"] == 0


@pytest.mark.parametrize(
    ("kind", "top", "scale"),
    [
        (np.uint8, 3, 255),
        (np.uint16, 255, 255),
        (np.uint16, 256, 1023),
        (np.uint16, 4095, 4095),
        (np.uint16, 4096, 16383),
        (np.uint16, 65535, 65535),
        (np.float32, 0, 1),
        (np.float32, 1, 1),
        (np.float32, 1.5, 255),
        (np.float32, 4000.5, 4095),
        (np.float32, 70_000, 70_000),
    ],
)
def test_full_scale_is_judged_by_type_and_bright_end(kind: type[np.number], top: float, scale: float) -> None:
    pixels = np.full((40, 40, 2), top, kind)
    pixels[3, 4, 0] = 60_000 if kind == np.uint16 else pixels[3, 4, 0]  # a hot pixel
    assert estimate_full_scale(sample_pixels(pixels)) == scale
