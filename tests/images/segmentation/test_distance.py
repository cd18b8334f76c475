"""Tests of the distances within a mask."""

from __future__ import annotations

import numpy as np
import pytest

from lociscope.images.segmentation.distance import measure_depth

ndimage = pytest.importorskip("scipy.ndimage")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (40, 3), (64, 97)])
def test_equals_scipy(shape: tuple[int, int], share: float) -> None:
    rng = np.random.default_rng(3)
    mask = ndimage.gaussian_filter(rng.random(shape), 2)
    mask = mask > np.quantile(mask, 1 - share)
    mask.flat[0] = False
    np.testing.assert_allclose(measure_depth(mask), ndimage.distance_transform_edt(mask), atol=1e-4)


def test_a_full_mask_has_no_end() -> None:
    assert np.isinf(measure_depth(np.ones((5, 7), bool))).all()
    assert measure_depth(np.zeros((5, 7), bool)).max() == 0


def test_short_distances_are_right_within_reach() -> None:
    mask = np.ones((60, 50), bool)
    mask[:, 0] = False
    mask[20, 30] = False
    whole, near = measure_depth(mask), measure_depth(mask, reach=4)
    np.testing.assert_array_equal(near[whole < 4], whole[whole < 4])
    assert (near[whole >= 4] >= 4).all()
