"""The picture of a field: its shape, what is shown at first, the scale bar."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from lociscope.channels import CHANNELS
from lociscope.images.field import Field
from lociscope.service.picture import MAX_SIDE, make_picture


def field(height: int, width: int, pixel_size: float | None = None) -> Field:
    return Field("a", np.random.default_rng(0).integers(0, 4096, (height, width, 4), np.uint16), pixel_size)


@pytest.mark.parametrize(
    ("height", "width", "shown"),
    [(100, 50, (100, 50)), (2048, 1024, (MAX_SIDE, MAX_SIDE // 2)), (1, 3, (1, 3)), (4000, 2, (MAX_SIDE, 1))],
)
def test_it_keeps_its_shape(height: int, width: int, shown: tuple[int, int]) -> None:
    picture = make_picture(field(height, width))
    assert (picture.height, picture.width) == shown
    for layer in picture.layers:
        kind, data = layer.source.split(",")
        assert kind == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert (image.size, image.mode) == (shown[::-1], "L")


def test_hpa_s_channels_are_on_at_first_and_each_has_its_key() -> None:
    layers = make_picture(field(8, 8)).layers
    assert [layer.key for layer in layers] == ["r", "g", "b", "y"]
    assert [layer.on for layer in layers] == [True, True, True, False]
    assert [layer.stain for layer in layers] == [channel.stain for channel in CHANNELS]


@pytest.mark.parametrize(
    ("pixel_size", "um", "px"),
    [(None, 0, 0.0), (0.32, 20, 62.5), (0.08, 10, 125.0), (1.0, 100, 100.0), (1e-6, 0, 0.0), (1e4, 0, 0.0)],
)
def test_the_bar_is_a_usual_length_that_fits(pixel_size: float | None, um: int, px: float) -> None:
    picture = make_picture(field(512, 512, pixel_size))
    assert picture.bar_um == um
    assert picture.bar_px == pytest.approx(px)
