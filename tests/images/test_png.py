"""PNG as bytes; its damage is tried in `test_read.py`."""

import io

import numpy as np
import pytest
from PIL import Image

from lociscope.errors import LociscopeError
from lociscope.images.png import read_png


def written(pixels: np.ndarray, **options: object) -> io.BytesIO:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    buffer.seek(0)
    return buffer


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_grey_plane(kind: type[np.unsignedinteger]) -> None:
    plane = np.random.default_rng(0).integers(0, np.iinfo(kind).max + 1, (5, 4), kind)
    picture = read_png(written(plane, dpi=(300, 300)), "a.png")
    assert (picture.names, picture.pixel_size, picture.colour) == (("",), None, False)
    np.testing.assert_array_equal(picture.pixels[..., 0], plane)


def test_colour_is_told_and_alpha_refused() -> None:
    rgb = np.zeros((4, 4, 3), np.uint8)
    for wanted in (False, True):
        picture = read_png(written(rgb), "a.png", colour=wanted)
        assert (picture.pixels.shape, picture.colour) == ((4, 4, 3), True)
        with pytest.raises(LociscopeError, match=r"is a 8-bit RGB with alpha PNG. (Save it as|Export each)"):
            read_png(written(np.zeros((4, 4, 4), np.uint8)), "a.png", colour=wanted)
    with pytest.raises(LociscopeError, match=r"is a 8-bit grey PNG. Save it as 8-bit RGB"):
        read_png(written(rgb[..., 0]), "a.png", colour=True)


def with_palette(plane: np.ndarray, palette: np.ndarray) -> io.BytesIO:
    picture = Image.fromarray(plane)
    picture.putpalette(palette.astype(np.uint8).ravel().tolist())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    buffer.seek(0)
    return buffer


LEVELS = np.arange(256)[:, None]


@pytest.mark.parametrize("colour", [(1, 1, 1), (0, 1, 0), (1, 1, 0), (0.5, 0, 1)])
def test_a_lookup_table_of_one_colour_leaves_the_grey_levels(colour: tuple[float, ...]) -> None:
    plane = np.random.default_rng(0).integers(0, 256, (5, 4), np.uint8)
    picture = read_png(with_palette(plane, LEVELS * np.array(colour)), "a.png")
    assert not picture.colour
    np.testing.assert_array_equal(picture.pixels[..., 0], plane)


@pytest.mark.parametrize(
    "palette",
    [
        255 - np.tile(LEVELS, 3),
        np.hstack([LEVELS, np.sqrt(LEVELS) * 16, LEVELS * 0]),
        np.random.default_rng(0).integers(0, 256, (256, 3)),
        np.zeros((256, 3)),
        np.tile(LEVELS[:99] * 2, 3),
    ],
    ids=["inverted", "bent", "any colours", "black", "short"],
)
def test_any_other_palette_is_refused(palette: np.ndarray) -> None:
    with pytest.raises(LociscopeError, match=r"is a 8-bit palette PNG. Export each channel"):
        read_png(with_palette(np.full((5, 4), 8, np.uint8), palette), "a.png")
