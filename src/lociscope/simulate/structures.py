"""Build the structures that all locations use, once for each field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.simulate.filaments import direct_flow, grow_microtubules, trace_microtubules
from lociscope.simulate.layout import Cells, lay_out
from lociscope.simulate.outlines import FAR, shape_cells
from lociscope.simulate.scene import Scene, per_cell

if TYPE_CHECKING:
    from lociscope.simulate.canvas import Canvas, Image
    from lociscope.simulate.cell_lines import CellLine

TOUCHING = 1.12
"""Potential of the neighbour below which two cells touch."""


def build_scene(
    rng: np.random.Generator,
    canvas: Canvas,
    line: CellLine,
    *,
    mitoses: int = 0,
    bridges: int = 0,
    inclusions: float = 0,
    droplets: float = 0,
    debris: float = 0,
) -> Scene:
    """Lay cells out and render their shared structures.

    Args:
        rng: Source of randomness.
        canvas: Size and scale of the picture.
        line: The cell line.
        mitoses: At least so many cells in mitosis.
        bridges: At least so many pairs of daughters.
        inclusions: Mean number of aggresomes in a cell.
        droplets: Mean number of lipid droplets in a cell.
        debris: Mean number of blebs around a cell.
    """
    cells = lay_out(rng, line, canvas.extent, mitoses=mitoses, bridges=bridges)
    scene = _rasterise(rng, canvas, line, cells)
    _grow_nucleoli(rng, scene)
    scene.speckle = _grow_speckles(rng, scene)
    scene.inclusion = _grow_inclusions(rng, scene, inclusions)
    scene.droplet = _grow_droplets(rng, scene, droplets)
    scene.debris = _scatter_debris(rng, scene, debris)
    scene.flow = direct_flow(rng, scene)
    scene.microtubules, scene.microtubule_cell = grow_microtubules(rng, scene)
    scene.lines = trace_microtubules(rng, scene)
    scene.filling, scene.along = _fill(rng, scene), _follow(rng, scene)
    return scene


def _rasterise(rng: np.random.Generator, canvas: Canvas, line: CellLine, cells: Cells) -> Scene:
    """Compute distances and soft masks, from one potential per cell and one distance transform per field."""
    from scipy.ndimage import distance_transform_edt

    shape = shape_cells(rng, canvas, line, cells)
    owner = np.where(shape.best < 1, shape.owner, 0).astype(np.uint16)
    inside = owner > 0
    edge = np.zeros(canvas.shape, bool)
    edge[:-1] |= owner[:-1] != owner[1:]
    edge[:, :-1] |= owner[:, :-1] != owner[:, 1:]
    depth = distance_transform_edt(inside & ~edge).astype(np.float32) * np.float32(canvas.pixel_size)
    beyond = np.where(inside, (shape.rim - 1) * per_cell(owner, cells.nucleus_radius), FAR * 10)
    soft = np.clip(0.5 - beyond / np.float32(canvas.pixel_size), 0, 1).astype(np.float32)
    slope = np.clip((0.25 - beyond) / rng.uniform(0.5, 2.0), 0, 1)
    sloping = 1 - np.exp((np.minimum(beyond, 0) - rng.uniform(0.1, 0.6)) / rng.uniform(0.5, 1.2))
    mitotic = per_cell(owner, cells.mitotic) > 0
    rise = np.where(cells.mitotic, 1.0, line.rise * np.exp(rng.normal(0, 0.25, len(cells))))
    thick = 1 - np.exp(-(((depth + 0.1) / np.maximum(per_cell(owner, rise), 0.1)) ** rng.uniform(1.4, 2.2)))
    steep = rng.uniform(0, 0.07) * (1 - np.exp(-(depth + 0.1) / rng.uniform(0.2, 0.5)))  # sides of the cell
    thick = np.maximum(thick, steep)
    close = per_cell(owner, cells.radius) * (shape.second - shape.best) / 2
    touching = inside & (shape.second < TOUCHING)
    wall = rng.uniform(0.35, 1.0) * np.exp(-close / 3)  # cells stand high where they lean on one another
    body = np.where(inside, np.where(touching, np.maximum(thick, wall), thick), 0)
    return Scene(
        canvas=canvas,
        line=line,
        cells=cells,
        owner=owner,
        nuclei=np.where((beyond < 0) & inside, owner, 0).astype(np.uint16),
        body=body.astype(np.float32),
        nucleus=np.where(mitotic, 0, soft),
        inner=np.where(mitotic, 0, soft * sloping).astype(np.float32),
        hidden=np.where(mitotic, soft, slope).astype(np.float32),
        chromatin=np.where(mitotic, soft, 0),
        cytoplasm=np.where(inside, 1 - np.where(mitotic, soft, slope), 0).astype(np.float32),
        depth=depth,
        beyond=beyond.astype(np.float32),
        contact=np.where(touching, close, FAR * 10).astype(np.float32),
        grain=_chromatin(rng, canvas),
        debris=canvas.blank(),
        mesh=_mesh(rng, canvas),
        nucleoli=canvas.blank(),
    )


def _chromatin(rng: np.random.Generator, canvas: Canvas) -> Image:
    """Return the texture of chromatin, from even to mottled: grains of 0.3–0.8 µm and patches of 0.8–2 µm."""
    mottled = rng.uniform(0.15, 0.6)
    patches = canvas.noise(rng, rng.uniform(0.8, 2.0))
    grains = canvas.noise(rng, rng.uniform(0.3, 0.8))
    return np.asarray(mottled * patches + np.float32(np.sqrt(1 - mottled**2)) * grains, np.float32)


def _mesh(rng: np.random.Generator, canvas: Canvas) -> Image:
    """Return ridges of smooth noise, as of a net of tubules; at 0.3 µm/px they look like grains."""
    net = canvas.noise(rng, rng.uniform(0.6, 1.0)) + 0.4 * canvas.noise(rng, 1.8)
    grains = np.exp(rng.uniform(0.1, 0.35) * canvas.noise(rng, 0.5))
    return np.asarray(0.2 + np.exp(-np.abs(net) * rng.uniform(0.5, 1.2)) * grains, np.float32)


def _grow_nucleoli(rng: np.random.Generator, scene: Scene) -> None:
    """Add a few lobed discs to each nucleus, apart from one another."""
    cells = scene.cells
    mean = scene.line.nucleoli * rng.uniform(0.7, 1.3)
    counts = np.where(cells.mitotic, 0, rng.poisson(mean - 0.8, len(cells)).clip(0, 7) + 1)
    cell = np.repeat(np.arange(len(cells)), counts)
    if not len(cell):
        return
    way, away = rng.uniform(0, 2 * np.pi, len(cell)), 0.72 * np.sqrt(rng.random(len(cell)))
    u, v = away * np.cos(way) * cells.nucleus_long[cell], away * np.sin(way) * cells.nucleus_wide[cell]
    turn = cells.nucleus_angle[cell]
    y = cells.nucleus_y[cell] + u * np.sin(turn) + v * np.cos(turn)
    x = cells.nucleus_x[cell] + u * np.cos(turn) - v * np.sin(turn)
    room = cells.nucleus_radius[cell] / np.sqrt(counts[cell])
    radius = np.clip(room * rng.uniform(0.14, 0.42, len(cell)), 0.45, 2.6)
    scene.nucleolus = np.stack([y, x, radius, cell], 1).astype(np.float32)
    parts = np.repeat(np.arange(len(cell)), 3)
    size = radius[parts] * rng.uniform(0.55, 0.95, len(parts))
    lobes = scene.canvas.discs(
        y[parts] + rng.normal(0, 0.5, len(parts)) * radius[parts],
        x[parts] + rng.normal(0, 0.5, len(parts)) * radius[parts],
        size, stretch=rng.uniform(1, 1.8, len(parts)), angle=rng.uniform(0, np.pi, len(parts)),
    )  # fmt: skip
    scene.nucleoli = np.clip(lobes, 0, 1) * (scene.beyond < -0.4) * scene.nucleus


def _grow_speckles(rng: np.random.Generator, scene: Scene) -> Image:
    """Return gaps between the chromatin, about 20–50 in a nucleus, never in nucleoli."""
    patches = np.exp(0.3 * scene.canvas.noise(rng, 2.0) - 0.8 * scene.grain)
    density = scene.nucleus * (scene.beyond < -0.6) * (1 - scene.nucleoli) ** 3 * patches
    mean = rng.uniform(20, 45) * (scene.cells.nucleus_radius / 7) ** 2
    y, x, cell = scene.sample(rng, density, mean)
    radius = np.clip(0.46 * np.exp(rng.normal(0, 0.38, len(y))), 0.15, 1.2)
    return np.stack([y, x, radius, cell], 1).astype(np.float32)


def _grow_inclusions(rng: np.random.Generator, scene: Scene, mean: float) -> Image:
    """Return dense balls where the microtubules meet, beside the nucleus."""
    cells = scene.cells
    counts = np.where(cells.mitotic, 0, np.minimum(rng.poisson(mean, len(cells)), 4)) if mean > 0 else 0
    cell = np.repeat(np.arange(len(cells)), counts)
    radius = rng.uniform(0.5, 1.3, len(cell))
    way = np.arctan2(cells.pole_y - cells.nucleus_y, cells.pole_x - cells.nucleus_x)[cell]
    way = way + rng.normal(0, 0.6, len(cell))
    away = cells.nucleus_radius[cell] + radius * rng.uniform(0.2, 2.2, len(cell))
    y, x = cells.nucleus_y[cell] + away * np.sin(way), cells.nucleus_x[cell] + away * np.cos(way)
    return np.stack([y, x, radius, cell], 1).astype(np.float32)


def _scatter_debris(rng: np.random.Generator, scene: Scene, mean: float) -> Image:
    """Return round blebs at the free edges of cells; some cells have many, most have few."""
    if mean <= 0:
        return scene.canvas.blank()
    rim = (scene.depth > 0) & (scene.depth < 0.8) & (scene.contact > 2)
    counts = mean * rng.gamma(0.5, 2, len(scene.cells))
    y, x, _ = scene.sample(rng, rim.astype(np.float32), counts)
    outward = scene.inward(y, x, 1.5) + np.pi
    away = rng.uniform(-0.4, 1.0, len(y))
    y, x = y + away * np.sin(outward), x + away * np.cos(outward)
    radius = rng.uniform(0.35, rng.uniform(0.8, 1.8), len(y))
    blebs = scene.canvas.discs(
        y, x, radius, rng.gamma(2, 0.5, len(y)), hollow=rng.uniform(0.1, 0.5),
        stretch=rng.uniform(1, 1.5, len(y)), angle=rng.uniform(0, np.pi, len(y)),
    )  # fmt: skip
    return scene.canvas.blur(blebs, 0.15)


def _grow_droplets(rng: np.random.Generator, scene: Scene, mean: float) -> Image:
    """Return round droplets in clusters around the nucleus; cells differ strongly."""
    cells = scene.cells
    counts = mean * rng.gamma(1.2, 1 / 1.2, len(cells)) * ~cells.mitotic
    patches = np.exp(1.2 * scene.canvas.noise(rng, 4)) if mean > 0 else scene.canvas.blank()
    density = scene.cytoplasm * np.exp(-np.maximum(scene.beyond, 0) / 4) * patches
    y, x, cell = scene.sample(rng, density, counts)
    radius = np.clip(0.36 * np.exp(rng.normal(0, 0.35, len(y))), 0.2, 1.2)
    return np.stack([y, x, radius, cell], 1).astype(np.float32)


def _fill(rng: np.random.Generator, scene: Scene) -> Image:
    """Return thin and thick parts of the cytoplasm, and round organelles that exclude other structures."""
    canvas = scene.canvas
    uneven = rng.uniform(0.1, 0.35) * canvas.noise(rng, rng.uniform(1.5, 3.0)) + 0.1 * canvas.noise(rng, 6)
    many = rng.gamma(1.0, 14, len(scene.cells)) * rng.uniform(0.2, 1.5) * ~scene.cells.mitotic
    y, x, _ = scene.sample(rng, scene.cytoplasm * np.exp(-np.maximum(scene.beyond, 0) / 8), many)
    radius = np.clip(0.45 * np.exp(rng.normal(0, 0.4, len(y))), 0.2, 1.8)
    holes = np.clip(canvas.discs(y, x, radius), 0, 1)
    return np.asarray(np.exp(uneven) * (1 - rng.uniform(0.4, 0.85) * holes), np.float32)


def _follow(rng: np.random.Generator, scene: Scene) -> Image:
    """Return the density of ER and organelles along microtubules: more where there are more of them than around."""
    canvas = scene.canvas
    near, around = canvas.blur(scene.lines, rng.uniform(0.15, 0.35)), canvas.blur(scene.lines, 2.5)
    return np.clip((near + 0.1) / (around + 0.1), 0.2, 1.9).astype(np.float32)
