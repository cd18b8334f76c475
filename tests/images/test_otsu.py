"""Otsu's threshold separates bright objects from the background."""

from __future__ import annotations

import numpy as np
import pytest

from lociscope.images.otsu import find_bright, find_threshold, make_histogram


def test_bright_objects_are_found() -> None:
    plane = np.random.default_rng(0).normal(10, 2, (64, 64)).astype(np.float32)
    plane[20:40, 20:40] += 100
    bright = find_bright(plane)
    assert bright[20:40, 20:40].all()
    assert bright.sum() == 400


def test_the_threshold_is_that_of_scikit_image() -> None:
    filters = pytest.importorskip("skimage.filters")
    plane = np.random.default_rng(1).choice([20, 30, 200, 220], (64, 64), p=[0.5, 0.3, 0.1, 0.1]).astype(np.uint8)
    counts = np.bincount(plane.ravel(), minlength=256)
    criterion, threshold = find_threshold(*make_histogram(counts, np.flatnonzero(counts)))
    np.testing.assert_array_equal(plane >= threshold, plane > filters.threshold_otsu(plane))
    assert 0.95 < criterion <= 1
