"""Nuclei and cells by watershed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.channels import BLUE, CHANNEL_NAMES
from lociscope.errors import LociscopeError
from lociscope.images.segmentation.cells import Cells, find_cells, find_nuclei
from lociscope.simulate import simulate_field

if TYPE_CHECKING:
    from pathlib import Path

PIXEL = 0.32


def f1(found: np.ndarray, truth: np.ndarray, least: int) -> float:
    """2 TP / (found + true) of objects of at least `least` px, at an overlap (IoU) above 0.5."""
    pairs = np.zeros((int(found.max()) + 1, int(truth.max()) + 1))
    np.add.at(pairs, (found.ravel(), truth.ravel().astype(int)), 1)
    rows, columns = pairs.sum(axis=1), pairs.sum(axis=0)
    overlap = pairs / np.maximum(rows[:, None] + columns[None] - pairs, 1)
    mine, theirs = rows[1:] >= least, columns[1:] >= least
    hits = (overlap[1:, 1:][mine][:, theirs] > 0.5).any(axis=0).sum()
    return float(2 * hits / (mine.sum() + theirs.sum()))


def discs(*centres: tuple[float, float, float], size: int = 128) -> np.ndarray:
    y, x = np.indices((size, size))
    inside = np.any([np.hypot(y - cy, x - cx) < r for cy, cx, r in centres], axis=0)
    return np.where(inside, np.float32(100), np.float32(0))


def test_simulated_nuclei_and_cells_are_found() -> None:
    nuclear, whole = [], []
    for index in (0, 6, 12, 18):
        field = simulate_field(index, size=512, pixel_size=PIXEL, locations=(25,))
        found = find_cells(field.pixels, PIXEL)
        nuclear.append(f1(found.nuclei, field.nuclei, 120))
        whole.append(f1(found.cells, field.cells, 400))
    assert np.mean(nuclear) > 0.9
    assert np.mean(whole) > 0.75


def test_parts_of_cells_at_the_edge_are_cells_without_nucleus() -> None:
    whole = simulate_field(70, seed=771, size=512, pixel_size=PIXEL)
    found = find_cells(whole.pixels, PIXEL, parts=True)
    joined = find_cells(whole.pixels, PIXEL)
    nucleated, every = int(found.nuclei.max()), len(found)
    assert len(joined) == nucleated < every
    np.testing.assert_array_equal(found.nuclei, joined.nuclei)
    edge = np.zeros(found.cells.shape, np.bool_)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    for number in range(nucleated + 1, every + 1):
        part = found.cells == number
        assert (part & edge).any()
        assert not found.nuclei[part].any()
        assert part.sum() * PIXEL**2 > 140
    assert f1(found.cells, whole.cells, 400) > f1(joined.cells, whole.cells, 400) + 0.05


def test_real_cells_agree_with_the_masks_of_2021(real_data: Path) -> None:
    from PIL import Image

    scores = []
    for mask in sorted((real_data / "hpa2021" / "masks").glob("*_predictedmask.png")):
        name = mask.name.removesuffix("_predictedmask.png")
        planes = [Image.open(real_data / "hpa2021" / "train" / f"{name}_{c}.png") for c in CHANNEL_NAMES]
        truth = Image.open(mask).resize(planes[0].size, Image.Resampling.NEAREST)
        found = find_cells(np.stack([np.asarray(plane) for plane in planes], axis=-1), 0.08)
        scores.append(f1(found.cells[::4, ::4], np.asarray(truth)[::4, ::4], 1))
    assert np.mean(scores) > 0.85  # 0.93 on 3 fields, 2026-11-24


@pytest.mark.parametrize(("apart", "number"), [(17, 2), (4, 1)])
def test_touching_nuclei_are_separated_at_constrictions(apart: int, number: int) -> None:
    blue = discs((64, 50, 9), (64, 50 + apart, 9))
    assert find_nuclei(blue, 0.64).max() == number


def test_debris_is_no_nucleus() -> None:
    assert find_nuclei(discs((40, 40, 9), (90, 90, 1.5)), 0.64).max() == 1


def test_a_cell_holds_its_nucleus_and_numbers_have_no_gap() -> None:
    found = find_cells(simulate_field(3, size=256).pixels, 0.64)
    assert set(np.unique(found.nuclei)) == set(range(len(found) + 1))
    inside = found.nuclei > 0
    np.testing.assert_array_equal(found.cells[inside], found.nuclei[inside])


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (65, 129)])
def test_any_size_has_cells_of_its_size(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 4), np.uint8)
    found = find_cells(pixels, 0.2)
    assert found.nuclei.shape == found.cells.shape == shape


def test_without_dna_there_is_no_cell() -> None:
    pixels = simulate_field(1, size=256).pixels.copy()
    pixels[..., BLUE] = 3
    assert len(find_cells(pixels, 0.64)) == 0


def test_depth_of_bits_does_not_matter() -> None:
    pixels = simulate_field(5, size=256).pixels
    eight, sixteen = (find_cells(each, 0.64) for each in (pixels, pixels.astype(np.uint16) * 257))
    for name in Cells.__slots__:
        np.testing.assert_array_equal(getattr(eight, name), getattr(sixteen, name))


def test_a_pixel_size_is_positive() -> None:
    with pytest.raises(LociscopeError, match="above 0"):
        find_cells(np.zeros((8, 8, 4), np.uint8), 0)
