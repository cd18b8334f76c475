"""Simulate a field: from a seed and a number to pixels and truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.channels import BLUE, GREEN, RED, YELLOW
from lociscope.errors import Code, MissingExtraError, UsageError
from lociscope.labels import LABELS, format_target
from lociscope.processes.workers import map_in_order
from lociscope.simulate.canvas import Canvas
from lociscope.simulate.frequencies import label_sets
from lociscope.simulate.layout import State
from lociscope.simulate.optics import record
from lociscope.simulate.protein import annotate, green_channel
from lociscope.simulate.reference import blue_channel, red_channel, yellow_channel
from lociscope.simulate.specimen import REFERENCE_SIZE, Specimen, sample_specimen
from lociscope.simulate.structures import build_scene

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from lociscope.simulate.scene import Scene

VERSION = 3
"""Raised whenever equal arguments come to give other pixels; an atlas or a cache of another version is another one."""
FIELDS_PER_SPECIMEN = 2
"""Fields that follow one another and show the same specimen: cell line, protein, microscope."""
SMALLEST_SIZE = 64
SMALLEST_EXTENT = 20.0
"""Side in µm that holds one cell."""
CROWDED = {16: "two daughters", 17: "a dividing cell", 22: "two cells that touch"}
"""Locations that only some cells can hold."""
CROWDED_EXTENT = 40.0
"""Side in µm of a field that holds such cells."""
STICKY = {RED: 0.4, GREEN: 0.2, BLUE: 0.05, YELLOW: 0.5}
"""How brightly debris may shine in each channel."""
LABEL_SET_STREAM = 7
"""Separates the random numbers of balanced label sets from the others of the same seed and number."""
SHOWN = 0.25
"""Share of its bright level above which a location counts as being in a pixel."""


@dataclass(frozen=True, slots=True)
class CellTruth:
    """The truth of one cell that is visible in the field.

    Attributes:
        cell: Its number in `SimulatedField.cells`.
        y: Centre in pixels.
        x: Centre in pixels.
        box: First row, first column, last row + 1, last column + 1.
        state: interphase, prometaphase, metaphase, anaphase or daughter.
        strengths: For each simulated location its strength in this cell; 0 where it is absent.
    """

    cell: int
    y: float
    x: float
    box: tuple[int, int, int, int]
    state: str
    strengths: dict[int, float]


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedField:
    """A field and its truth.

    Attributes:
        id: Name, unique within a seed.
        pixels: (size, size, 4) uint8 in the order red, green, blue, yellow.
        target: The labelled locations, ascending.
        simulated: The simulated locations, labelled or not, ascending.
        specimen: Name of the specimen; fields of one specimen belong on one side of a split.
        cell_line: Name of the cell line.
        pixel_size: Side of a pixel in µm.
        seed: The seed.
        nuclei: (size, size) uint16, the number of the cell whose nucleus or chromosomes a pixel shows, or 0.
        cells: (size, size) uint16, the number of the cell that owns a pixel, or 0.
        locations: For each simulated location (size, size) bool, the mask of its protein.
        table: One row per cell that shows.
    """

    id: str
    pixels: NDArray[np.uint8]
    target: tuple[int, ...]
    simulated: tuple[int, ...]
    specimen: str
    cell_line: str
    pixel_size: float
    seed: int
    nuclei: NDArray[np.uint16]
    cells: NDArray[np.uint16]
    locations: dict[int, NDArray[np.bool_]]
    table: tuple[CellTruth, ...]


def simulate_field(
    index: int,
    *,
    seed: int = 0,
    size: int = REFERENCE_SIZE,
    locations: Sequence[int] | None = None,
    cell_line: str | None = None,
    pixel_size: float | None = None,
    label_noise: float = 0.0,
    balance: float = 0.0,
) -> SimulatedField:
    """Simulate one field. Equal arguments give equal pixels, in any process and in any order.

    Args:
        index: Number of the field, 0 or more.
        seed: Seed of the atlas, 0 or more.
        size: Side in pixels, at least 64.
        locations: Locations to simulate and label; empty for a negative field; None samples a label set.
        cell_line: Name of a line in `CELL_LINES`; None samples one.
        pixel_size: Side of a pixel in µm; None samples one such that the field spans 138–246 µm, mostly near 164.
        label_noise: Share of labels that are wrong, 0–1; the pixels do not depend on it.
        balance: Class balance where `locations` is None: 0 the frequencies of HPA v18, 1 nearly even.

    Returns:
        The field with its truth.

    Raises:
        UsageError: A number is out of range, or a location or cell line is unknown.
        MissingExtraError: SciPy is not installed.
    """
    check_field(index, seed, size, pixel_size, label_noise, balance, locations or ())
    number = index // FIELDS_PER_SPECIMEN
    if locations is None and balance > 0:
        locations = _sample_balanced(np.random.default_rng([seed, number, LABEL_SET_STREAM]), balance)
    specimen = sample_specimen(np.random.default_rng([seed, number, 1]), locations, cell_line)
    protein, line = specimen.protein, specimen.line
    canvas = Canvas(size, float(pixel_size or specimen.pixel_size * REFERENCE_SIZE / size))

    rng = np.random.default_rng([seed, index, 2])
    scene = _make_scene(rng, canvas, specimen)
    green, parts, levels = green_channel(rng, scene, protein)
    lights = {RED: red_channel(rng, scene), GREEN: green, BLUE: blue_channel(rng, scene)}
    lights[YELLOW] = yellow_channel(rng, scene)
    for channel, most in STICKY.items():
        lights[channel] = lights[channel] + np.float32(most * rng.random() ** 1.5) * scene.debris
    pixels = np.stack([record(rng, canvas, lights[c], specimen.optics[c]) for c in range(4)], axis=-1)
    return SimulatedField(
        id=field_id(seed, index),
        pixels=pixels,
        target=annotate(np.random.default_rng([seed, number, 3]), protein.target, label_noise),
        simulated=protein.simulated,
        specimen=f"{seed}-{number:06d}-{line.name}-{format_target(protein.target).replace(' ', '.') or 'negative'}",
        cell_line=line.name,
        pixel_size=canvas.pixel_size,
        seed=seed,
        nuclei=scene.nuclei,
        cells=scene.owner,
        locations={location: part > SHOWN for location, part in parts.items()},
        table=_cell_table(scene, levels),
    )


def _sample_balanced(rng: np.random.Generator, balance: float) -> tuple[int, ...]:
    """Sample a label set, with rare ones more likely than in HPA."""
    sets, chances = label_sets(balance)
    return sets[int(rng.choice(len(sets), p=chances))]


def _make_scene(rng: np.random.Generator, canvas: Canvas, specimen: Specimen) -> Scene:
    """Return the cells, with the structures of the protein's locations: dividing cells, aggresomes, droplets."""
    simulated = specimen.protein.simulated
    wanted: dict[str, Any] = {
        "mitoses": int(rng.integers(1, 4)) * (17 in simulated),
        "bridges": int(rng.integers(1, 4)) * (16 in simulated),
        "inclusions": rng.uniform(0.7, 1.6) * (24 in simulated),
        "droplets": rng.uniform(12, 45) if 20 in simulated else 8.0 * (rng.random() < 0.15),
        "debris": rng.gamma(1, 8) * (rng.random() < (0.7 if specimen.line.cover < 0.5 else 0.3)),
    }
    return build_scene(rng, canvas, specimen.line, **wanted)


def field_id(seed: int, index: int) -> str:
    """Return the id of a field."""
    return f"sim-{seed}-{index:06d}"


def check_field(
    index: int,
    seed: int,
    size: int,
    pixel_size: float | None,
    label_noise: float,
    balance: float,
    locations: Sequence[int],
) -> None:
    """Check the arguments of `simulate_field`; raise as it does."""
    if find_spec("scipy") is None:
        raise MissingExtraError("Simulating fields", "simulate")
    if index < 0 or seed < 0:
        raise UsageError(
            f"Index and seed must be 0 or more, received index {index} and seed {seed}.", code=Code.INVALID_VALUE
        )
    if not 0 <= label_noise <= 1:
        raise UsageError(f"Label noise is a share of the labels, 0–1, received {label_noise}.", code=Code.INVALID_VALUE)
    if not 0 <= balance <= 1:
        raise UsageError(
            f"Balance goes from 0, real frequencies, to 1, even; received {balance}.", code=Code.INVALID_VALUE
        )
    if size < SMALLEST_SIZE:
        raise UsageError(
            f"A field of {size} px is too small to distinguish the cells; pass a size of {SMALLEST_SIZE} px or more.",
            code=Code.INVALID_VALUE,
        )
    if pixel_size is not None and not pixel_size * size >= SMALLEST_EXTENT:
        raise UsageError(
            f"A field of {size} px at {pixel_size} µm is {size * pixel_size:.3g} µm wide, smaller than a cell; "
            f"it needs {SMALLEST_EXTENT:g} µm or more.",
            code=Code.PIXEL_SIZE,
        )
    for location in locations:
        if location in CROWDED and pixel_size is not None and size * pixel_size < CROWDED_EXTENT:
            raise UsageError(
                f"{LABELS[location]} needs {CROWDED[location]}, which a field {size * pixel_size:.3g} µm wide may not "
                f"hold; it needs {CROWDED_EXTENT:g} µm or more.",
                code=Code.PIXEL_SIZE,
            )


def _cell_table(scene: Scene, levels: dict[int, NDArray[np.floating]]) -> tuple[CellTruth, ...]:
    from scipy.ndimage import find_objects

    cells, scale = scene.cells, scene.canvas.pixel_size
    rows = []
    for row, box in enumerate(find_objects(scene.owner, len(cells))):
        if box is not None:
            corners = (box[0].start, box[1].start, box[0].stop, box[1].stop)
            strengths = {location: round(float(level[row]), 4) for location, level in levels.items()}
            state = State(int(cells.state[row])).name.lower()
            rows.append(
                CellTruth(row + 1, float(cells.y[row] / scale), float(cells.x[row] / scale), corners, state, strengths)
            )
    return tuple(rows)


def simulate_fields(
    indices: Iterable[int],
    *,
    seed: int = 0,
    size: int = REFERENCE_SIZE,
    locations: Sequence[int] | None = None,
    cell_line: str | None = None,
    pixel_size: float | None = None,
    label_noise: float = 0.0,
    balance: float = 0.0,
    workers: int | None = None,
) -> Iterator[SimulatedField]:
    """Simulate fields, in order; the pixels do not depend on `workers`.

    Args:
        indices: Numbers of the fields.
        seed: As in `simulate_field`.
        size: As in `simulate_field`.
        locations: As in `simulate_field`, for every field.
        cell_line: As in `simulate_field`, for every field.
        pixel_size: As in `simulate_field`.
        label_noise: As in `simulate_field`.
        balance: As in `simulate_field`.
        workers: Processes; None or 1 simulates in this one. A script that asks for more needs the usual
            `if __name__ == "__main__"`.

    Yields:
        The fields; not more than a few per process are held at a time.
    """
    simulate = partial(
        simulate_field, seed=seed, size=size, locations=locations, cell_line=cell_line, pixel_size=pixel_size,
        label_noise=label_noise, balance=balance,
    )  # fmt: skip
    yield from map_in_order(simulate, indices, workers)
