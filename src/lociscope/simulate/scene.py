"""The cells of a field as pictures: who owns each pixel, how far it is from the edge and from the nucleus."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lociscope.simulate.cell_lines import CellLine
from lociscope.simulate.draw import Canvas, Image, Values
from lociscope.simulate.layout import MITOTIC, Cells, State

TAILS = 4
"""Most tails of a cell."""
FAR = np.float32(9.0)
"""Potential of a pixel that no cell reaches; 1 is the edge of a cell or nucleus."""


@dataclass(slots=True, eq=False)
class Scene:
    """What every pattern of a field shares.

    Attributes:
        canvas: The picture's size and scale.
        line: The cell line.
        cells: One row per cell.
        owner: For each pixel its cell's row + 1, or 0.
        nuclei: For each pixel the row + 1 of the cell whose nucleus or chromosomes it shows, or 0.
        body: How full of cell each pixel is, 0–1, thin at the edges.
        nucleus: 1 within nuclei, with soft edges; 0 in mitotic cells.
        hidden: Share of the slice that the nucleus takes from the cytoplasm; its walls slope, so less near its rim.
        chromatin: 1 within the chromosomes of mitotic cells.
        cytoplasm: 1 within cells and outside nuclei and chromosomes, with soft edges; not thinned at the edges.
        depth: Distance in µm from the edge of the cell, inwards; 0 outside.
        beyond: Distance in µm from the rim of the nucleus, negative within.
        contact: Distance in µm (roughly) from the line where two cells touch; large elsewhere.
        debris: Picture of blebs and fragments between the cells, which every stain sticks to.
        grain: Texture of the chromatin, mean 0, variance 1: DNA where positive, nuclear proteins where negative.
        mesh: Texture of the ER's net, about 1 on its tubules and 0.2 in its holes.
        nucleoli: 1 within nucleoli, with soft edges.
        nucleolus: Table (n, 4) of the nucleoli: y, x, radius in µm, row of the cell.
        inclusion: The same of aggresomes, where microtubules and nucleus give way.
        droplet: The same of lipid droplets, holes in the ER.
        microtubules: Their tracks (n, steps, 2) in µm.
        microtubule_cell: Row of the cell of each track.
        lines: The microtubules as a picture, 1 where they are dense.
        filling: What all that fills the cytoplasm shares, about 1: thin and thick parts, organelles that leave no room.
        along: How much of the microtubules runs through a pixel beside its surroundings, about 1.
    """

    canvas: Canvas
    line: CellLine
    cells: Cells
    owner: NDArray[np.uint16]
    nuclei: NDArray[np.uint16]
    body: Image
    nucleus: Image
    hidden: Image
    chromatin: Image
    cytoplasm: Image
    depth: Image
    beyond: Image
    contact: Image
    debris: Image
    grain: Image
    mesh: Image
    nucleoli: Image
    nucleolus: Image = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    inclusion: Image = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    droplet: Image = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    microtubules: Image = field(default_factory=lambda: np.zeros((0, 2, 2), np.float32))
    microtubule_cell: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    lines: Image = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    filling: Image = field(default_factory=lambda: np.ones((1, 1), np.float32))
    along: Image = field(default_factory=lambda: np.ones((1, 1), np.float32))

    def spread(self, values: Values | NDArray[np.bool_]) -> Image:
        """A picture that holds each cell's value in its pixels, 0 outside."""
        return per_cell(self.owner, values)

    def sample(
        self, rng: np.random.Generator, density: Image, counts: NDArray[np.floating]
    ) -> tuple[Image, Image, NDArray[np.intp]]:
        """Draws positions within cells.

        Args:
            rng: Source of randomness.
            density: How likely each pixel is, within its cell.
            counts: How many each cell (n,) would hold if it lay wholly in the field.

        Returns:
            y and x in µm, and the row of the cell, for each position.
        """
        size = self.canvas.size
        weight = np.bincount(self.owner.ravel(), density.ravel(), len(self.cells) + 1)[1:]
        area = np.bincount(self.owner.ravel(), minlength=len(self.cells) + 1)[1:] * self.canvas.pixel_size**2
        shown = np.minimum(1, area / (np.pi * self.cells.long * self.cells.wide * 0.8))
        expected = counts * shown * (weight > 0)
        if not np.any(expected > 0):
            nothing = np.zeros(0, np.float32)
            return nothing, nothing, np.zeros(0, np.intp)
        rate = density * self.spread(expected / np.maximum(weight, 1e-9))
        total = np.cumsum(rate.ravel(), dtype=np.float64)
        number = int(rng.poisson(total[-1]))
        flat = np.searchsorted(total, rng.random(number) * total[-1]).clip(0, size * size - 1)
        y = (flat // size + rng.random(number)) * self.canvas.pixel_size
        x = (flat % size + rng.random(number)) * self.canvas.pixel_size
        return y.astype(np.float32), x.astype(np.float32), self.owner.ravel()[flat].astype(np.intp) - 1

    def at(self, picture: NDArray[Any], y: Image, x: Image) -> NDArray[Any]:
        """The picture's values at positions in µm."""
        rows, columns = self.canvas.pixels(y, x)
        return picture[rows, columns]

    def inward(self, y: Image, x: Image, step: float = 1.0) -> Image:
        """Direction in radians in which the depth grows, at positions in µm."""
        dy = self.at(self.depth, y + step, x) - self.at(self.depth, y - step, x)
        dx = self.at(self.depth, y, x + step) - self.at(self.depth, y, x - step)
        return np.asarray(np.arctan2(dy, dx), np.float32)


def per_cell(owner: NDArray[np.uint16], values: Values | NDArray[np.bool_]) -> Image:
    """A picture that holds each cell's value in its pixels, 0 where there is no cell."""
    return np.concatenate([[0], values]).astype(np.float32)[owner]


@dataclass(slots=True)
class _Fields:
    """Potentials while cells are put in one by one."""

    best: Image
    second: Image
    rim: Image
    owner: NDArray[np.uint16]


def shape_cells(rng: np.random.Generator, canvas: Canvas, line: CellLine, cells: Cells) -> _Fields:
    """Who owns each pixel: the cell whose potential is least, if that is below 1.

    Cells are ellipses, more or less pointed, in coordinates bent by smooth noise, so that outlines are irregular
    and those of neighbours fit.
    """
    radius = line.nucleus / 2 * line.spread
    grid = (np.arange(canvas.size, dtype=np.float32) + 0.5) * canvas.pixel_size
    amplitude = line.rough * rng.uniform(0.8, 1.7)
    ragged = 0.5 * rng.random() ** 2  # µm
    bend = [
        canvas.noise(rng, radius * 0.9) * (amplitude * radius * 0.8)
        + canvas.noise(rng, radius * 0.3) * (amplitude * radius * 0.2)
        + canvas.noise(rng, 2.4) * ragged
        for _ in range(2)
    ]
    lobes = [
        canvas.noise(rng, line.nucleus * 0.4) * (line.lobed * rng.uniform(0.5, 1.7) * line.nucleus / 2)
        for _ in range(2)
    ]
    tails = _tails(rng, line, cells)
    bean = rng.normal(0, 0.12, len(cells)) * (1 + 2 * (rng.random(len(cells)) < 0.15))
    best, second, rim = (np.full(canvas.shape, FAR) for _ in range(3))
    out = _Fields(best, second, rim, np.zeros(canvas.shape, np.uint16))
    for row in range(len(cells)):
        _put_cell(out, canvas, line, cells, row, grid, bend, lobes, tails[row], bean[row])
    return out


def _put_cell(
    out: _Fields,
    canvas: Canvas,
    line: CellLine,
    cells: Cells,
    row: int,
    grid: Image,
    bend: list[Image],
    lobes: list[Image],
    tails: Values,
    bean: float,
) -> None:
    reach = (
        max(cells.long[row] * (1.2 + tails[:, 1].max()) + line.rough * cells.wide[row], cells.nucleus_long[row] * 1.8)
        + 2
    )
    window = tuple(
        slice(max(0, int((c - reach) / canvas.pixel_size)), max(0, int((c + reach) / canvas.pixel_size) + 1))
        for c in (cells.y[row], cells.x[row])
    )
    y, x = grid[window[0], None], grid[None, window[1]]
    if not y.size or not x.size:
        return
    calm = 0.25 if cells.state[row] in MITOTIC else 1.0
    dy, dx = y - cells.y[row] + calm * bend[0][window], x - cells.x[row] + calm * bend[1][window]
    potential = _ellipse(dy, dx, cells.angle[row], cells.long[row], cells.wide[row], line.pointed * calm)
    if calm == 1:
        potential = potential / _stretched(dy, dx, tails)
    rim = _nucleus(cells, row, y + lobes[0][window], x + lobes[1][window], bean)
    potential = np.minimum(potential, 0.6 * rim)
    best, second = out.best[window], out.second[window]
    wins = potential < best
    second[...] = np.where(wins, best, np.minimum(second, potential))
    best[wins] = potential[wins]
    out.rim[window][wins] = rim[wins]
    out.owner[window][wins] = row + 1


def _tails(rng: np.random.Generator, line: CellLine, cells: Cells) -> Values:
    """Directions in which cells are drawn out to points, and by how much of their radius: (n, TAILS, 2)."""
    count = len(cells)
    along = np.repeat(cells.angle[:, None], TAILS, 1) + np.pi * np.arange(TAILS)
    angle = np.where(np.arange(TAILS) < 2, along, 0) + rng.normal(
        0, np.where(np.arange(TAILS) < 2, 0.3, 9), along.shape
    )
    most = (0.12 + 0.5 * line.pointed) * rng.uniform(0.4, 1.6)
    length = most * rng.gamma(1.5, 1 / 1.5, (count, TAILS)) * (rng.random((count, TAILS)) < 0.75)
    return np.stack([angle, length.clip(0, 1.2)], -1).astype(np.float32)


def _stretched(y: Image, x: Image, tails: Values) -> Image:
    """How much farther the outline reaches in each direction, 1 where there is no tail."""
    scale = 1 / np.sqrt(y * y + x * x + np.float32(1e-3))
    reach = np.ones_like(scale)
    for angle, length in tails:
        if length > 0.03:
            toward = np.maximum((y * np.sin(angle) + x * np.cos(angle)) * scale, 0)
            for _ in range(3):
                toward *= toward
            reach += length * toward
    return reach


def _ellipse(y: Image, x: Image, angle: float, long: float, wide: float, pointed: float) -> Image:
    """0 in the centre, 1 on the outline of an ellipse, or of a rhombus where `pointed` is 1."""
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u, v = (x * cos + y * sin) / np.float32(long), (y * cos - x * sin) / np.float32(wide)
    round_ = np.sqrt(u * u + v * v)
    if pointed <= 0:
        return round_
    return np.float32(1 - pointed) * round_ + np.float32(0.85 * pointed) * (np.abs(u) + np.abs(v))


def _nucleus(cells: Cells, row: int, y: Image, x: Image, bean: float) -> Image:
    """0 in the centre, 1 on the outline of a nucleus, more or less bent, or of the chromosomes of a mitotic cell."""
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
