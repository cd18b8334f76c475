"""The same cells are recognised, and others are not mistaken for them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lociscope.data.similarity import MIN_SIMILARITY, WINDOWS, find_similar_pairs, similarity, thumbnail
from lociscope.images.scale import resize

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = 160


def field(seed: int, grain: int = 16) -> np.ndarray:
    """Spots of a few sizes in four channels."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((grain, grain, 4)).astype(np.float32) ** 3
    pixels = resize(coarse, SIDE, SIDE) * 200 + rng.random((SIDE, SIDE, 4)) * 20
    return pixels.astype(np.uint8)


def jpeg(pixels: np.ndarray) -> np.ndarray:
    planes = []
    for channel in range(4):
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels[..., channel])).save(file, "JPEG", quality=60)
        planes.append(np.asarray(Image.open(file)))
    return np.stack(planes, axis=-1)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "nothing": lambda pixels: pixels,
    "flipped": lambda pixels: pixels[::-1],
    "mirrored": lambda pixels: pixels[:, ::-1],
    "turned": lambda pixels: np.rot90(pixels, 1),
    "turned and flipped": lambda pixels: np.rot90(pixels, 3)[::-1],
    "another bit depth": lambda pixels: pixels.astype(np.uint16) * 257,
    "darker": lambda pixels: pixels // 2 + 10,
    "smaller": lambda pixels: np.rint(resize(pixels, 100, 100)).astype(np.uint8),
    "encoded again": jpeg,
    "cropped in a corner": lambda pixels: pixels[16:, :-16],
    "cropped in the middle": lambda pixels: pixels[8:-8, 8:-8],
    "cropped a little": lambda pixels: pixels[3:-2, 5:],
    "all at once": lambda pixels: jpeg(np.rot90(pixels[5:-11, 2:-14], 3)),
}


@pytest.fixture(scope="module")
def fields() -> np.ndarray:
    """The thumbnails of twelve fields."""
    return np.stack([thumbnail(field(seed)) for seed in range(12)])


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_field_is_found_among_others(change: Callable[[np.ndarray], np.ndarray], fields: np.ndarray) -> None:
    copy = thumbnail(change(field(5)))[None]
    for pairs in (find_similar_pairs(fields, copy), find_similar_pairs(np.concatenate([fields, copy]))):
        assert len(pairs) == 1
        assert pairs[0].one == 5
        assert pairs[0].similarity > 0.8
    assert find_similar_pairs(copy, fields)[0][:2] == (0, 5)


@given(st.integers(0, 10_000), st.sampled_from([6, 16, 40]))
@settings(max_examples=10)  # of 45 pairs each
def test_different_fields_are_not_similar(seed: int, grain: int) -> None:
    fields = np.stack([thumbnail(field(seed + number, grain)) for number in range(10)])
    assert find_similar_pairs(fields) == []


def test_two_fields_of_one_specimen_are_not_similar() -> None:
    pytest.importorskip("scipy")
    from lociscope.simulate import simulate_field

    fields = [simulate_field(number, seed=3, size=128) for number in range(8)]
    assert fields[0].specimen == fields[1].specimen
    assert find_similar_pairs(np.stack([thumbnail(made.pixels) for made in fields])) == []


def test_empty_channels_and_fields() -> None:
    no_er = field(1)
    no_er[..., 3] = 0
    black = np.zeros_like(no_er)
    fields = np.stack([thumbnail(pixels) for pixels in (no_er, no_er[:, ::-1], field(2), black, black)])
    assert [pair[:2] for pair in find_similar_pairs(fields)] == [(0, 1)]
    assert similarity(fields[0], fields[1]) == pytest.approx(1, abs=1e-5)
    assert similarity(fields[3], fields[0]) == 0


def test_a_channel_that_one_of_them_lacks_counts_against() -> None:
    whole, lacking = field(1), field(1)
    lacking[..., 1:] = 0
    assert similarity(thumbnail(whole), thumbnail(lacking)) == pytest.approx(0.25, abs=0.01)
    assert MIN_SIMILARITY > 0.25


def test_windows_lie_within_the_field() -> None:
    assert len(WINDOWS) == 26
    for window in WINDOWS:
        assert min(window) >= 0
        assert max(window.top, window.left) + window.side <= 1 + 1e-9


def test_one_field_and_none() -> None:
    one = thumbnail(field(0))[None]
    assert (
        find_similar_pairs(one)
        == find_similar_pairs(one[:0])
        == find_similar_pairs(one, one[:0])
        == find_similar_pairs(one[:0], one)
        == []
    )
