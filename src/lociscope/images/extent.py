"""Rescale fields: 1 µm is the same number of input pixels for every camera and every format."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.errors import Code, LociscopeError
from lociscope.images.preprocess import HPA_FIELD_UM, Preprocessed, preprocess
from lociscope.images.raw import scale_raw
from lociscope.warnings import FieldWarning, WarningKind

if TYPE_CHECKING:
    from lociscope.artifacts.card import InputSpec
    from lociscope.images.field import Field

HPA_SIDES = (512, 2048)
"""Sides in px at which a field without a declared pixel size is assumed to come from the Human Protein Atlas."""

TOLERANCE = 0.05
"""Relative deviation from the extent that the network expects up to which a field is one tile."""

MAX_TILES = 4
"""Maximum number of tiles along a side."""

MIN_FIELD_UM = 10.0
"""Minimum side of a field in µm, half a cell; a smaller field has a wrong pixel size."""

_MAX_SIDE = 8192
_SMALL = 0.5
_COARSE = 1.5


class Tiles(NamedTuple):
    """A field as inputs of a network.

    Attributes:
        pixels: (tiles, height, width, c) of uint8; of float32 in 0–255 for a network that standardises raw pixels.
        warnings: About the size of its pixels and its extent.
        whole: The field at the network's scale, each channel scaled by its percentiles.
        scaled: (tiles, height, width, c) of uint8, cropped from `whole`; `pixels` itself for most networks.
        uncut: (rows, columns, c), the field from which `pixels` are cropped; `whole.pixels` for most networks.
    """

    pixels: np.ndarray
    warnings: tuple[FieldWarning, ...]
    whole: Preprocessed
    scaled: np.ndarray
    uncut: np.ndarray


def make_tiles(field: Field, spec: InputSpec, threads: int = 1) -> Tiles:
    """Make the network's inputs from a field.

    A field that is larger than the network expects is split into evenly spaced tiles that cover it, at most
    `MAX_TILES` along a side; the caller averages their predictions. The mean is an estimate for a field of the usual
    size anywhere in this one; a maximum would find more locations the larger the field is. A field that is smaller is
    padded with its mirror image: cells keep their size and density, and no edge or darkness appears that training
    fields do not have. Of 35 pictures of the Atlas' dictionary, 70 µm wide, the shipped bundle's most probable
    location is correct for 14 with this padding, and for 13 when they are rescaled to whole fields
    (`tests/predict/test_predictor.py`). Each channel is scaled by the percentiles of the whole field.

    Args:
        field: The field, with its pixel size or without.
        spec: The input that the network expects.
        threads: Number of threads for a large field; 0 uses every core.

    Returns:
        The tiles.

    Raises:
        LociscopeError: With this pixel size the field would be smaller than a cell or larger than a slide.
    """
    warnings = []
    height, width = field.pixels.shape[:2]
    pixel_size = find_pixel_size(field)
    if field.pixel_size is None and not (height == width and width in HPA_SIDES):
        warnings.append(FieldWarning(WarningKind.PIXEL_SIZE_ASSUMED))
    if not 0 < pixel_size < math.inf:
        raise LociscopeError(
            f"Field '{field.id}' has a pixel size of {pixel_size} µm. Pass the side of a pixel with `pixel_size`.",
            code=Code.PIXEL_SIZE,
        )
    spans = height * pixel_size / spec.field_um, width * pixel_size / spec.field_um
    rows, columns = (_scale_side(span, side) for span, side in zip(spans, (spec.height, spec.width), strict=True))
    _check_extent(field.id, pixel_size, (height, width), (rows, columns))
    if max(spans) < _SMALL:
        warnings.append(FieldWarning(WarningKind.SMALL_FIELD, value=round(max(height, width) * pixel_size)))
    if field.pixel_size is not None and pixel_size > _COARSE * spec.pixel_size:
        warnings.append(FieldWarning(WarningKind.COARSE_PIXELS, value=round(pixel_size, 2)))
    whole = preprocess(field.pixels, rows, columns, spec, pixel_size, threads)
    scaled = _crop_tiles(pad_with_mirror(whole.pixels, spec.height, spec.width), spec.height, spec.width)
    pixels, uncut = scaled, whole.pixels
    if spec.normalisation == "standardise":
        uncut = scale_raw(field.pixels, rows, columns)
        pixels = _crop_tiles(pad_with_mirror(uncut, spec.height, spec.width), spec.height, spec.width)
    return Tiles(pixels, tuple(warnings), whole, scaled, uncut)


def find_pixel_size(field: Field) -> float:
    """Return the side of a field's pixels in µm: as declared, or else as of a field of the Human Protein Atlas."""
    return HPA_FIELD_UM / max(field.pixels.shape[:2]) if field.pixel_size is None else field.pixel_size


def make_middle_tile(field: Field, spec: InputSpec) -> np.ndarray:
    """Return the middle tile of `make_tiles`, for training: rescaled as in prediction.

    Args:
        field: The field, with its pixel size or without.
        spec: The input that the network expects.

    Returns:
        (height, width, c) of uint8.
    """
    tiles = make_tiles(field, spec).pixels
    middle: np.ndarray = tiles[len(tiles) // 2]
    return middle


def _scale_side(span: float, side: int) -> int:
    """Return the number of input pixels along a side that is `span` times the expected extent."""
    return side if abs(span - 1) <= TOLERANCE else round(min(span * side, 1e9))


def _check_extent(identifier: str, pixel_size: float, shape: tuple[int, int], sides: tuple[int, int]) -> None:
    if min(shape) * pixel_size < MIN_FIELD_UM or min(sides) < 1 or max(sides) > _MAX_SIDE:
        height, width = (side * pixel_size for side in shape)
        raise LociscopeError(
            f"Field '{identifier}' would span {width:.4g} × {height:.4g} µm at {pixel_size:.4g} µm a pixel. "
            "Pass the side of a pixel in µm with `pixel_size`.",
            code=Code.PIXEL_SIZE,
        )


def pad_with_mirror(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pad (y, x, c) on all sides to at least `height` and `width` with the mirror image, repeated where needed."""
    pads = [max(0, want - have) for want, have in zip((height, width), pixels.shape[:2], strict=True)]
    if not any(pads):
        return pixels
    return np.pad(pixels, [*((pad // 2, pad - pad // 2) for pad in pads), (0, 0)], mode="symmetric")


def _crop_tiles(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    if pixels.shape[:2] == (height, width):
        return pixels[None]
    tops, lefts = (_tile_starts(have, want) for have, want in zip(pixels.shape[:2], (height, width), strict=True))
    return np.stack([pixels[top : top + height, left : left + width] for top in tops for left in lefts])


def join_tiles(maps: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return maps of the tiles of a field as one map of the field: the mean where tiles overlap, without the padding.

    Args:
        maps: (tiles, height, width, k), in the order of `Tiles.pixels`.
        shape: Rows and columns of `Tiles.whole`.

    Returns:
        (*shape, k) of float32; 0 where the field is too large for tiles to cover it.
    """
    height, width = maps.shape[1:3]
    pads = [max(0, want - have) for want, have in zip((height, width), shape, strict=True)]
    total = np.zeros((shape[0] + pads[0], shape[1] + pads[1], maps.shape[-1]), np.float32)
    count = np.zeros((*total.shape[:2], 1), np.float32)
    tops, lefts = (_tile_starts(have, want) for have, want in zip(total.shape[:2], (height, width), strict=True))
    for tile, (top, left) in zip(maps, ((top, left) for top in tops for left in lefts), strict=True):
        total[top : top + height, left : left + width] += tile
        count[top : top + height, left : left + width] += 1
    joined = total / np.maximum(count, 1)
    top, left = (pad // 2 for pad in pads)
    return joined[top : top + shape[0], left : left + shape[1]]


def _tile_starts(have: int, want: int) -> list[int]:
    """Return the first pixels of tiles that cover a side, or as much of it as `MAX_TILES` tiles can."""
    number = min(math.ceil(have / want), MAX_TILES)
    if number == 1:
        return [0]
    return [round(start) for start in np.linspace(0, have - want, number)]
