"""The picture of a field: one grey picture per channel, which the page colours and overlays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lociscope.artifacts.card import InputSpec
from lociscope.channels import CHANNELS
from lociscope.images.field import Field
from lociscope.images.preprocess import preprocess
from lociscope.images.render import DEFAULT_CHANNELS
from lociscope.report.page import jpeg_uri

MAX_SIDE = 704
"""Longest side of the picture, px; a smaller field keeps its size."""

BARS_UM = (1, 2, 5, 10, 20, 50, 100, 200, 500)

_STRETCH = InputSpec(height=8, width=8, low=1.0, high=99.8)


class Layer(NamedTuple):
    """One channel: name, stain, key of the keyboard, source of its picture, and whether it is shown at first."""

    name: str
    stain: str
    key: str
    source: str
    on: bool


class Picture(NamedTuple):
    """The picture of a field on the page.

    Attributes:
        layers: The four channels.
        width: Of the picture, px.
        height: Of the picture, px.
        bar_um: Length of the scale bar in µm; 0 if the pixel size is unknown.
        bar_px: The same in px of the picture.
        columns: Of the field, px.
        rows: Of the field, px.
        pixel_size: Side of a pixel of the field, µm; None where it is not declared.
        base: The address below which the page finds channels at full resolution, evidence and cells; empty where the
            files are not kept.
    """

    layers: tuple[Layer, ...]
    width: int
    height: int
    bar_um: int = 0
    bar_px: float = 0.0
    columns: int = 0
    rows: int = 0
    pixel_size: float | None = None
    base: str = ""


def make_picture(field: Field) -> Picture:
    """Return the picture of a field, with each channel stretched by its own percentiles.

    Args:
        field: (y, x, 4), RGBY.

    Returns:
        The picture, its longest side at most `MAX_SIDE`.
    """
    rows, columns = field.pixels.shape[:2]
    scale = min(1.0, MAX_SIDE / max(rows, columns))
    height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
    stretched = preprocess(field.pixels, height, width, _STRETCH, field.pixel_size).pixels
    layers = tuple(
        Layer(channel.name, channel.stain, channel.name[0], jpeg_uri(np.ascontiguousarray(stretched[..., number])),
              number in DEFAULT_CHANNELS)
        for number, channel in enumerate(CHANNELS)
    )  # fmt: skip
    return Picture(
        layers, width, height, *_scale_bar(field.pixel_size, columns, width), columns, rows, field.pixel_size
    )


def link_picture(base: str, columns: int, rows: int, pixel_size: float | None) -> Picture:
    """Return the picture of a field whose channels the page loads.

    Args:
        base: The address of the field.
        columns: Of the field, px.
        rows: Of the field, px.
        pixel_size: Side of a pixel, µm; None where it is not declared.
    """
    scale = min(1.0, MAX_SIDE / max(rows, columns, 1))
    width, height = max(1, round(columns * scale)), max(1, round(rows * scale))
    layers = tuple(
        Layer(channel.name, channel.stain, channel.name[0], f"{base}/channels/{channel.name}",
              number in DEFAULT_CHANNELS)
        for number, channel in enumerate(CHANNELS)
    )  # fmt: skip
    bar = _scale_bar(pixel_size, columns, width)
    return Picture(layers, width, height, *bar, columns, rows, pixel_size, base)


def _scale_bar(pixel_size: float | None, columns: int, width: int) -> tuple[int, float]:
    """Return length (µm) and width (px) of the longest usual bar within a quarter of the picture; 0 for none."""
    if pixel_size is None:
        return 0, 0.0
    um_per_px = pixel_size * columns / width
    fitting = [um for um in BARS_UM if width / 50 <= um / um_per_px <= width / 4]
    return (fitting[-1], fitting[-1] / um_per_px) if fitting else (0, 0.0)
