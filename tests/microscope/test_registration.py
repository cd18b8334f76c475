from __future__ import annotations

import numpy as np
import pytest

from lociscope.microscope.registration import PlacedImage, measure_displacement

pytest.importorskip("skimage")

SCENE = np.random.default_rng(0).normal(0, 1, (80, 80, 4)).repeat(4, 0).repeat(4, 1)
"""Blocks of 4 px of 0.5 µm, centred at x 0, y 0."""


def take(x: float, y: float, side: int, seed: int = 1, binning: int = 1) -> PlacedImage:
    """What a camera sees at a stage position that is a multiple of a pixel, with noise and another protein."""
    column, row = round(160 + x / 0.5), round(160 - y / 0.5)
    pixels = SCENE[row - side // 2 : row + side // 2, column - side // 2 : column + side // 2].copy()
    pixels += np.random.default_rng(seed).normal(0, 0.3, pixels.shape)
    pixels[..., 1] = np.random.default_rng(seed).normal(0, 9, pixels.shape[:2])
    pixels = pixels.reshape(side // binning, binning, side // binning, binning, 4).mean((1, 3))
    return PlacedImage(1000 + 100 * pixels, 0.5 * binning, x, y)


def moved(image: PlacedImage, x: float, y: float) -> PlacedImage:
    return PlacedImage(image.pixels, image.pixel_size, image.x - x, image.y - y)


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (6.0, -3.5), (-9.0, 11.0)])
@pytest.mark.parametrize(("at_x", "at_y", "side", "binning"), [(0, 0, 160, 1), (20, -10, 96, 1), (0, 0, 160, 2)])
def test_the_displacement_is_found(x: float, y: float, at_x: float, at_y: float, side: int, binning: int) -> None:
    reference = take(0, 0, 160)
    found = measure_displacement(reference, moved(take(at_x + x, at_y + y, side, seed=2, binning=binning), x, y))
    assert found == pytest.approx((x, y), abs=0.3)


def test_other_cells_are_not_registered() -> None:
    assert measure_displacement(take(-35, 0, 160), moved(take(35, 0, 160), 70, 0)) is None


def test_images_that_share_too_little_are_not_registered() -> None:
    assert measure_displacement(take(0, 0, 64), take(30, 0, 64)) is None


def test_blank_images_are_not_registered() -> None:
    blank = PlacedImage(np.zeros((64, 64, 4), np.uint16), 0.5, 0, 0)
    assert measure_displacement(take(0, 0, 64), blank) is None
    assert measure_displacement(blank, blank) is None
