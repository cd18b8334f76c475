"""A well full of virtual cells: drawn tile by tile where somebody looks, the same cells wherever one looks from.

Tiles are drawn with a margin. A cell belongs to the tile in whose inner part its middle lies, and is drawn whole from
that tile; where cells of two tiles meet, a pixel goes to the one that it lies deeper in, so that they look pressed
against each other and no tile's edge is seen.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.channels import BLUE, CHANNEL_NAMES, GREEN, RED, YELLOW
from lociscope.simulate.canvas import Canvas, Image
from lociscope.simulate.optics import BRIGHTEST, Optics
from lociscope.simulate.protein import green_channel
from lociscope.simulate.reference import blue_channel, red_channel, yellow_channel
from lociscope.simulate.structures import build_scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lociscope.simulate.scene import Scene
    from lociscope.simulate.specimen import Specimen

CORE_UM = 256.0
"""Side of the inner part of a tile. A field of 164 µm in the middle of a well needs one tile only."""
MARGIN_UM = 40.0
"""How far a cell may reach from its middle."""
CACHE_BYTES = 256 << 20
_BACKGROUND = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One drawn tile.

    Attributes:
        light: (4, n, n) float16, the light of each channel; 1 is what a usual exposure makes the brightest grey level.
        rank: (n, n) float16: how deep in a cell of this tile a pixel lies, in µm and 1 more; `_BACKGROUND` between
            cells of the inner part; 0 where the tile has no say.
        middles: (cells, 2) middles of its cells in µm from the tile's corner, y before x.
    """

    light: NDArray[np.float16]
    rank: NDArray[np.float16]
    middles: NDArray[np.floating]

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.light.nbytes + self.rank.nbytes


def render_tile(key: tuple[int, ...], specimen: Specimen, pixel_size: float) -> Tile:
    """Draws one tile.

    Args:
        key: Seeds it; equal keys give equal tiles.
        specimen: Cells, protein and optics of its well.
        pixel_size: Side of a pixel in µm.
    """
    rng = np.random.default_rng(key)
    canvas = Canvas(round((CORE_UM + 2 * MARGIN_UM) / pixel_size), pixel_size)
    scene = _scene(rng, canvas, specimen)
    green, _, _ = green_channel(rng, scene, specimen.protein)
    light = {RED: red_channel(rng, scene), GREEN: green, BLUE: blue_channel(rng, scene)}
    light[YELLOW] = yellow_channel(rng, scene)
    ours = np.all([_within(scene.cells.y), _within(scene.cells.x)], axis=0)
    rank = np.where(np.concatenate([[False], ours])[scene.owner], 1 + scene.depth, 0)
    core = _within((np.arange(canvas.size) + 0.5) * pixel_size)
    rank[(scene.owner == 0) & core[:, None] & core[None, :]] = _BACKGROUND
    stack = [_exposed(canvas, light[index], specimen.optics[index]) for index in range(len(CHANNEL_NAMES))]
    middles = np.stack([scene.cells.y[ours], scene.cells.x[ours]], axis=1)
    return Tile(np.stack(stack).astype(np.float16), rank.astype(np.float16), middles)


def _scene(rng: np.random.Generator, canvas: Canvas, specimen: Specimen) -> Scene:
    """The cells, with what the protein's places need; per area as much as in `lociscope.simulate.simulate_field`."""
    drawn = specimen.protein.drawn
    fields = (canvas.extent / 164) ** 2
    wanted: dict[str, Any] = {
        "mitoses": round(rng.integers(1, 4) * fields) * (17 in drawn),
        "bridges": round(rng.integers(1, 4) * fields) * (16 in drawn),
        "inclusions": rng.uniform(0.7, 1.6) * (24 in drawn),
        "droplets": rng.uniform(12, 45) if 20 in drawn else 8.0 * (rng.random() < 0.15),
    }
    return build_scene(rng, canvas, specimen.line, **wanted)


def _within(at: NDArray[np.floating]) -> NDArray[np.bool_]:
    return np.asarray((at >= MARGIN_UM) & (at < MARGIN_UM + CORE_UM))


def _exposed(canvas: Canvas, light: Image, optics: Optics) -> Image:
    """Light in units in which a usual exposure brings its brightest pixels to `optics.exposure` of full scale."""
    seen = canvas.blur(light, optics.sigma).ravel()
    rank = max(1, seen.size // BRIGHTEST)
    peak = float(np.partition(seen, -rank)[-rank])
    return light * np.float32(optics.exposure / peak) if peak > 0 else light


class Mosaic:
    """The light of one well as a function of the position; tiles are drawn when first looked at and kept for a while.

    Args:
        key: Seeds it.
        specimen: Cells, protein and optics.
        pixel_size: Side of a pixel in µm.
        cache: Tiles by key, shared by the mosaics of a plate.
    """

    def __init__(
        self, key: tuple[int, ...], specimen: Specimen, pixel_size: float, cache: TileCache | None = None
    ) -> None:
        self._key = key
        self.specimen = specimen
        self._pixel_size = pixel_size
        self._cache = TileCache() if cache is None else cache

    def window(self, y: float, x: float, side: int) -> Image:
        """The light of a square.

        Args:
            y: Upper edge in µm from the middle of the well, downwards.
            x: Left edge in µm.
            side: Pixels.

        Returns:
            (4, side, side) float32.
        """
        light = np.zeros((len(CHANNEL_NAMES), side, side), np.float32)
        best = np.zeros((side, side), np.float32)
        top, left = round(y / self._pixel_size), round(x / self._pixel_size)
        extent = side * self._pixel_size
        for row, column, first_row, first_column in self._tiles(y, x, extent):
            tile = self._tile(row, column)
            ours, theirs = (
                _overlap(first_row - top, len(tile.rank), side),
                _overlap(first_column - left, len(tile.rank), side),
            )
            if ours is None or theirs is None:
                continue
            (there_y, here_y), (there_x, here_x) = ours, theirs
            rank = tile.rank[there_y, there_x]
            wins = rank > best[here_y, here_x]
            best[here_y, here_x][wins] = rank[wins]
            for channel in range(len(light)):
                light[channel, here_y, here_x][wins] = tile.light[channel, there_y, there_x][wins]
        return light

    def cells(self, y: float, x: float, height: float, width: float) -> int:
        """How many cells have their middle in a rectangle, µm from the middle of the well."""
        found = 0
        for row, column, first_row, first_column in self._tiles(y, x, max(height, width)):
            corner = np.array([first_row, first_column]) * self._pixel_size
            at = self._tile(row, column).middles + corner - np.array([y, x])
            found += int(np.sum((at >= 0).all(1) & (at < [height, width]).all(1)))
        return found

    def _tiles(self, y: float, x: float, extent: float) -> list[tuple[int, int, int, int]]:
        """Tiles whose cells may show in a square: row and column, and the pixel at which each begins."""
        rows, columns = (_reaching(start, extent) for start in (y, x))
        return [(row, column, self._first(row), self._first(column)) for row in rows for column in columns]

    def _first(self, number: int) -> int:
        return round(((number - 0.5) * CORE_UM - MARGIN_UM) / self._pixel_size)

    def _tile(self, row: int, column: int) -> Tile:
        # Seeds are no negative numbers.
        key = (*self._key, row + 1_000_000, column + 1_000_000)
        return self._cache.get(key, self.specimen, self._pixel_size)


def _reaching(start: float, extent: float) -> range:
    """Numbers of the tiles along an axis whose margins reach between `start` and `start + extent`, µm."""
    return range(
        math.floor((start - MARGIN_UM) / CORE_UM - 0.5) + 1, math.ceil((start + extent + MARGIN_UM) / CORE_UM + 0.5)
    )


def _overlap(start: int, size: int, side: int) -> tuple[slice, slice] | None:
    """Pixels of a tile that begins at `start` of a window, and where in the window they go."""
    low, high = max(0, start), min(side, start + size)
    return None if low >= high else (slice(low - start, high - start), slice(low, high))


class TileCache:
    """Drawn tiles, the least lately used forgotten first."""

    def __init__(self, most: int = CACHE_BYTES) -> None:
        self._most = most
        self._tiles: OrderedDict[tuple[Any, ...], Tile] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[int, ...], specimen: Specimen, pixel_size: float) -> Tile:
        """A tile, drawn where it is not at hand."""
        if key not in self._tiles:
            self._tiles[key] = render_tile(key, specimen, pixel_size)
            self._bytes += self._tiles[key].nbytes
        self._tiles.move_to_end(key)
        while self._bytes > self._most and len(self._tiles) > 1:
            _, old = self._tiles.popitem(last=False)
            self._bytes -= old.nbytes
        return self._tiles[key]
