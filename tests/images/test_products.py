"""Sums of products without BLAS: the values are those of products of matrices."""

from __future__ import annotations

import numpy as np
import pytest

from lociscope.images.products import sum_products, sum_products_of_rows


@pytest.mark.parametrize("shape", [(0,), (7,), (256, 256)])
def test_a_sum_is_that_of_exact_products(shape: tuple[int, ...]) -> None:
    one, two = np.random.default_rng(0).normal(1, 1, (2, *shape)).astype(np.float32)
    exact = float((one.astype(float) * two).sum())
    assert sum_products(one, two) == pytest.approx(exact, rel=1e-5)
    assert sum_products(one[::2], two[::2]) == pytest.approx(float((one[::2].astype(float) * two[::2]).sum()), rel=1e-5)


def test_rows_are_multiplied_as_matrices_are() -> None:
    random = np.random.default_rng(1)
    one, two = (random.normal(1, 1, (rows, 40_000)).astype(np.float32) for rows in (4, 5))
    sums = sum_products_of_rows(one, two)
    assert sums.dtype == np.float32
    np.testing.assert_allclose(sums, one.astype(float) @ two.T.astype(float), rtol=1e-5)
