"""Shape cells and nuclei: one potential per cell; a pixel belongs to the cell of the lowest potential."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.simulate.layout import MITOTIC, Cells, State

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lociscope.simulate.canvas import Canvas, Image, Values
    from lociscope.simulate.cell_lines import CellLine

TAILS = 4
"""Most tails of a cell."""
FAR = np.float32(9.0)
"""Potential of a pixel that no cell reaches; 1 is the edge of a cell or nucleus."""


@dataclass(slots=True)
class Potentials:
    """Potentials of the cells in each pixel: 0 in the middle of a cell or nucleus, 1 on its outline.

    Attributes:
        best: The least potential of a cell there.
        second: The next one.
        rim: Potential of the nucleus of the cell of `best`.
        owner: Row + 1 of the cell of `best`; 0 where none comes near.
    """

    best: Image
    second: Image
    rim: Image
    owner: NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class _Bends:
    """Deviations of outlines from ellipses: coordinates in µm, shifts by smooth noise (y, x), tails, bean shapes."""

    grid: Image
    cells: tuple[Image, Image]
    nuclei: tuple[Image, Image]
    tails: Values
    bean: Values


def shape_cells(rng: np.random.Generator, canvas: Canvas, line: CellLine, cells: Cells) -> Potentials:
    """Return the cell of each pixel: the one with the lowest potential, if that is below 1.

    Cells are ellipses with tails, in coordinates bent by smooth noise, so that outlines are irregular and
    those of neighbours fit.
    """
    bends = _sample_bends(rng, canvas, line, cells)
    best, second, rim = (np.full(canvas.shape, FAR) for _ in range(3))
    out = Potentials(best, second, rim, np.zeros(canvas.shape, np.uint16))
    for row in range(len(cells)):
        _put_cell(out, canvas, line, cells, row, bends)
    return out


def _sample_bends(rng: np.random.Generator, canvas: Canvas, line: CellLine, cells: Cells) -> _Bends:
    radius = line.nucleus / 2 * line.spread
    grid = (np.arange(canvas.size, dtype=np.float32) + 0.5) * canvas.pixel_size
    amplitude = line.rough * rng.uniform(0.8, 1.7)
    ragged = 0.5 * rng.random() ** 2  # µm
    bend = tuple(
        canvas.noise(rng, radius * 0.9) * (amplitude * radius * 0.8)
        + canvas.noise(rng, radius * 0.3) * (amplitude * radius * 0.2)
        + canvas.noise(rng, 2.4) * ragged
        for _ in range(2)
    )
    lobes = tuple(
        canvas.noise(rng, line.nucleus * 0.4) * (line.lobed * rng.uniform(0.5, 1.6) * line.nucleus / 2)
        for _ in range(2)
    )
    tails = _tails(rng, line, cells)
    bean = rng.normal(0, 0.09, len(cells)) * (1 + 1.5 * (rng.random(len(cells)) < 0.12))
    return _Bends(grid, (bend[0], bend[1]), (lobes[0], lobes[1]), tails, bean)


def _put_cell(out: Potentials, canvas: Canvas, line: CellLine, cells: Cells, row: int, bends: _Bends) -> None:
    grid, tails = bends.grid, bends.tails[row]
    outline = cells.long[row] * (1.2 + tails[:, 1].max()) + line.rough * cells.wide[row]
    reach = max(outline, cells.nucleus_long[row] * 1.8) + 2
    window = tuple(
        slice(max(0, int((c - reach) / canvas.pixel_size)), max(0, int((c + reach) / canvas.pixel_size) + 1))
        for c in (cells.y[row], cells.x[row])
    )
    y, x = grid[window[0], None], grid[None, window[1]]
    if not y.size or not x.size:
        return
    calm = 0.25 if cells.state[row] in MITOTIC else 1.0
    dy, dx = y - cells.y[row] + calm * bends.cells[0][window], x - cells.x[row] + calm * bends.cells[1][window]
    potential = _ellipse(dy, dx, cells.angle[row], cells.long[row], cells.wide[row], line.pointed * calm)
    if calm == 1:
        potential = potential / _stretched(dy, dx, tails)
    rim = _nucleus(cells, row, y + bends.nuclei[0][window], x + bends.nuclei[1][window], bends.bean[row])
    potential = np.minimum(potential, 0.6 * rim)
    best, second = out.best[window], out.second[window]
    wins = potential < best
    np.copyto(second, np.where(wins, best, np.minimum(second, potential)))
    np.copyto(best, potential, where=wins)
    np.copyto(out.rim[window], rim, where=wins)
    np.copyto(out.owner[window], np.uint16(row + 1), where=wins)


def _tails(rng: np.random.Generator, line: CellLine, cells: Cells) -> Values:
    """Return directions in which cells have tails, and the tails' lengths as a share of the radius: (n, TAILS, 2)."""
    count = len(cells)
    along = np.repeat(cells.angle[:, None], TAILS, 1) + np.pi * np.arange(TAILS)
    angle = np.where(np.arange(TAILS) < 2, along, 0) + rng.normal(
        0, np.where(np.arange(TAILS) < 2, 0.3, 9), along.shape
    )
    most = (0.12 + 0.5 * line.pointed) * rng.uniform(0.4, 1.6)
    length = most * rng.gamma(1.5, 1 / 1.5, (count, TAILS)) * (rng.random((count, TAILS)) < 0.75)
    return np.stack([angle, length.clip(0, 1.2)], -1).astype(np.float32)


def _stretched(y: Image, x: Image, tails: Values) -> Image:
    """Return how much farther the outline reaches in each direction, 1 where there is no tail."""
    scale = 1 / np.sqrt(y * y + x * x + np.float32(1e-3))
    reach = np.ones_like(scale)
    for angle, length in tails:
        if length > 0.03:
            toward = y * np.sin(angle)  # in place: this runs for every cell of every field
            toward += x * np.cos(angle)
            toward *= scale
            np.maximum(toward, 0, out=toward)
            for _ in range(3):
                toward *= toward
            toward *= length
            reach += toward
    return reach


def _ellipse(y: Image, x: Image, angle: float, long: float, wide: float, pointed: float) -> Image:
    """Return 0 in the centre, 1 on the outline of an ellipse, or of a rhombus where `pointed` is 1."""
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u, v = x * cos, y * cos  # in place: this runs twice for every cell of every field
    u += y * sin
    v -= x * sin
    u /= np.float32(long)
    v /= np.float32(wide)
    shape: Image = u * u
    shape += v * v
    np.sqrt(shape, out=shape)
    if pointed > 0:
        shape = np.float32(1 - pointed) * shape + np.float32(0.85 * pointed) * (np.abs(u) + np.abs(v))
    return shape


def _nucleus(cells: Cells, row: int, y: Image, x: Image, bean: float) -> Image:
    """Return 0 in the centre, 1 on the outline of a nucleus, more or less bent, or of mitotic chromosomes."""
    dy, dx = y - cells.nucleus_y[row], x - cells.nucleus_x[row]
    angle = cells.nucleus_angle[row]
    long, wide = cells.nucleus_long[row], cells.nucleus_wide[row]
    radius = np.sqrt(long * wide)
    state = cells.state[row]
    if state in (State.INTERPHASE, State.DAUGHTER):
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        bend = np.float32(bean / radius) * ((dx * cos + dy * sin) ** 2 - np.float32(0.3 * long**2))
        return _ellipse(dy + bend * cos, dx - bend * sin, angle, long, wide, 0)
    if state == State.METAPHASE:
        return _ellipse(dy, dx, angle + np.pi / 2, radius * 0.72, radius * 0.2, 0)
    if state == State.PROMETAPHASE:
        ring = np.abs(_ellipse(dy, dx, angle, radius * 0.6, radius * 0.5, 0) - 0.62) / 0.45
        return np.asarray(ring, np.float32)
    part = np.float32(0.42 * radius)
    sy, sx = part * np.float32(np.sin(angle)), part * np.float32(np.cos(angle))
    plates = [
        _ellipse(dy + side * sy, dx + side * sx, angle + np.pi / 2, radius * 0.6, radius * 0.17, 0) for side in (-1, 1)
    ]
    return np.minimum(plates[0], plates[1])
