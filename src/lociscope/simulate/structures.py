"""The structures that all places refer to: nucleoli, microtubules, ER; and the three reference channels."""

import numpy as np
from numpy.typing import NDArray

from lociscope.simulate.draw import Canvas, Image, unit
from lociscope.simulate.layout import State, lay_out
from lociscope.simulate.scene import FAR, Scene, shape_cells
from lociscope.simulate.specimen import CellLine

STEP = 1.1
"""Length in µm of one step of a filament's walk."""


def build_scene(
    rng: np.random.Generator,
    canvas: Canvas,
    line: CellLine,
    *,
    mitoses: int = 0,
    bridges: int = 0,
    inclusions: float = 0,
    droplets: float = 0,
) -> Scene:
    """Lays cells out and draws their shared structures.

    Args:
        rng: Source of randomness.
        canvas: Size and scale of the picture.
        line: The cell line.
        mitoses: At least so many cells in mitosis.
        bridges: At least so many pairs of daughters.
        inclusions: Mean number of aggresomes in a cell.
        droplets: Mean number of lipid droplets in a cell.
    """
    from scipy.ndimage import distance_transform_edt

    cells = lay_out(rng, line, canvas.extent, mitoses=mitoses, bridges=bridges)
    shape = shape_cells(rng, canvas, line, cells)
    owner = np.where(shape.best < 1, shape.owner, 0).astype(np.uint16)
    inside = owner > 0
    edge = np.zeros(canvas.shape, bool)
    edge[:-1] |= owner[:-1] != owner[1:]
    edge[:, :-1] |= owner[:, :-1] != owner[:, 1:]
    depth = distance_transform_edt(inside & ~edge).astype(np.float32) * np.float32(canvas.pixel_size)
    scene = Scene(
        canvas, line, cells, owner, owner, *(canvas.blank() for _ in range(8)),
        *(np.zeros((0, 4), np.float32) for _ in range(3)), np.zeros((0, 2, 2), np.float32), np.zeros(0, np.intp),
    )  # fmt: skip
    scene.depth = depth
    radius = scene.spread(cells.nucleus_radius)
    scene.beyond = np.where(inside, (shape.rim - 1) * radius, FAR * 10).astype(np.float32)
    soft = np.clip(0.5 - scene.beyond / np.float32(canvas.pixel_size), 0, 1)
    mitotic = scene.spread(cells.mitotic) > 0
    scene.nucleus, scene.chromatin = np.where(mitotic, 0, soft), np.where(mitotic, soft, 0)
    scene.nuclei = np.where((scene.beyond < 0) & inside, owner, 0).astype(np.uint16)
    rise = np.where(cells.mitotic, 1.0, line.rise * np.exp(rng.normal(0, 0.25, len(cells))))
    thick = 1 - np.exp(-(depth + 0.25) / np.maximum(scene.spread(rise), 0.1))
    scene.body = np.where(inside, thick, 0).astype(np.float32)
    scene.cytoplasm = (inside * (1 - soft)).astype(np.float32)
    close = scene.spread(cells.radius) * (shape.second - shape.best) / 2
    scene.contact = np.where(inside & (shape.second < 1.12), close, 99).astype(np.float32)
    _grow_nucleoli(rng, scene)
    scene.inclusion = _grow_inclusions(rng, scene, inclusions)
    scene.droplet = _grow_droplets(rng, scene, droplets)
    _grow_microtubules(rng, scene)
    return scene


def _grow_nucleoli(rng: np.random.Generator, scene: Scene) -> None:
    """A few lobed discs in each nucleus, apart from one another."""
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


def _grow_inclusions(rng: np.random.Generator, scene: Scene, mean: float) -> Image:
    """Dense balls where the microtubules meet, beside the nucleus."""
    cells = scene.cells
    counts = np.where(cells.mitotic, 0, np.minimum(rng.poisson(mean, len(cells)), 4)) if mean > 0 else 0
    cell = np.repeat(np.arange(len(cells)), counts)
    radius = rng.uniform(0.5, 1.3, len(cell))
    way = np.arctan2(cells.pole_y - cells.nucleus_y, cells.pole_x - cells.nucleus_x)[cell]
    way = way + rng.normal(0, 0.6, len(cell))
    away = cells.nucleus_radius[cell] + radius * rng.uniform(0.2, 2.2, len(cell))
    y, x = cells.nucleus_y[cell] + away * np.sin(way), cells.nucleus_x[cell] + away * np.cos(way)
    return np.stack([y, x, radius, cell], 1).astype(np.float32)


def _grow_droplets(rng: np.random.Generator, scene: Scene, mean: float) -> Image:
    """Round droplets in clusters around the nucleus; cells differ strongly."""
    cells = scene.cells
    counts = mean * rng.gamma(1.2, 1 / 1.2, len(cells)) * ~cells.mitotic
    patches = np.exp(1.2 * scene.canvas.noise(rng, 4)) if mean > 0 else scene.canvas.blank()
    density = scene.cytoplasm * np.exp(-np.maximum(scene.beyond, 0) / 4) * patches
    y, x, cell = scene.sample(rng, density, counts)
    radius = np.clip(0.36 * np.exp(rng.normal(0, 0.35, len(y))), 0.2, 1.2)
    return np.stack([y, x, radius, cell], 1).astype(np.float32)


def gaps(scene: Scene) -> Image:
    """0 within aggresomes and lipid droplets, 1 elsewhere: what leaves no room for other structures."""
    table = np.concatenate([scene.inclusion, scene.droplet])
    return 1 - 0.8 * np.clip(scene.canvas.discs(*table[:, :3].T), 0, 1)


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
) -> Image:
    """Lets filaments grow within their cells; at the edge they turn and follow it.

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

    Returns:
        Tracks (n, steps + 1, 2), y before x, in µm. One that is stuck stays where it is.
    """
    count = len(y)
    tracks = np.empty((steps + 1, 2, count), np.float32)
    tracks[0] = y, x
    own = (cell + 1).astype(np.uint16)
    turn = rng.choice(np.array([-0.9, 0.9], np.float32), count)
    angle = angle.astype(np.float32)
    curl = rng.standard_normal((steps, count), dtype=np.float32) * np.float32(wander)
    curl += rng.standard_normal(count, dtype=np.float32) * np.float32(0.3 * wander)
    extent, scale = scene.canvas.extent, 1 / scene.canvas.pixel_size
    last = scene.canvas.size - 1
    flat = scene.owner.ravel()
    for k in range(steps):
        here = tracks[k]
        there = here + np.float32(step) * np.stack([np.sin(angle), np.cos(angle)])
        spot = (there * scale).astype(np.int32)
        np.clip(spot, 0, last, out=spot)
        outside = (there[0] < 0) | (there[0] >= extent) | (there[1] < 0) | (there[1] >= extent)
        free = (flat[spot[0] * (last + 1) + spot[1]] == own) | outside
        tracks[k + 1] = np.where(free, there, here)
        angle = angle + np.where(free, curl[k], turn)
    return np.moveaxis(tracks, -1, 0)


def _grow_microtubules(rng: np.random.Generator, scene: Scene) -> None:
    """Most start at the organising centre, the rest around the nucleus; none in mitotic cells."""
    cells, line = scene.cells, scene.line
    dense = rng.uniform(0.5, 1.0)
    counts = np.where(cells.mitotic, 0, np.clip(dense * cells.radius**2 * 0.75, 30, 320)).astype(np.intp)
    cell = np.repeat(np.arange(len(cells)), counts)
    from_pole = rng.random(len(cell)) < rng.uniform(0.2, 0.65)
    around = rng.uniform(0, 2 * np.pi, len(cell))
    ring = cells.nucleus_radius[cell] * rng.uniform(0.9, 1.25, len(cell))
    spread = rng.normal(0, 0.5, (2, len(cell)))
    y = np.where(from_pole, cells.pole_y[cell] + spread[0], cells.nucleus_y[cell] + ring * np.sin(around))
    x = np.where(from_pole, cells.pole_x[cell] + spread[1], cells.nucleus_x[cell] + ring * np.cos(around))
    tangent = around + rng.choice([-1.0, 1.0], len(cell)) * rng.uniform(0.2, 1.4, len(cell))
    angle = np.where(from_pole, rng.uniform(0, 2 * np.pi, len(cell)), tangent)
    steps = int(np.clip(line.nucleus / 2 * line.spread * np.sqrt(line.stretch) * 1.2 / STEP, 8, 40))
    tracks = walk(rng, scene, y.astype(np.float32), x.astype(np.float32), cell, angle, steps, 0.13)
    keep = rng.integers(steps // 3, steps + 2, len(cell))
    late = np.arange(steps + 1)[None, :] > keep[:, None]
    stop = tracks[np.arange(len(cell)), np.minimum(keep, steps)]
    scene.microtubules = np.where(late[..., None], stop[:, None], tracks)
    scene.microtubule_cell = cell


def microtubules(rng: np.random.Generator, scene: Scene, *, over_nucleus: float) -> Image:
    """The microtubules as lines, dim at the edges and over the nucleus.

    Args:
        rng: Source of randomness.
        scene: The cells.
        over_nucleus: How much of them shows across the nucleus, 0–1.
    """
    tracks = scene.microtubules
    steps = tracks.shape[1] - 1
    weight = rng.gamma(3, 1 / 3, (len(tracks), 1)) * rng.gamma(4, 1 / 4, (len(tracks), steps))
    lines = scene.canvas.strokes(tracks, weight)
    fade = np.exp(-np.maximum(scene.beyond, 0) / (scene.line.focus * rng.uniform(0.7, 1.6)))
    return lines * scene.body**0.5 * (0.4 + 0.6 * fade) * (1 - (1 - over_nucleus) * scene.nucleus)


def spindles(rng: np.random.Generator, scene: Scene, *, dots: bool = False) -> Image:
    """The spindles of mitotic cells: two fans of lines from the poles to the plate.

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
    """What joins two daughters.

    Args:
        rng: Source of randomness.
        scene: The cells.
        style: "cones" for two bundles with a gap, "midbody" for the tips beside it, "ring" for the ring around it.
    """
    cells = scene.cells
    rows = np.flatnonzero(cells.partner > np.arange(len(cells)))
    if not len(rows):
        return scene.canvas.blank()
    one, two = rows, cells.partner[rows]
    start = np.stack([cells.y[one], cells.x[one]], 1)
    way = np.stack([cells.y[two], cells.x[two]], 1) - start
    length = np.hypot(*way.T)
    middle = start + way / 2 + rng.normal(0, 0.3, way.shape)
    unit = way / np.maximum(length, 0.1)[:, None]
    angle = np.arctan2(unit[:, 0], unit[:, 1])
    if style == "ring":
        return scene.canvas.discs(middle[:, 0], middle[:, 1], 0.75, 1.0, hollow=0.7)
    apart = 0.7 if style == "midbody" else np.clip(length * 0.12, 1.2, 2.8)
    parts = [
        scene.canvas.discs(
            middle[:, 0] + side * apart * unit[:, 0], middle[:, 1] + side * apart * unit[:, 1],
            0.45 if style == "midbody" else np.clip(length * 0.045, 0.45, 0.85),
            stretch=1.8 if style == "midbody" else 4.0, angle=angle, gaussian=style != "midbody",
        )
        for side in (-1, 1)
    ]  # fmt: skip
    return parts[0] + parts[1]


def red_channel(rng: np.random.Generator, scene: Scene) -> Image:
    """Tubulin: microtubules, spindles, bridges, and free tubulin."""
    lines = microtubules(rng, scene, over_nucleus=rng.uniform(0.05, 0.35))
    level = max(float(np.quantile(lines[lines > 0], 0.7)), 1e-6) if np.any(lines > 0) else 1.0
    expression = scene.spread(np.exp(rng.normal(0, 0.25, len(scene.cells))))
    free = rng.uniform(0.1, 0.4) * scene.body * (1 - 0.7 * scene.nucleus)
    dividing = 1.6 * unit(spindles(rng, scene)) + 0.25 * scene.body * (scene.spread(scene.cells.mitotic))
    return (lines / level * 0.6 + free) * expression * gaps(scene) + dividing + 1.5 * bridges(rng, scene)


def blue_channel(rng: np.random.Generator, scene: Scene) -> Image:
    """DNA: nuclei with texture and dark nucleoli; condensed chromosomes are brighter."""
    canvas = scene.canvas
    coarse = canvas.noise(rng, rng.uniform(1.2, 2.5))
    grain = 1 + rng.uniform(0.12, 0.3) * coarse + rng.uniform(0.05, 0.15) * canvas.noise(rng, 0.7)
    grain += 0.12 * canvas.noise(rng, 4)
    level = scene.spread(np.exp(rng.normal(0, 0.22, len(scene.cells))))
    dark = 1 - rng.uniform(0.4, 0.75) * canvas.blur(scene.nucleoli, 0.2)
    nuclei = scene.nucleus * np.clip(grain, 0.2, 3) * dark * (1 - np.exp(scene.beyond / 1.2 - 0.6))
    return (np.maximum(nuclei, 0) + 1.7 * scene.chromatin * np.clip(grain, 0.4, 2)) * level


def yellow_channel(rng: np.random.Generator, scene: Scene) -> Image:
    """ER: a net that is dense around the nucleus and thins out to the edge."""
    net = reticulum(rng, scene)
    level = scene.spread(np.exp(rng.normal(0, 0.3, len(scene.cells))))
    return net * level * gaps(scene)


def reticulum(rng: np.random.Generator, scene: Scene) -> Image:
    """The ER's net; 1 where it is dense."""
    canvas = scene.canvas
    fade = np.exp(-np.maximum(scene.beyond, 0) / (scene.line.focus * rng.uniform(0.5, 1.4)))
    net = canvas.noise(rng, rng.uniform(0.6, 1.0)) + 0.4 * canvas.noise(rng, 1.8)
    ridges = np.exp(-np.abs(net) * rng.uniform(0.5, 1.2)) + rng.uniform(0.1, 0.35) * canvas.noise(rng, 0.45)
    patches = np.clip(1 + 0.3 * canvas.noise(rng, 7), 0.2, 2)
    rim = 0.35 * np.exp(-((scene.beyond / 0.5) ** 2))
    within = rng.uniform(0.04, 0.2) * scene.nucleus
    spindle = scene.spread(scene.cells.mitotic) * np.exp(-np.maximum(scene.beyond, 0) / 2)
    mesh = np.maximum(0.25 + ridges, 0) * patches
    cytoplasm = scene.cytoplasm * scene.body * (0.15 + fade) * mesh * (1 - 0.7 * spindle)
    return np.asarray(cytoplasm + rim * scene.body * (1 - spindle) + within, np.float32)
