"""Hot and dead pixels, against the criterion written out pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from lociscope.images import outliers, scale
from lociscope.images.outliers import FAR, FAR_ISOLATION, ISOLATION, MIN_STEP, replace_outliers


def mirrored(at: int, size: int) -> int:
    at = abs(at)
    return at if at < size else 2 * size - 2 - at


def expected(pixels: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Every pixel beyond the bounds, compared with its eight neighbours."""
    height, width, channels = pixels.shape
    result = pixels.copy()
    for y, x, c in np.ndindex(height, width, channels):
        value = float(pixels[y, x, c])
        if low[c] <= value <= high[c]:
            continue
        sign, span = (1 if value > high[c] else -1), float(high[c] - low[c])
        around = [(y + j, x + i) for j in (-1, 0, 1) for i in (-1, 0, 1) if j or i]
        ring = sorted(sign * float(pixels[mirrored(j, height), mirrored(i, width), c]) for j, i in around)
        mean = sum(ring[:-1]) / 7
        step = sign * value - mean
        far = step > FAR * span
        spread = (ring[-2] if far else ring[-1]) - ring[0]
        if step > MIN_STEP * span and step > (FAR_ISOLATION if far else ISOLATION) * spread:
            result[y, x, c] = round(sign * mean) if pixels.dtype.kind == "u" else sign * mean
    return result


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(3, 3, 4), (19, 31, 4), (32, 16, 1), (16, 24, 3)])
@pytest.mark.parametrize("threads", [1, 3])
def test_hot_and_dead_pixels_in_any_layout(
    monkeypatch: pytest.MonkeyPatch, kind: type[np.number], shape: tuple[int, int, int], threads: int
) -> None:
    monkeypatch.setattr(outliers, "PART_BYTES", 100)  # several parts
    monkeypatch.setattr(outliers, "PARALLEL_BYTES", 0)
    rng = np.random.default_rng(1)
    pixels = rng.integers(100, 104, shape).astype(kind)
    for y, x, value in ((0, 0, 250), (shape[0] - 1, shape[1] - 1, 0), (1, 0, 250), (1, 2, 0), (2, 1, 250)):
        pixels[y, x, rng.integers(shape[2])] = value
    low, high = np.full(shape[2], 100.5), np.full(shape[2], 103.5)
    wanted = expected(pixels, low, high)
    assert shape == (3, 3, 4) or (wanted != pixels).any()  # the smallest has more outliers than others
    planar = np.moveaxis(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)), 0, -1)
    strided = np.repeat(pixels, 2, axis=1)[:, ::2]
    for layout in (pixels, planar, strided):
        np.testing.assert_allclose(replace_outliers(layout, low, high, threads), wanted, rtol=1e-6)


def test_bounds_without_an_integer_between_them() -> None:
    pixels = np.full((8, 8, 1), 3, np.uint8)
    pixels[4, 4] = 200
    found = replace_outliers(pixels, np.array([3.2]), np.array([3.4]))
    assert found[4, 4, 0] == 3


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_threads_and_layout_do_not_change_the_mean_over_blocks(
    monkeypatch: pytest.MonkeyPatch, kind: type[np.number]
) -> None:
    monkeypatch.setattr(scale, "PARALLEL_BYTES", 0)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 4)).astype(kind)
    planar = np.moveaxis(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)), 0, -1)
    for down, right in ((1, 1), (1, 4), (4, 1), (2, 2), (8, 8), (3, 16)):
        mean = pixels.reshape(48 // down, down, 64 // right, right, 4).mean(axis=(1, 3), dtype=np.float64)
        for layout in (pixels, planar, np.repeat(pixels, 2, axis=1)[:, ::2]):
            for threads in (1, 3):
                found = scale.block_mean(layout, down, right, threads)
                np.testing.assert_allclose(found, mean, rtol=1e-6)
