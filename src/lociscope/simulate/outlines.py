"""Shape cells and nuclei: one potential per cell; a pixel belongs to the cell of the lowest potential."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lociscope.simulate.canvas import Canvas
from lociscope.simulate.layout import MITOTIC, Cells, State

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lociscope.simulate.canvas import Image, Values
    from lociscope.simulate.cell_lines import CellLine

TAILS, LOBES = 2, 2
"""Most thin tails of a cell, which lie along its axis, and most broad lobes, which lie anywhere."""
SHARPNESS = (5, 3)
"""How often the cosine of the angle to a tail, and to a lobe, is squared: the more, the thinner."""
FAR = np.float32(9.0)
"""Potential of a pixel that no cell reaches; 1 is the edge of a cell or nucleus."""
SHOWN = 1.2
"""Potentials up to this are computed: a neighbour a little beyond its own edge still decides where cells touch."""
PITCH = 0.64
"""Distance in µm between points at which potentials are computed; they are smooth, pixels between are interpolated."""
STRIDE = 1.3
"""Distance in µm at which bends are looked at to find where a cell may be."""
HELD = 0.6
"""A nucleus and its surroundings belong to their cell: its potential is at most so much of that of its nucleus."""
HELD_WITHIN = 0.15
"""The same within the nucleus: only the middle of another nucleus can take it away."""


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


@dataclass(frozen=True)
class _Bends:
    """Deviations of outlines from ellipses, every `step` pixels.

    Attributes:
        step: Pixels from one point to the next, along both axes.
        grid: Coordinates of the points in µm, along one axis.
        cells: Shifts by smooth noise (y, x) of cells, in µm.
        nuclei: The same of nuclei.
        chromosomes: The same of the chromosomes of mitotic cells.
        tails: Tails and lobes of each cell, see `_tails`.
        bean: How bent each nucleus is.
    """

    step: int
    grid: Image
    cells: tuple[Image, Image]
    nuclei: tuple[Image, Image]
    chromosomes: tuple[Image, Image]
    tails: Values
    bean: Values

    @cached_property
    def most(self) -> float:
        """The largest shift in µm."""
        return max(float(np.abs(part).max()) for part in (*self.cells, *self.nuclei, *self.chromosomes))

    def of(self, cells: Cells, row: int) -> tuple[tuple[Image, Image], float]:
        """Return the bends of one cell's nucleus or chromosomes, and how much of `cells` bends its outline."""
        rounded = cells.state[row] in MITOTIC
        return (self.chromosomes, 0.25) if rounded else (self.nuclei, 1.0)


def shape_cells(rng: np.random.Generator, canvas: Canvas, line: CellLine, cells: Cells) -> Potentials:
    """Return the cell of each pixel: the one with the lowest potential, if that is below 1.

    Cells are ellipses with tails, in coordinates bent by smooth noise, so that outlines are irregular and
    those of neighbours fit.
    """
    bends = _sample_bends(rng, canvas, line, cells)
    best, second, rim = (np.full(canvas.shape, FAR) for _ in range(3))
    out = Potentials(best, second, rim, np.zeros(canvas.shape, np.uint16))
    for row, box in enumerate(_boxes(line, cells, bends.tails, bends.bean)):
        _put_cell(out, line, cells, row, box, bends)
    return out


def _sample_bends(rng: np.random.Generator, full: Canvas, line: CellLine, cells: Cells) -> _Bends:
    radius = line.nucleus / 2 * line.spread
    step = max(1, round(PITCH / full.pixel_size))
    canvas = Canvas(-(-(full.size - 1) // step) + 1, full.pixel_size * step)
    grid = (np.arange(canvas.size, dtype=np.float32) * step + np.float32(0.5)) * np.float32(full.pixel_size)
    amplitude = line.rough * rng.uniform(0.8, 1.7)
    ragged = 0.7 * rng.random() ** 2  # µm
    bend = tuple(
        canvas.noise(rng, radius * 0.9) * (amplitude * radius * 0.8)
        + canvas.noise(rng, radius * 0.3) * (amplitude * radius * 0.2)
        + canvas.noise(rng, 2.4) * ragged
        for _ in range(2)
    )
    dented = rng.uniform(0.05, 0.3)  # µm
    lobes = tuple(
        canvas.noise(rng, line.nucleus * 0.55) * (line.lobed * rng.uniform(0.6, 2.1) * line.nucleus / 2)
        + canvas.noise(rng, 2.2) * dented
        for _ in range(2)
    )
    arms = [canvas.noise(rng, 0.9) * 0.3 if cells.mitotic.any() else canvas.blank() for _ in range(2)]
    tails = _tails(rng, line, cells)
    bean = rng.normal(0, 0.11, len(cells)) * (1 + 1.5 * (rng.random(len(cells)) < 0.12))
    return _Bends(step, grid, (bend[0], bend[1]), (lobes[0], lobes[1]), (arms[0], arms[1]), tails, bean)


def _put_cell(out: Potentials, line: CellLine, cells: Cells, row: int, box: Values, bends: _Bends) -> None:
    window = _window(cells, row, box, bends)
    if window is None:
        return
    y, x = bends.grid[window[0], None], bends.grid[None, window[1]]
    bent, calm = bends.of(cells, row)
    dy, dx = y - cells.y[row] + calm * bends.cells[0][window], x - cells.x[row] + calm * bends.cells[1][window]
    potential = _ellipse(dy, dx, cells.angle[row], cells.long[row], cells.wide[row], line.pointed * calm)
    if calm == 1:
        potential /= _stretched(dy, dx, bends.tails[row])
    rim = _nucleus(cells, row, y + bent[0][window], x + bent[1][window], bends.bean[row])
    potential, rim = (_between(values, bends.step) for values in (potential, rim))
    first = [part.start * bends.step for part in window]
    last = [min(start + side, out.best.shape[0]) for start, side in zip(first, rim.shape, strict=True)]
    pixels = slice(first[0], last[0]), slice(first[1], last[1])
    potential, rim = (values[: last[0] - first[0], : last[1] - first[1]] for values in (potential, rim))
    held = np.where(rim < 1, np.float32(HELD_WITHIN), np.float32(HELD))
    np.minimum(potential, held * rim, out=potential)
    best, second = out.best[pixels], out.second[pixels]
    wins = potential < best
    np.copyto(second, np.where(wins, best, np.minimum(second, potential)))
    np.copyto(best, potential, where=wins)
    np.copyto(out.rim[pixels], rim, where=wins)
    np.copyto(out.owner[pixels], np.uint16(row + 1), where=wins)


def _between(values: Image, step: int) -> Image:
    """Interpolate linearly: points (n, m) that lie `step` pixels apart to pixels ((n − 1) · step + 1, …)."""
    if step == 1:
        return values
    share = (np.arange(step, dtype=np.float32) / np.float32(step))[:, None]
    for _ in range(2):  # along the rows, then, turned, along the columns
        tall = values[:-1, None] + share * np.diff(values, axis=0)[:, None]
        values = np.concatenate([tall.reshape(-1, values.shape[1]), values[-1:]]).T
    return values


def _window(cells: Cells, row: int, box: Values, bends: _Bends) -> tuple[slice, slice] | None:
    """Return the points whose bent coordinates are in a box, looked for every `STRIDE` µm; None where none are."""
    pitch = float(bends.grid[1] - bends.grid[0])
    step = max(1, round(STRIDE / pitch))
    slack = 2 * step * pitch + 1.5
    low, high = box[::2] - slack, box[1::2] + slack
    first, last = (
        np.searchsorted(bends.grid, edge + side * bends.most) // step * step for edge, side in ((low, -1), (high, 1))
    )
    rough = tuple(slice(a, b + step, step) for a, b in zip(first, last, strict=True))
    y, x = bends.grid[rough[0], None], bends.grid[None, rough[1]]
    near = np.zeros((y.size, x.size), bool)
    bent, calm = bends.of(cells, row)
    for shift, share in ((bends.cells, calm), (bent, 1.0)):
        v, u = y + share * shift[0][rough], x + share * shift[1][rough]
        near |= (v > low[0]) & (v < high[0]) & (u > low[1]) & (u < high[1])
    if not near.any():
        return None
    found = []
    for axis, begin in ((1, first[0]), (0, first[1])):
        at = begin + np.flatnonzero(near.any(axis)) * step
        found.append(slice(max(0, int(at[0]) - step), min(len(bends.grid), int(at[-1]) + 2 * step)))
    return found[0], found[1]


def _boxes(line: CellLine, cells: Cells, tails: Values, bean: Values) -> Image:
    """Return boxes (n, 4) in µm of potentials up to `SHOWN` before bends, one a cell: y from, to, x from, to."""
    around = np.broadcast_to(np.linspace(0, 2 * np.pi, 48, endpoint=False), (len(cells), 48))
    angle = np.concatenate([around, tails[..., 0]], axis=1)
    y, x = np.sin(angle), np.cos(angle)
    outline = np.empty_like(angle)
    for row in range(len(cells)):
        shape = _ellipse(y[row], x[row], cells.angle[row], cells.long[row], cells.wide[row], line.pointed)
        outline[row] = 1.03 * SHOWN / shape * _stretched(y[row], x[row], tails[row])
    kidney = 2.5 * np.abs(bean) * cells.nucleus_long / cells.nucleus_radius
    reach = cells.nucleus_long * (SHOWN / HELD) * (1 + kidney)
    sides = []
    for centre, nucleus, way in ((cells.y, cells.nucleus_y, y), (cells.x, cells.nucleus_x, x)):
        along = outline * way
        sides.append(np.minimum(centre + along.min(1), nucleus - reach))
        sides.append(np.maximum(centre + along.max(1), nucleus + reach))
    return np.stack(sides, axis=1)


def _tails(rng: np.random.Generator, line: CellLine, cells: Cells) -> Values:
    """Return the tails of each cell, then its lobes: directions, and lengths as a share of the radius, (n, 4, 2)."""
    count, kinds = len(cells), TAILS + LOBES
    along = cells.angle[:, None] + np.pi * np.arange(TAILS) + rng.normal(0, 0.3, (count, TAILS))
    angle = np.concatenate([along, rng.uniform(0, 2 * np.pi, (count, LOBES))], axis=1)
    usual = np.repeat(
        [(0.3 + 1.1 * line.pointed) * rng.uniform(0.5, 1.5), 0.45 * rng.uniform(0.3, 1.5)], (TAILS, LOBES)
    )
    often = np.repeat([0.1 + line.pointed * rng.uniform(0.5, 1.2), 0.6], (TAILS, LOBES))
    length = usual * rng.gamma(1.5, 1 / 1.5, (count, kinds)) * (rng.random((count, kinds)) < often)
    length = length.clip(0, np.repeat([1.8, 0.9], (TAILS, LOBES)))
    return np.stack([angle, length], -1).astype(np.float32)


def _stretched(y: Image, x: Image, tails: Values) -> Image:
    """Return how much farther the outline reaches in each direction, 1 where there is neither tail nor lobe."""
    scale = 1 / np.sqrt(y * y + x * x + np.float32(1e-3))
    reach = np.ones_like(scale)
    for (angle, length), squared in zip(tails, np.repeat(SHARPNESS, (TAILS, LOBES)), strict=True):
        if length > 0.03:
            toward = y * np.sin(angle)  # in place: this runs for every cell of every field
            toward += x * np.cos(angle)
            toward *= scale
            np.maximum(toward, 0, out=toward)
            for _ in range(squared):
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
