"""Grow filaments: microtubules, spindles, bridges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.simulate.canvas import Canvas
from lociscope.simulate.layout import State
from lociscope.simulate.scene import per_cell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lociscope.simulate.canvas import Image, Values
    from lociscope.simulate.scene import Scene

STEP = 1.1
"""Length in µm of one step of a filament's walk."""
STEEP = 2.0
"""Rise in µm below which the sides of a cell are so steep that a slice shows the microtubules of its cortex."""
AT_NUCLEUS = 0.4
"""Share of microtubules that start at the organising centre or the nucleus."""
FLOW_PIXEL = 0.96
"""Distance in µm between the points at which the flow of a cell is known."""


def walk(
    rng: np.random.Generator,
    scene: Scene,
    y: Image,
    x: Image,
    cell: NDArray[np.intp],
    angle: NDArray[np.floating],
    steps: int,
    wander: float,
    step: float = STEP,
    follow: Values | float = 0.0,
) -> Image:
    """Grow filaments within their cells; at the edge they turn and follow it.

    Args:
        rng: Source of randomness.
        scene: The cells.
        y: Where each starts, (n,) in µm.
        x: Where each starts.
        cell: Row of the cell of each.
        angle: First direction in radians.
        steps: Number of steps.
        wander: Standard deviation of the change of direction in each step, radians.
        step: Length of a step in µm.
        follow: How strongly they turn into the flow of the cell (`scene.flow`), radians of a step at most, one or (n,).

    Returns:
        Tracks (n, steps + 1, 2), y before x, in µm. One that is stuck stays where it is.
    """
    count = len(y)
    tracks = np.empty((steps + 1, 2, count), np.float32)
    tracks[0] = y, x
    own = (cell + 1).astype(np.uint16)
    turn = rng.choice(np.array([-0.9, 0.9], np.float32), count)
    angle = angle.astype(np.float32)
    curl = rng.standard_normal((steps, count), dtype=np.float32) * np.float32(0.6 * wander)
    curl += rng.standard_normal(count, dtype=np.float32) * np.float32(0.6 * wander)
    extent, scale = scene.canvas.extent, 1 / scene.canvas.pixel_size
    last = scene.canvas.size - 1
    flat = scene.owner.ravel()
    flow = [part.ravel() for part in scene.flow]
    side, turns = scene.flow[0].shape[1], bool(np.any(follow))
    pull = np.asarray(follow, np.float32)
    for k in range(steps):
        here = tracks[k]
        sine, cosine = np.sin(angle), np.cos(angle)
        if turns:
            at = np.clip((here * np.float32(side / extent)).astype(np.int32), 0, side - 1)
            at = at[0] * side + at[1]
            turning = flow[0][at] * (1 - 2 * sine * sine) - flow[1][at] * (2 * sine * cosine)
            angle = angle + pull * turning
            sine, cosine = np.sin(angle), np.cos(angle)
        there = here + np.float32(step) * np.stack([sine, cosine])
        spot = (there * scale).astype(np.int32)
        np.clip(spot, 0, last, out=spot)
        outside = (there[0] < 0) | (there[0] >= extent) | (there[1] < 0) | (there[1] >= extent)
        free = (flat[spot[0] * (last + 1) + spot[1]] == own) | outside
        tracks[k + 1] = np.where(free, there, here)
        angle = angle + np.where(free, curl[k], turn)
    return np.ascontiguousarray(np.moveaxis(tracks, -1, 0))


def direct_flow(rng: np.random.Generator, scene: Scene) -> tuple[Image, Image]:
    """Return the direction that filaments follow: sine and cosine of twice its angle, times its strength 0–1.

    Along the edge and around the nucleus, along the axis of long cells, out from the organising centre in flat ones;
    on a grid of about `FLOW_PIXEL`, which is finer than any of these turns.
    """
    canvas, cells = scene.canvas, scene.cells
    block = max(1, round(FLOW_PIXEL / canvas.pixel_size))
    every = slice(block // 2, None, block)
    owner, depth, beyond = scene.owner[every, every], scene.depth[every, every], scene.beyond[every, every]
    flow = np.zeros((2, *owner.shape), np.float32)
    for distance, reach, strength in (
        (depth, rng.uniform(1.5, 4.0), rng.uniform(0.3, 1.0)),
        (np.maximum(beyond, 0), rng.uniform(1.0, 3.0), rng.uniform(0.0, 0.6)),
    ):
        dy, dx = np.gradient(distance)
        steep = dx * dx + dy * dy + np.float32(1e-6)
        weight = strength * np.exp(-distance / np.float32(reach)) / steep
        flow += weight * np.stack([-2 * dx * dy, dy * dy - dx * dx])
    long = 1 - cells.wide / cells.long
    axis = rng.uniform(0.3, 1.3) * np.minimum(long, 0.5) * ~cells.mitotic
    flow += np.stack([per_cell(owner, axis * np.sin(2 * cells.angle)), per_cell(owner, axis * np.cos(2 * cells.angle))])
    coarse = Canvas(owner.shape[0], canvas.extent / owner.shape[0])
    grid = (np.arange(coarse.size, dtype=np.float32) + 0.5) * np.float32(coarse.pixel_size)
    dy = grid[:, None] - per_cell(owner, cells.pole_y)
    dx = grid[None, :] - per_cell(owner, cells.pole_x)
    square = dy * dy + dx * dx + np.float32(1)
    radial = np.float32(rng.uniform(0.0, 0.8) * min(1.0, scene.line.rise / 4)) / square
    flow += radial * np.stack([2 * dy * dx, dx * dx - dy * dy])
    swirl = rng.uniform(0.1, 0.5)  # bundles cross and bend
    flow += np.float32(swirl) * np.stack([coarse.noise(rng, 9), coarse.noise(rng, 9)])
    flow /= np.maximum(1, np.hypot(flow[0], flow[1]))
    return flow[0], flow[1]


def grow_microtubules(rng: np.random.Generator, scene: Scene) -> tuple[Image, NDArray[np.intp]]:
    """Return the tracks of the microtubules, and the row of the cell of each.

    Some start at the organising centre, some around the nucleus, the rest anywhere in the cell; none in mitotic cells.
    """
    cells, line = scene.cells, scene.line
    dense = rng.uniform(0.7, 1.4)
    counts = np.where(cells.mitotic, 0, np.clip(dense * cells.radius**2 * 1.6, 120, 650)).astype(np.intp)
    cell = np.repeat(np.arange(len(cells)), counts)
    kind = rng.random(len(cell))
    from_pole, around = kind < rng.uniform(0.02, 0.2), rng.uniform(0, 2 * np.pi, len(cell))
    away = rng.uniform(0.95, 1.2, len(cell)) * cells.nucleus_radius[cell]
    spread = rng.normal(0, 0.5, (2, len(cell)))
    y = np.where(from_pole, cells.pole_y[cell] + spread[0], cells.nucleus_y[cell] + away * np.sin(around))
    x = np.where(from_pole, cells.pole_x[cell] + spread[1], cells.nucleus_x[cell] + away * np.cos(around))
    angle = rng.uniform(0, 2 * np.pi, len(cell))
    bound = kind < AT_NUCLEUS
    cortex = rng.uniform(0, 1.5) * (line.rise < STEEP)
    density = scene.cytoplasm * (1 + np.float32(cortex) * np.exp(-scene.depth / np.float32(1.5)))
    ay, ax, acell = scene.sample(rng, density, (1 - AT_NUCLEUS) * counts)
    y, x = np.concatenate([y[bound], ay]), np.concatenate([x[bound], ax])
    cell = np.concatenate([cell[bound], acell])
    angle = np.concatenate([angle[bound], rng.uniform(0, 2 * np.pi, len(acell))])
    steps = int(np.clip(line.nucleus / 2 * line.spread * np.sqrt(line.stretch) * 1.45 / STEP, 10, 36))
    wander, follow = rng.uniform(0.1, 0.27), rng.uniform(0.2, 0.7) * np.sqrt(rng.random(len(cell)))
    tracks = walk(rng, scene, y.astype(np.float32), x.astype(np.float32), cell, angle, steps, wander, follow=follow)
    keep = np.minimum(rng.integers(steps // 3, steps + 2, len(cell)), steps)
    step = np.minimum(np.arange(steps + 1), keep[:, None])
    return tracks[np.arange(len(cell))[:, None], step], cell


def trace_microtubules(rng: np.random.Generator, scene: Scene) -> Image:
    """Render the microtubules as lines, 1 where they are dense; bundles are dimmer than the sum of their lines."""
    tracks, cell, cells = scene.microtubules, scene.microtubule_cell, scene.cells
    steps = tracks.shape[1] - 1
    weight = np.clip(1 + np.float32(0.4) * rng.standard_normal((len(tracks), steps), dtype=np.float32), 0.1, 3)
    weight *= rng.gamma(1.3, 1 / 1.3, (len(tracks), 1)).astype(np.float32)
    pole = np.stack([cells.pole_y, cells.pole_x], 1).astype(np.float32)[cell]
    away = np.square(tracks[:, 1:] - pole[:, None]).sum(-1)
    weight *= 1 + np.float32(rng.uniform(0, 0.9)) * np.exp(away / np.float32(-4))
    lines = scene.canvas.strokes(tracks, weight)
    lines = lines / (1 + np.float32(0.04) * lines)
    level = float(np.quantile(lines[lines > 0], 0.7)) if np.any(lines > 0) else 1.0
    return np.asarray(lines / np.float32(max(level, 1e-6)))


def microtubules(rng: np.random.Generator, scene: Scene, *, over_nucleus: float) -> Image:
    """Render the microtubules, dim at the edges and over the nucleus.

    Args:
        rng: Source of randomness.
        scene: The cells.
        over_nucleus: How much of them shows across the nucleus, 0–1.
    """
    thick = scene.body ** rng.uniform(1.3, 2.4) * scene.filling
    around = 1 - rng.uniform(0.2, 0.75) * np.exp(-np.abs(scene.beyond - 2) / 3)
    return np.asarray(scene.lines * thick * around * (1 - (1 - over_nucleus) * scene.hidden))


def spindles(rng: np.random.Generator, scene: Scene, *, dots: bool = False) -> Image:
    """Render the spindles of mitotic cells: two fans of lines from the poles to the plate.

    Args:
        rng: Source of randomness.
        scene: The cells.
        dots: The poles alone.
    """
    rows = np.flatnonzero(scene.cells.mitotic)
    if not len(rows):
        return scene.canvas.blank()
    cells = scene.cells
    half = cells.nucleus_radius[rows] * np.where(cells.state[rows] == State.ANAPHASE, 0.85, 0.72)
    angle = cells.nucleus_angle[rows]
    side = np.array([-1, 1])
    py = cells.nucleus_y[rows, None] + side * (half * np.sin(angle))[:, None]
    px = cells.nucleus_x[rows, None] + side * (half * np.cos(angle))[:, None]
    if dots:
        return scene.canvas.dots(py.ravel(), px.ravel(), 0.5, 1.0)
    count = 36
    reach = rng.uniform(0.35, 1.15, (len(rows), 2, count)) * half[:, None, None]
    across = rng.normal(0, 0.33, (len(rows), 2, count)) * half[:, None, None]
    sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    inward = -side[None, :, None] * reach
    start = np.stack(np.broadcast_arrays(py[..., None], px[..., None], reach)[:2], -1)
    end = start + np.stack([inward * sine + across * cosine, inward * cosine - across * sine], -1)
    middle = (start + end) / 2 + 0.25 * np.stack([across * cosine, -across * sine], -1)
    tracks = np.stack([start, middle, end], -2).reshape(-1, 3, 2)
    poles = scene.canvas.dots(py.ravel(), px.ravel(), 0.7, 6.0)
    return scene.canvas.strokes(tracks, np.ones(len(tracks))) + poles


def bridges(rng: np.random.Generator, scene: Scene, style: str = "cones") -> Image:
    """Render bridges as bundles of fibres that part from 0.4 µm at the middle to 1–2 µm at the cells, slightly bent.

    Args:
        rng: Source of randomness.
        scene: The cells.
        style: "cones" for both bundles, "midbody" for their tips, "ring" for the ring around the gap.
    """
    cells = scene.cells
    rows = np.flatnonzero(cells.partner > np.arange(len(cells)))
    if not len(rows):
        return scene.canvas.blank()
    start, end = (np.stack([cells.y[each], cells.x[each]], 1) for each in (rows, cells.partner[rows]))
    way = (end - start) / np.maximum(np.hypot(*(end - start).T), 0.1)[:, None]
    middle = (start + end) / 2 + rng.normal(0, 0.3, way.shape)
    angle = np.arctan2(way[:, 0], way[:, 1])
    if style == "ring":
        return scene.canvas.discs(
            middle[:, 0], middle[:, 1], rng.uniform(0.6, 0.9), hollow=0.85, stretch=2.2, angle=angle + np.pi / 2
        )
    count = 28
    side = np.where(np.arange(count) % 2, 1.0, -1.0)[:, None]
    reach = np.array([0.06, 0.3, 0.65, 1.0]) * rng.uniform(0.7, 1, (len(rows), count, 1))
    reach = reach * (rng.uniform(1.2, 1.8) if style == "midbody" else rng.uniform(3, 7, (len(rows), 1, 1)))
    open_by = rng.normal(0, 1, (len(rows), count, 1)) * (0.12 + 0.14 * reach)
    bend = rng.normal(0, 0.02, (len(rows), 2, 1))[:, np.arange(count) % 2] * reach**2
    across = np.stack([way[:, 1], -way[:, 0]], 1)
    along = way[:, None, None] * (side * reach)[..., None]
    tracks = middle[:, None, None] + along + across[:, None, None] * (open_by + bend)[..., None]
    weight = np.tile([1.0, 0.8, 0.45], (len(rows) * count, 1)) * rng.gamma(4, 0.25, (len(rows) * count, 1))
    return scene.canvas.threads(tracks.reshape(-1, 4, 2), 0.1, weight)
