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


def test_grey_and_colour_are_not_taken_for_each_other() -> None:
    rgb = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(LociscopeError, match=r"is a 8-bit RGB PNG. Export each channel"):
        read_png(written(rgb), "a.png")
    assert read_png(written(rgb), "a.png", colour=True).pixels.shape == (4, 4, 3)
    with pytest.raises(LociscopeError, match=r"is a 8-bit RGB with alpha PNG. Save it as 8-bit RGB"):
        read_png(written(np.zeros((4, 4, 4), np.uint8)), "a.png", colour=True)
