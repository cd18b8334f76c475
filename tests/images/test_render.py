"""Fields as the eye sees them."""

from __future__ import annotations

import numpy as np
import pytest

from lociscope.channels import CHANNELS, GREEN, YELLOW
from lociscope.images.render import render_composite


def spot(*channels: int) -> np.ndarray:
    """A disc, and some light in every row, without which the rest would be a margin."""
    y, x = np.mgrid[:32, :32]
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[np.hypot(y - 12, x - 12) < 5] = 200
    pixels[np.arange(32), np.arange(32)[::-1]] = 1
    pixels[..., [channel for channel in range(4) if channel not in channels]] = 0
    return pixels


@pytest.mark.parametrize("channel", range(4))
def test_each_channel_has_its_colour(channel: int) -> None:
    drawn = render_composite(spot(channel), 32, (channel,))
    assert drawn.dtype == np.uint8
    assert drawn[12, 12].tolist() == [255 * share for share in CHANNELS[channel].colour]
    assert not drawn[0, 0].any()


def test_hpas_own_composite_leaves_the_er_out_and_colours_add_up() -> None:
    assert not render_composite(spot(YELLOW), 32).any()
    assert render_composite(spot(*range(4)), 32)[12, 12].tolist() == [255, 255, 255]
    assert render_composite(spot(GREEN, YELLOW), 32, (GREEN, YELLOW))[12, 12].tolist() == [255, 255, 0]


@pytest.mark.parametrize("size", [8, 20, 32, 50])
@pytest.mark.parametrize("shape", [(32, 32), (20, 45), (1, 1)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_the_size_is_as_asked_for(size: int, shape: tuple[int, int], kind: type[np.unsignedinteger]) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (*shape, 4), kind)
    assert render_composite(pixels, size).shape == (size, size, 3)
