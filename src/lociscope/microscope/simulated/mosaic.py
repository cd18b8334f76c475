"""Simulate a well full of cells tile by tile, so that equal positions show equal cells, whatever was imaged before.

Tiles have a margin. A cell belongs to the tile whose inner part contains its centre, and is rendered completely by that
tile. Where cells of two tiles meet, a pixel goes to the cell in which it is deeper, so that the cells look pressed
against each other and no edge of a tile is visible.
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
"""Side of the inner part of a tile. A field of 164 µm in the centre of a well needs only one tile."""
MARGIN_UM = 40.0
"""Largest distance between the centre of a cell and its edge."""
CACHE_BYTES = 256 << 20
_BACKGROUND = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One rendered tile.

    Attributes:
        light: (4, n, n) float16, the light of each channel; 1 gives the brightest grey level at the usual exposure.
        rank: (n, n) float16: depth of a pixel in a cell of this tile, in µm, plus 1; `_BACKGROUND` between cells of
            the inner part; 0 where other tiles decide.
        centres: (cells, 2) centres of its cells in µm from the tile's corner, y before x.
    """

    light: NDArray[np.float16]
    rank: NDArray[np.float16]
    centres: NDArray[np.floating]

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return self.light.nbytes + self.rank.nbytes


def render_tile(key: tuple[int, ...], specimen: Specimen, pixel_size: float) -> Tile:
    """Render one tile.

    Args:
        key: Seed; equal keys give equal tiles.
        specimen: Cells, protein and optics of its well.
        pixel_size: Side of a pixel in µm.
    """
    rng = np.random.default_rng(key)
    canvas = Canvas(round((CORE_UM + 2 * MARGIN_UM) / pixel_size), pixel_size)
    scene = _build_scene(rng, canvas, specimen)
    green, _, _ = green_channel(rng, scene, specimen.protein)
    light = {RED: red_channel(rng, scene), GREEN: green, BLUE: blue_channel(rng, scene)}
    light[YELLOW] = yellow_channel(rng, scene)
    inner = np.all([_is_inner(scene.cells.y), _is_inner(scene.cells.x)], axis=0)
    rank = np.where(np.concatenate([[False], inner])[scene.owner], 1 + scene.depth, 0)
    core = _is_inner((np.arange(canvas.size) + 0.5) * pixel_size)
    rank[(scene.owner == 0) & core[:, None] & core[None, :]] = _BACKGROUND
    stack = [_scale_to_exposure(canvas, light[index], specimen.optics[index]) for index in range(len(CHANNEL_NAMES))]
    centres = np.stack([scene.cells.y[inner], scene.cells.x[inner]], axis=1)
    return Tile(np.stack(stack).astype(np.float16), rank.astype(np.float16), centres)


def _build_scene(rng: np.random.Generator, canvas: Canvas, specimen: Specimen) -> Scene:
    """Return the cells with the structures of the protein's locations, at the densities of `lociscope.simulate`."""
    simulated = specimen.protein.simulated
    fields = (canvas.extent / 164) ** 2
    wanted: dict[str, Any] = {
        "mitoses": round(rng.integers(1, 4) * fields) * (17 in simulated),
        "bridges": round(rng.integers(1, 4) * fields) * (16 in simulated),
        "inclusions": rng.uniform(0.7, 1.6) * (24 in simulated),
        "droplets": rng.uniform(12, 45) if 20 in simulated else 8.0 * (rng.random() < 0.15),
    }
    return build_scene(rng, canvas, specimen.line, **wanted)


def _is_inner(at: NDArray[np.floating]) -> NDArray[np.bool_]:
    return np.asarray((at >= MARGIN_UM) & (at < MARGIN_UM + CORE_UM))


def _scale_to_exposure(canvas: Canvas, light: Image, optics: Optics) -> Image:
    """Return light scaled so that its brightest pixels reach `optics.exposure` of full scale at the usual exposure."""
    seen = canvas.blur(light, optics.sigma).ravel()
    rank = max(1, seen.size // BRIGHTEST)
    peak = float(np.partition(seen, -rank)[-rank])
    return light * np.float32(optics.exposure / peak) if peak > 0 else light


class Mosaic:
    """The light of one well as a function of the position, with a cache of tiles.

    Args:
        key: Seed.
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
        """Return the light of a square.

        Args:
            y: Upper edge in µm from the centre of the well, downwards.
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
            rows = _overlap(first_row - top, len(tile.rank), side)
            columns = _overlap(first_column - left, len(tile.rank), side)
            if rows is None or columns is None:
                continue
            (there_y, here_y), (there_x, here_x) = rows, columns
            rank = tile.rank[there_y, there_x]
            wins = rank > best[here_y, here_x]
            best[here_y, here_x][wins] = rank[wins]
            for channel in range(len(light)):
                light[channel, here_y, here_x][wins] = tile.light[channel, there_y, there_x][wins]
        return light

    def count_cells(self, y: float, x: float, height: float, width: float) -> int:
        """Return how many cells have their centre in a rectangle, µm from the centre of the well."""
        count = 0
        for row, column, first_row, first_column in self._tiles(y, x, max(height, width)):
            corner = np.array([first_row, first_column]) * self._pixel_size
            at = self._tile(row, column).centres + corner - np.array([y, x])
            count += int(np.sum((at >= 0).all(1) & (at < [height, width]).all(1)))
        return count

    def _tiles(self, y: float, x: float, extent: float) -> list[tuple[int, int, int, int]]:
        """Return the tiles whose cells may be visible in a square: row, column, and their first pixel."""
        rows, columns = (_find_reaching(start, extent) for start in (y, x))
        return [(row, column, self._first_pixel(row), self._first_pixel(column)) for row in rows for column in columns]

    def _first_pixel(self, number: int) -> int:
        return round(((number - 0.5) * CORE_UM - MARGIN_UM) / self._pixel_size)

    def _tile(self, row: int, column: int) -> Tile:
        # seeds must not be negative
        key = (*self._key, row + 1_000_000, column + 1_000_000)
        return self._cache.get(key, self.specimen, self._pixel_size)


def _find_reaching(start: float, extent: float) -> range:
    """Return the numbers of the tiles along an axis whose margins reach between `start` and `start + extent`, µm."""
    return range(
        math.floor((start - MARGIN_UM) / CORE_UM - 0.5) + 1, math.ceil((start + extent + MARGIN_UM) / CORE_UM + 0.5)
    )


def _overlap(start: int, size: int, side: int) -> tuple[slice, slice] | None:
    """Return the pixels of a tile that begins at `start` of a window, and their pixels in the window."""
    low, high = max(0, start), min(side, start + size)
    return None if low >= high else (slice(low - start, high - start), slice(low, high))


class TileCache:
    """A cache of tiles that drops the least recently used first."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._tiles: OrderedDict[tuple[Any, ...], Tile] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[int, ...], specimen: Specimen, pixel_size: float) -> Tile:
        """Return a tile, rendered unless it is in the cache."""
        if key not in self._tiles:
            self._tiles[key] = render_tile(key, specimen, pixel_size)
            self._bytes += self._tiles[key].nbytes
        self._tiles.move_to_end(key)
        while self._bytes > self._max_bytes and len(self._tiles) > 1:
            _, old = self._tiles.popitem(last=False)
            self._bytes -= old.nbytes
        return self._tiles[key]
