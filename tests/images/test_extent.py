"""Rescaling of fields."""

from __future__ import annotations

import numpy as np
import pytest

from lociscope.artifacts.card import InputSpec
from lociscope.errors import Code, LociscopeError
from lociscope.images.extent import MAX_TILES, TOLERANCE, make_middle_tile, make_tiles
from lociscope.images.field import Field
from lociscope.images.preprocess import HPA_FIELD_UM, prepare
from lociscope.warnings import FieldWarning, WarningKind

SPEC = InputSpec(height=32, width=32, low=0, high=100)
RNG = np.random.default_rng(0)


def field(height: int, width: int, pixel_size: float | None = None) -> Field:
    return Field("a1", RNG.integers(0, 256, (height, width, 4), np.uint8), pixel_size)


def ramp(height: int, width: int, pixel_size: float) -> Field:
    """Grows along y and along x, and is not the sum of the two, which is how uneven light looks."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return Field("a1", np.repeat(((y + 300) * (x + 300))[..., None], 4, axis=-1), pixel_size)


@pytest.mark.parametrize("side", [512, 2048])
def test_a_field_of_the_atlas_needs_no_pixel_size(side: int) -> None:
    given = field(side, side)
    for pixel_size in (None, HPA_FIELD_UM / side, 0.08 * 2048 / side):
        tiles, warnings, *_ = make_tiles(Field("a1", given.pixels, pixel_size), SPEC)
        assert warnings == ()
        np.testing.assert_array_equal(tiles, prepare(given.pixels, SPEC)[None])


@pytest.mark.parametrize("shape", [(1024, 1024), (500, 500), (512, 500), (20, 20)])
def test_any_other_field_is_assumed_to_span_164_um_with_a_warning(shape: tuple[int, int]) -> None:
    tiles, warnings, *_ = make_tiles(field(*shape), SPEC)
    assert (tiles.shape, warnings) == ((1, 32, 32, 4), (FieldWarning(WarningKind.PIXEL_SIZE_ASSUMED),))


@pytest.mark.parametrize("share", [1 - 0.99 * TOLERANCE, 1, 1 + 0.99 * TOLERANCE])
def test_about_the_expected_extent_is_one_tile(share: float) -> None:
    given = field(64, 64, share * HPA_FIELD_UM / 64)
    tiles, warnings, *_ = make_tiles(given, SPEC)
    np.testing.assert_array_equal(tiles[0], prepare(given.pixels, SPEC))
    assert warnings == ()


def test_tiles_cover_a_larger_field() -> None:
    tiles, *_ = make_tiles(ramp(128, 192, 2 * HPA_FIELD_UM / 128), SPEC)
    assert tiles.shape == (2 * 3, 32, 32, 4)
    whole = np.vstack([np.hstack(list(row)) for row in tiles.reshape(2, 3, 32, 32, 4)])
    assert (np.diff(whole[..., 0].astype(int), axis=0) > 0).all()
    assert (np.diff(whole[..., 1].astype(int), axis=1) > 0).all()
    overlapping, *_ = make_tiles(ramp(48, 32, HPA_FIELD_UM / 32), SPEC)
    np.testing.assert_array_equal(overlapping[0, 16:], overlapping[1, :16])


def test_the_number_of_tiles_is_limited() -> None:
    tiles, *_ = make_tiles(field(640, 32, HPA_FIELD_UM / 32), SPEC)
    assert len(tiles) == MAX_TILES


def test_a_smaller_field_is_mirrored_and_keeps_its_scale() -> None:
    tiles, warnings, *_ = make_tiles(ramp(10, 24, HPA_FIELD_UM / 32), SPEC)
    assert warnings == ()
    assert tiles.shape == (1, 32, 32, 4)
    middle = tiles[0, 11:21, 4:28]
    np.testing.assert_array_equal(tiles[0, 10, 4:28], middle[0])
    np.testing.assert_array_equal(tiles[0, 1:11, 4:28], middle[::-1])
    np.testing.assert_array_equal(middle[:, 0, 0], np.rint(300 * np.arange(10) / (309 * 323 - 300**2) * 255))
    assert make_tiles(field(10, 10, HPA_FIELD_UM / 32), SPEC)[1] == (FieldWarning(WarningKind.SMALL_FIELD, value=51),)


@pytest.mark.parametrize("size", [64, 96, 40, 128])
def test_a_micrometre_is_the_same_number_of_pixels(size: int) -> None:
    """A wave of 20 µm has as many input pixels, whatever the camera's pixels and the field's extent."""
    for extent in (60.0, 164.0, 250.0):
        pixel_size = extent / size
        x = (np.arange(size) + 0.5) * pixel_size
        wave = np.sin(2 * np.pi * x / 41)
        pixels = np.broadcast_to((wave * (1.5 + wave[:, None]))[..., None], (size, size, 4)).astype(np.float32)
        tiles, *_ = make_tiles(Field("a", pixels, pixel_size), InputSpec(height=64, width=64, low=0, high=100))
        row = tiles[0, 32, :, 0].astype(float)
        middle = row[20:44] - row[20:44].mean()
        period = 2 * np.pi * middle.std() / np.gradient(middle).std()
        assert period == pytest.approx(16, rel=0.2)


def test_coarse_pixels_give_a_warning() -> None:
    assert make_tiles(field(20, 20, 1.4 * SPEC.pixel_size), SPEC)[1] == ()
    assert make_tiles(field(20, 20, 10.0), SPEC)[1] == (FieldWarning(WarningKind.COARSE_PIXELS, value=10.0),)


@pytest.mark.parametrize(("shape", "pixel_size"), [((512, 512), 0.0008), ((512, 512), 320.0), ((16, 64000), 0.3)])
def test_an_impossible_pixel_size(shape: tuple[int, int], pixel_size: float) -> None:
    with pytest.raises(LociscopeError, match=r"Field 'a1' would span .* µm at .* µm a pixel. Pass the side"):
        make_tiles(field(*shape, pixel_size), SPEC)


def test_the_middle_tile_is_the_one_that_prediction_uses() -> None:
    rng = np.random.default_rng(0)
    usual = Field("a", rng.integers(0, 255, (512, 512, 4), np.uint8))
    np.testing.assert_array_equal(make_middle_tile(usual, SPEC), make_tiles(usual, SPEC)[0][0])
    large = Field("b", usual.pixels, 0.6)
    assert any(np.array_equal(make_middle_tile(large, SPEC), tile) for tile in make_tiles(large, SPEC)[0])


@pytest.mark.parametrize("pixel_size", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_pixel_size_must_be_positive_and_finite(pixel_size: float) -> None:
    with pytest.raises(LociscopeError) as raised:
        make_tiles(field(64, 64, pixel_size), SPEC)
    assert raised.value.code == Code.PIXEL_SIZE
