"""Masks as numbers, beside the same operations on arrays."""

from __future__ import annotations

import numpy as np
import pytest

from lociscope.images.bit_masks import count_squares, dilate, fill, mark_all, mark_edge, pack_mask, unpack_mask

SHAPES = [(1, 1), (3, 8), (8, 7), (17, 31), (128, 128)]


def make_mask(shape: tuple[int, int], share: float = 0.4) -> np.ndarray:
    mask: np.ndarray = np.random.default_rng(shape[0]).random(shape) < share
    return mask


def dilate_array(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    grown: np.ndarray = mask | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return grown


@pytest.mark.parametrize("shape", SHAPES)
def test_a_mask_is_unpacked_as_it_was_packed(shape: tuple[int, int]) -> None:
    mask = make_mask(shape)
    np.testing.assert_array_equal(unpack_mask(pack_mask(mask), *shape), mask)
    assert pack_mask(mask).bit_count() == mask.sum()


@pytest.mark.parametrize("shape", SHAPES)
def test_pixels_grow_to_their_direct_neighbours_and_not_around_the_edge(shape: tuple[int, int]) -> None:
    mask = make_mask(shape, 0.05)
    grown = dilate(pack_mask(mask), mark_all(*shape), shape[1] + 1, 2)
    np.testing.assert_array_equal(unpack_mask(grown, *shape), dilate_array(dilate_array(mask)))


def test_filling_reaches_what_is_connected() -> None:
    mask = np.zeros((9, 9), bool)
    mask[0, 2:5] = mask[0:6, 4] = mask[5, 2:5] = True
    mask[3:5, 7] = True  # not at the edge of the frame
    bits = pack_mask(mask)
    found = unpack_mask(fill(bits & mark_edge(9, 9), bits, 10), 9, 9)
    expected = mask.copy()
    expected[:, 7] = False
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_squares_are_counted_as_in_an_array(shape: tuple[int, int]) -> None:
    mask = make_mask(shape)
    padded = np.pad(mask, 1).astype(int)
    squares = padded[:-1, :-1] + 2 * padded[:-1, 1:] + 4 * padded[1:, :-1] + 8 * padded[1:, 1:]
    counts = np.bincount(squares.ravel(), minlength=16)
    one, beside = counts[[1, 2, 4, 8]].sum(), counts[[3, 5, 10, 12]].sum()
    diagonal, three = counts[[6, 9]].sum(), counts[[7, 11, 13, 14]].sum()
    assert count_squares(pack_mask(mask), shape[1] + 1) == (one, beside, diagonal, three)
