"""Lay out the cells of a field: positions, directions, and which of them divide."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from lociscope.simulate.cell_lines import CellLine

Column = NDArray[np.floating]


class State(IntEnum):
    """State of a cell."""

    INTERPHASE = 0
    PROMETAPHASE = 1
    METAPHASE = 2
    ANAPHASE = 3
    DAUGHTER = 4


MITOTIC = (State.PROMETAPHASE, State.METAPHASE, State.ANAPHASE)
MITOTIC_SHARE = 0.010
"""Mean share of cells in mitosis; by eye on real fields; lines in culture reach 5 %."""
ROOM = (0.96, 1.15)
"""Least distance of two nuclei, as a share of the sum of their radii: in some cultures nuclei press on one another."""
BRIDGE_SHARE = 0.01
"""Mean share of cells that still hang on their sister by a bridge."""


@dataclass(slots=True)
class Cells:
    """One row per cell; positions and lengths in µm, angles in radians from x towards y.

    Attributes:
        y: Centre of the cell.
        x: Centre of the cell.
        angle: Direction of its long axis.
        long: Half the long axis.
        wide: Half the other axis.
        nucleus_y: Centre of the nucleus.
        nucleus_x: Centre of the nucleus.
        nucleus_angle: Direction of its long axis.
        nucleus_long: Half the long axis of the nucleus.
        nucleus_wide: Half the other axis of the nucleus.
        pole_y: The organising centre of the microtubules.
        pole_x: The organising centre of the microtubules.
        state: A `State`.
        partner: Row of the sister that a bridge leads to, or -1.
    """

    y: Column
    x: Column
    angle: Column
    long: Column
    wide: Column
    nucleus_y: Column
    nucleus_x: Column
    nucleus_angle: Column
    nucleus_long: Column
    nucleus_wide: Column
    pole_y: Column
    pole_x: Column
    state: NDArray[np.int8]
    partner: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: NDArray[np.intp]) -> Cells:
        """Return those rows, in that order; a partner that is left out becomes -1."""
        place = np.full(len(self) + 1, -1, np.intp)
        place[rows] = np.arange(len(rows))
        picked = Cells(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})
        picked.partner = place[picked.partner]
        return picked

    @property
    def nucleus_radius(self) -> Column:
        """Radius in µm of a circle of the nucleus's area."""
        return np.sqrt(self.nucleus_long * self.nucleus_wide)

    @property
    def radius(self) -> Column:
        """Radius in µm of a circle of the cell's area."""
        return np.sqrt(self.long * self.wide)

    @property
    def mitotic(self) -> NDArray[np.bool_]:
        """Which cells are rounded up, without a nucleus."""
        return np.isin(self.state, MITOTIC)


def lay_out(rng: np.random.Generator, line: CellLine, extent: float, *, mitoses: int = 0, bridges: int = 0) -> Cells:
    """Position the cells of one field, including those that its border crops.

    Args:
        rng: Source of randomness.
        line: The cell line.
        extent: Side of the field in µm.
        mitoses: At least so many cells in mitosis.
        bridges: At least so many pairs of daughters.

    Returns:
        The cells; at least one has its nucleus in the field.
    """
    radius = line.nucleus / 2 * line.spread
    y, x, lean = _sites(rng, line, extent, radius, 1 + mitoses + bridges)
    count = len(y)
    nucleus = line.nucleus / 2 * np.exp(rng.normal(0, 0.1, count)) * np.where(rng.random(count) < 0.04, 1.3, 1)
    size = nucleus * 0.95 * line.spread * np.exp(rng.normal(0, 0.2, count))
    stretch = np.maximum(1, 1 + (line.stretch - 0.4) * rng.gamma(2, 1 / 2, count))
    oval = np.maximum(1.02, 1 + (line.oval - 0.88) * rng.gamma(3, 1 / 3, count))
    angle = lean + rng.normal(0, 0.15 + 1.5 * (1 - line.aligned), count)
    shift = rng.uniform(0, 0.22, count) * (size - nucleus)
    way = rng.uniform(0, 2 * np.pi, count)
    nucleus_angle = angle + rng.normal(0, 0.4, count)
    ny, nx = y + shift * np.sin(way), x + shift * np.cos(way)
    reach = nucleus + rng.uniform(0.2, 1.8, count) * (1 - 0.5 * (rng.random(count) < 0.25))
    reach = np.where(rng.random(count) < 0.2, nucleus * rng.uniform(0.2, 0.9, count), reach)
    side = np.where(rng.random(count) < 0.5, angle, angle + np.pi) + rng.normal(0, 0.9, count)
    table = (
        y, x, angle, size * np.sqrt(stretch), size / np.sqrt(stretch),
        ny, nx, nucleus_angle, nucleus * np.sqrt(oval), nucleus / np.sqrt(oval),
        ny + reach * np.sin(side), nx + reach * np.cos(side),
    )  # fmt: skip
    columns: list[Any] = [np.asarray(column, np.float32) for column in table]
    columns += [np.zeros(count, np.int8), np.full(count, -1, np.intp)]
    cells = Cells(*columns)
    return _thin_out(rng, _divide(rng, cells, extent, mitoses, bridges), extent)


def _sites(rng: np.random.Generator, line: CellLine, extent: float, radius: float, least: int) -> tuple[Column, ...]:
    """Return centres on a jittered, rotated and stretched lattice, thinned to islands, and the direction at each.

    At least `least` are kept in the middle of the field.
    """
    spacing = radius * 1.72 * rng.uniform(0.85, 1.15)
    pull = np.sqrt(1 + (line.stretch - 1) * line.aligned)
    reach = int((extent / 2 + radius * 1.5) * 1.5 * pull / spacing) + 2
    rows, columns = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1), indexing="ij")
    v = (rows * 0.866 + rng.normal(0, 0.15, rows.shape)) * spacing / pull
    u = (columns + 0.5 * (rows % 2) + rng.normal(0, 0.17, rows.shape)) * spacing * pull
    lean = rng.uniform(0, np.pi)
    v, u = v + rng.uniform(0, spacing), u + rng.uniform(0, spacing)
    y = extent / 2 + v.ravel() * np.cos(lean) + u.ravel() * np.sin(lean)
    x = extent / 2 - v.ravel() * np.sin(lean) + u.ravel() * np.cos(lean)
    cover = np.clip(line.cover * rng.uniform(0.85, 1.15), 0.1, 1)
    waves = _waves(rng, y, x, 70)
    crowd = np.clip(0.5 + 2.5 * (waves + 1.6 * (cover - 0.5)), 0, 1)
    keep = rng.random(len(y)) < line.clumped * crowd + (1 - line.clumped) * cover
    margin = radius * 1.4
    keep &= (y > -margin) & (y < extent + margin) & (x > -margin) & (x < extent + margin)
    central = np.argsort(np.maximum(np.abs(y - extent / 2), np.abs(x - extent / 2)))[: 2 * least]
    if np.sum(keep[central]) < least:
        keep[central[:least]] = True
    turn = _waves(rng, y, x, 120) * (1 - line.aligned)
    return y[keep], x[keep], (lean + turn)[keep]


def _waves(rng: np.random.Generator, y: Column, x: Column, wavelength: float) -> Column:
    """Return a smooth random function of the position, within about -1…1."""
    k = rng.normal(0, 2 * np.pi / wavelength / 1.4, (2, 5))
    phase = np.outer(y, k[0]) + np.outer(x, k[1]) + rng.uniform(0, 2 * np.pi, 5)
    return np.asarray(1.5 * np.cos(phase).mean(1))


def _divide(rng: np.random.Generator, cells: Cells, extent: float, mitoses: int, bridges: int) -> Cells:
    """Round some cells up for mitosis and split others into daughters, which come first in the result."""
    middle = np.minimum(np.minimum(cells.y, extent - cells.y), np.minimum(cells.x, extent - cells.x))
    order = rng.permutation(len(cells))
    order = order[np.argsort(middle[order] < 6, kind="stable")]
    mitotic = max(mitoses, int(rng.poisson(MITOTIC_SHARE * rng.gamma(1.5, 1 / 1.5) * len(cells))))
    pairs = max(bridges, int(rng.poisson(BRIDGE_SHARE * len(cells))))
    rounding, splitting = order[:mitotic], order[mitotic : mitotic + pairs]
    _round_up(rng, cells, rounding)
    sisters = _split(rng, cells, splitting)
    joined = Cells(*(np.concatenate([getattr(cells, f.name), getattr(sisters, f.name)]) for f in fields(Cells)))
    joined.partner[splitting] = len(cells) + np.arange(len(splitting))
    joined.partner[len(cells) :] = splitting
    first = np.concatenate([rounding, splitting, joined.partner[splitting]])
    return joined.take(np.concatenate([first, np.setdiff1d(np.arange(len(joined)), first)]))


def _round_up(rng: np.random.Generator, cells: Cells, rows: NDArray[np.intp]) -> None:
    count = len(rows)
    cells.state[rows] = rng.choice(MITOTIC, count, p=(0.35, 0.45, 0.2))
    radius = cells.nucleus_radius[rows] * rng.uniform(1.15, 1.4, count)
    long = radius * np.where(cells.state[rows] == State.ANAPHASE, 1.3, rng.uniform(1, 1.15, count))
    cells.long[rows], cells.wide[rows] = long, radius
    cells.nucleus_y[rows], cells.nucleus_x[rows] = cells.y[rows], cells.x[rows]
    cells.pole_y[rows], cells.pole_x[rows] = cells.y[rows], cells.x[rows]
    cells.nucleus_angle[rows] = cells.angle[rows]


def _split(rng: np.random.Generator, cells: Cells, rows: NDArray[np.intp]) -> Cells:
    """Make each of the rows a daughter, in place, and return their sisters."""
    sisters = Cells(*(getattr(cells, field.name)[rows].copy() for field in fields(Cells)))
    count = len(rows)
    way = rng.uniform(0, 2 * np.pi, count)
    gap = rng.uniform(0.6, 3.5, count)
    shrink = rng.uniform(0.62, 0.8, count)
    old = cells.y[rows].copy(), cells.x[rows].copy()
    body = np.maximum(cells.nucleus_radius[rows] * shrink * 1.25, cells.radius[rows] * rng.uniform(0.5, 0.7, count))
    for side, who, at in ((-1, cells, rows), (1, sisters, np.arange(count))):
        nucleus = who.nucleus_radius[at] * shrink
        away = body + gap
        y, x = old[0] + side * away * np.sin(way), old[1] + side * away * np.cos(way)
        who.y[at], who.x[at], who.angle[at] = y, x, way
        who.long[at], who.wide[at] = body * 1.1, body * 0.95
        who.nucleus_y[at], who.nucleus_x[at] = y + side * np.sin(way), x + side * np.cos(way)
        who.nucleus_angle[at] = way + np.pi / 2
        who.nucleus_long[at], who.nucleus_wide[at] = nucleus * 1.15, nucleus / 1.15
        who.pole_y[at] = who.nucleus_y[at] + side * nucleus * np.sin(way)
        who.pole_x[at] = who.nucleus_x[at] + side * nucleus * np.cos(way)
        who.state[at] = State.DAUGHTER
    return sisters


def _thin_out(rng: np.random.Generator, cells: Cells, extent: float) -> Cells:
    """Remove cells whose nucleus would overlap that of a cell before them."""
    kept: list[int] = []
    radius, room = cells.nucleus_radius, rng.uniform(*ROOM)
    for row in range(len(cells)):
        near = np.hypot(cells.nucleus_y[kept] - cells.nucleus_y[row], cells.nucleus_x[kept] - cells.nucleus_x[row])
        sister = np.asarray(kept, np.intp) == cells.partner[row]
        if not np.any((near < room * (radius[kept] + radius[row])) & ~sister):
            kept.append(row)
    margin = 2.2 * cells.radius + 2
    rows = np.asarray(kept, np.intp)
    near_field = (cells.y > -margin) & (cells.y < extent + margin) & (cells.x > -margin) & (cells.x < extent + margin)
    return cells.take(rows[near_field[rows]])
