"""The two scales of a field, and means over zones."""

from __future__ import annotations

import numpy as np
import pytest

from lociscope.images.segmentation.compartments import NUCLEAR, OUTER, find_compartments
from lociscope.images.segmentation.stack import CELL_ZONES, Means, block_means, correlate, gaussian_blur, log_ratio
from lociscope.simulate import simulate_field


def test_blocks_are_means() -> None:
    image = np.random.default_rng(0).random((12, 8)).astype(np.float32)
    np.testing.assert_allclose(block_means(image, 2), image.reshape(6, 2, 4, 2).mean(axis=(1, 3)), rtol=1e-6)
    assert block_means(image, 1) is image


@pytest.mark.parametrize("sigma", [0.5, 1.0, 4.0])
def test_blur_keeps_the_mean(sigma: float) -> None:
    image = np.zeros((65, 65), np.float32)
    image[32, 32] = 1
    assert gaussian_blur(image, sigma).sum() == pytest.approx(1, abs=1e-5)


def test_ratios_of_nothing_are_even() -> None:
    assert log_ratio(0.0, 0.0) == log_ratio(-1.0, 0.0) == 0
    assert log_ratio(0.4, 0.1) > 1.9


def test_means_and_correlations_equal_numpys() -> None:
    field = simulate_field(2, size=256)
    zones = find_compartments(field.pixels, 0.64)
    means = Means(zones)
    red, green = (field.pixels[..., channel].astype(np.float32) for channel in (0, 1))
    (level,) = means.over(green, NUCLEAR)
    inner, outer = correlate(means, red, green, CELL_ZONES, OUTER)
    for row in range(0, len(zones), 5):
        own = zones.cells == row + 1
        nucleus, cytoplasm = own & np.isin(zones.zones, NUCLEAR), own & np.isin(zones.zones, OUTER)
        if nucleus.sum() >= 6:
            assert level[row] == pytest.approx(green[nucleus].mean(), rel=1e-5)
        if cytoplasm.sum() >= 6:
            assert outer[row] == pytest.approx(np.corrcoef(red[cytoplasm], green[cytoplasm])[0, 1], abs=1e-4)
        assert inner[row] == pytest.approx(np.corrcoef(red[own], green[own])[0, 1], abs=1e-4)
