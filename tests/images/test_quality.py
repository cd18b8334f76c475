"""What is noticed about pixels."""

import numpy as np
import pytest

from lociscope.images.quality import warnings_of


@pytest.mark.parametrize(("kind", "top"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_empty_planes_are_named(kind: type[np.number], top: float) -> None:
    pixels = (np.random.default_rng(0).random((16, 16, 4)) * top).astype(kind)
    pixels[0, 0, 0] = top
    assert warnings_of(pixels) == ()
    pixels[..., 1] = pixels[0, 0, 1]
    pixels[..., 3] = 0
    assert warnings_of(pixels) == ("empty plane: green", "empty plane: yellow")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
def test_an_all_black_field(kind: type[np.number]) -> None:
    expected = tuple(f"empty plane: {name}" for name in ("red", "green", "blue", "yellow"))
    assert warnings_of(np.zeros((4, 4, 4), kind)) == expected


def test_one_bright_pixel_is_something() -> None:
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[3, 5] = 3
    assert warnings_of(pixels) == ()
    pixels[3, 5] = 2
    assert len(warnings_of(pixels)) == 4
