"""A field for the eye: one grey picture a channel, which the page tints and lays over each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lociscope.artifacts.card import InputSpec
from lociscope.channels import CHANNELS
from lociscope.images.field import Field
from lociscope.images.preprocess import preprocess
from lociscope.images.render import DEFAULT_CHANNELS
from lociscope.report.page import jpeg_uri

LONGEST = 704
"""Longest side of the picture, px; a smaller field keeps its own size."""

BARS_UM = (1, 2, 5, 10, 20, 50, 100, 200, 500)

_STRETCH = InputSpec(height=8, width=8, low=1.0, high=99.8)


class Layer(NamedTuple):
    """One channel: its name and stain, its key, the source of its picture, and whether it is shown at first."""

    name: str
    stain: str
    key: str
    source: str
    on: bool


class Picture(NamedTuple):
    """What the page shows of a field.

    Attributes:
        layers: The four channels.
        width: Of the picture, px.
        height: Of the picture, px.
        bar_um: Length of the scale bar in µm; 0 where the size of a pixel is not known.
        bar_px: The same in px of the picture.
    """

    layers: tuple[Layer, ...]
    width: int
    height: int
    bar_um: int = 0
    bar_px: float = 0.0


def make_picture(field: Field) -> Picture:
    """Draws a field, each channel stretched by its own percentiles.

    Args:
        field: (y, x, 4), RGBY.

    Returns:
        The picture, its longest side at most `LONGEST`.
    """
    rows, columns = field.pixels.shape[:2]
    shrunk = min(1.0, LONGEST / max(rows, columns))
    height, width = max(1, round(rows * shrunk)), max(1, round(columns * shrunk))
    drawn = preprocess(field.pixels, height, width, _STRETCH, field.pixel_size).pixels
    layers = tuple(
        Layer(channel.name, channel.stain, channel.name[0], jpeg_uri(np.ascontiguousarray(drawn[..., number])),
              number in DEFAULT_CHANNELS)
        for number, channel in enumerate(CHANNELS)
    )  # fmt: skip
    return Picture(layers, width, height, *_bar(field.pixel_size, columns, width))


def _bar(pixel_size: float | None, columns: int, width: int) -> tuple[int, float]:
    """The longest usual bar that takes at most a quarter of the width, if it can be seen."""
    if pixel_size is None:
        return 0, 0.0
    um_per_px = pixel_size * columns / width
    fitting = [um for um in BARS_UM if width / 50 <= um / um_per_px <= width / 4]
    return (fitting[-1], fitting[-1] / um_per_px) if fitting else (0, 0.0)
