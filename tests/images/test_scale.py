"""Resampling by area, and percentiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lociscope.images.scale import percentiles, resize

PIXELS = np.random.default_rng(0).integers(0, 65536, (48, 60, 2), np.uint16)


def area_mean(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Every pixel cut into as many parts as it takes, then a plain mean over whole blocks."""
    rows, columns, channels = pixels.shape
    parts = pixels.astype(float).repeat(height, axis=0).repeat(width, axis=1)
    mean: np.ndarray = parts.reshape(height, rows, width, columns, channels).mean(axis=(1, 3))
    return mean


# === resize ===


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize(
    "size", [(48, 60), (24, 30), (12, 4), (1, 1), (48, 30), (47, 59), (13, 17), (32, 40), (48, 7), (5, 60), (36, 45)]
)
def test_shrinking_is_the_exact_mean_over_the_area(kind: type[np.number], size: tuple[int, int]) -> None:
    pixels = (PIXELS / 65535).astype(kind) if np.issubdtype(kind, np.floating) else PIXELS.astype(kind)
    small = resize(pixels, *size)
    assert small.shape == (*size, 2)
    assert small.dtype == np.float32
    np.testing.assert_allclose(small, area_mean(pixels, *size), rtol=2e-6, atol=1e-6)


@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 24), st.integers(1, 24))
def test_the_mean_stays_and_a_constant_stays(rows: int, columns: int, height: int, width: int) -> None:
    pixels = PIXELS[:rows, :columns]
    small = resize(pixels, height, width)
    assert small.shape == (height, width, 2)
    if height <= rows and width <= columns:
        np.testing.assert_allclose(small.mean(axis=(0, 1)), pixels.mean(axis=(0, 1)), rtol=1e-5)
    constant = resize(np.full((rows, columns, 1), 1234, np.uint16), height, width)
    np.testing.assert_allclose(constant, 1234, rtol=1e-6)


def test_enlarging_is_linear_between_the_centres_of_pixels() -> None:
    pixels = np.array([0, 100, 300], np.uint16).reshape(1, 3, 1)
    assert resize(pixels, 1, 6).ravel().tolist() == [0, 25, 75, 150, 250, 300]
    assert resize(pixels.reshape(3, 1, 1), 6, 1).ravel().tolist() == [0, 25, 75, 150, 250, 300]
    assert resize(np.full((1, 1, 2), 7, np.uint8), 3, 5).tolist() == [[[7, 7]] * 5] * 3


def test_one_axis_may_shrink_while_the_other_grows() -> None:
    pixels = np.array([[0, 100], [200, 300]], np.uint16)[..., None]
    np.testing.assert_allclose(resize(pixels, 1, 4)[0, :, 0], [100, 125, 175, 200])


# === percentiles ===


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(1, 4), (2, 4), (1000, 4), (77,), (3, 500)])
def test_percentiles_are_numpys(kind: type, shape: tuple[int, ...]) -> None:
    values: np.ndarray = (np.random.default_rng(0).random(shape) * 200).astype(kind)
    at = (0, 0.5, 33.3, 99.9, 100)
    np.testing.assert_allclose(percentiles(values, at), np.percentile(values.astype(float), at, axis=-1), rtol=1e-6)
