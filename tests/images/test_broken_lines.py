"""Lines of one value beyond the picture's: dead and hot lines of a sensor, margins of registered pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fixtures.pixels import patches

from lociscope.images.broken_lines import replace_lines

if TYPE_CHECKING:
    from collections.abc import Callable

PIXELS = patches((96, 80, 4), 3).astype(np.uint16) * np.uint16(16) + np.uint16(1000)


def changed(at: Any, value: float) -> np.ndarray:
    pixels = PIXELS.copy()
    pixels[at] = value
    return pixels


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("value", [0, 65535])
@pytest.mark.parametrize("lines", [[40], [40, 41], [7, 60, 33]])
def test_lines_between_others_become_their_mean(kind: type[np.number], value: int, lines: list[int]) -> None:
    found = replace_lines(changed((slice(None), lines, 1), value).astype(kind))
    assert found.dtype == kind
    others = [each for each in range(80) if each not in lines]
    np.testing.assert_array_equal(found[:, others], PIXELS[:, others].astype(kind))
    np.testing.assert_array_equal(found[..., [0, 2, 3]], PIXELS[..., [0, 2, 3]].astype(kind))
    before, after = lines[0] - 1, next(each for each in range(lines[0], 80) if each not in lines)
    mean = (PIXELS[:, before, 1].astype(float) + PIXELS[:, after, 1]) / 2
    np.testing.assert_allclose(found[:, lines[0], 1], mean, atol=0 if kind is np.float32 else 0.5)


@pytest.mark.parametrize("width", [1, 3, 20])
def test_margins_become_the_dark_level(width: int) -> None:
    for at in (slice(None, width), slice(-width, None)):
        found = replace_lines(changed((at,), 0))
        dark = np.percentile(np.delete(PIXELS, np.r_[at], axis=0), 0.5, axis=(0, 1))
        np.testing.assert_allclose(found[at], np.broadcast_to(dark, found[at].shape), atol=25)
        found[at] = PIXELS[at]
        np.testing.assert_array_equal(found, PIXELS)
    corner = changed((slice(None, width),), 0)
    corner[:, -width:] = 0
    assert replace_lines(corner).min() >= 1000


@pytest.mark.parametrize(
    "make",
    [
        lambda: PIXELS,
        lambda: np.zeros((64, 64, 4), np.uint8),
        lambda: np.full((64, 64, 4), 7.0),
        lambda: patches((16, 16, 4), 0) // 250 * 250,
        lambda: changed((slice(None), 40), int(np.median(PIXELS))),
        lambda: changed((slice(None, 95), 40), 0),
        lambda: np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None, None], (64, 64, 4)),
        lambda: np.ones((1, 1, 4), np.uint8),
        lambda: np.ones((2, 9, 4), np.uint8),
    ],
    ids=["patches", "black", "constant", "few levels", "within", "not whole", "stripes", "pixel", "thin"],
)
def test_what_is_left_as_it_is(make: Callable[[], np.ndarray]) -> None:
    pixels = make()
    assert replace_lines(pixels) is pixels


def test_the_input_is_not_changed() -> None:
    pixels = changed((slice(None), 40), 0)
    pixels.flags.writeable = False
    assert replace_lines(pixels) is not pixels
