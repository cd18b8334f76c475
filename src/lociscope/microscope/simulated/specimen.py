"""Simulate the plate of the simulated microscope: wells of cells, each with one antibody."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from lociscope.errors import Code, MissingExtraError, UsageError, suggest
from lociscope.images.scale import resize
from lociscope.microscope.positions import find_well_centres, get_well_size
from lociscope.microscope.simulated.mosaic import Mosaic, TileCache
from lociscope.simulate.canvas import Canvas
from lociscope.simulate.cell_lines import CELL_LINES
from lociscope.simulate.frequencies import label_sets
from lociscope.simulate.optics import REFERENCE_PIXEL, shot_noise, vignette
from lociscope.simulate.specimen import sample_specimen

if TYPE_CHECKING:
    from lociscope.microscope.plan import Plan

REFERENCE_EXPOSURE = 100.0
"""Exposure in ms at which a channel is as bright as in `lociscope.simulate`."""
DEFOCUS = 0.34
"""Blur (standard deviation) in µm for each µm out of focus: half the radius of the cone of light of a dry objective
of aperture 0.75 in water, tan(asin(0.75 / 1.33)) / 2, from geometry."""
PAD_UM = 6.0
"""Margin around an image, from which light blurs into it."""
FULL_SCALE = 65535


@dataclass(frozen=True, slots=True)
class View:
    """What the camera sees.

    Attributes:
        x: Stage position of the centre, µm.
        y: Stage position of the centre, µm.
        defocus: Distance from the plane of the cells, µm.
        pixel_size: Side of a pixel, µm.
        side: Side of the image, px.
        exposure: Exposure, ms.
    """

    x: float
    y: float
    defocus: float
    pixel_size: float
    side: int
    exposure: float


def check_specimen(plan: Plan) -> None:
    """Check that the wells and the cell line of a specimen exist.

    Raises:
        UsageError: A well of its antibodies or its cell line does not exist.
    """
    wells = find_well_centres(plan.plate)
    unknown = next((well for well in plan.specimen.antibodies if well not in wells), None)
    if unknown is not None:
        raise UsageError(
            f"specimen.antibodies: a plate of {plan.plate.name} has no well {unknown!r}. Name one it has.",
            code=Code.UNKNOWN_NAME,
        )
    name = plan.specimen.cell_line
    if name is not None and name not in CELL_LINES:
        raise UsageError(
            f"specimen.cell_line: there is no cell line {name!r}.{suggest(name, CELL_LINES)}", code=Code.UNKNOWN_NAME
        )


class SimulatedPlate:
    """A plate of simulated cells. Equal seeds show equal cells at equal positions, in any order of imaging.

    Args:
        plan: The plate, its position on the stage, and the specimen.
        pixel_size: Side in µm of the finest pixels that will be imaged.

    Raises:
        MissingExtraError: SciPy is not installed.
    """

    def __init__(self, plan: Plan, pixel_size: float) -> None:
        if find_spec("scipy") is None:
            raise MissingExtraError("The simulated microscope", "microscope")
        self._plan = plan.specimen
        self.pixel_size = pixel_size
        self._centres = find_well_centres(plan.plate)
        self._numbers = {name: number for number, name in enumerate(self._centres)}
        self._well_centres = np.array(list(self._centres.values()))
        self._size = get_well_size(plan.plate)
        self._cache = TileCache()
        self._mosaic = lru_cache(maxsize=2048)(self._make_mosaic)

    def well_at(self, x: float, y: float) -> str | None:
        """Return the well at a stage position in µm, or None between wells."""
        offset = np.array([x, y]) - self._well_centres
        nearest = int(np.argmin((offset**2).sum(1)))
        width, height, circular = self._size
        share = np.abs(offset[nearest]) / (width / 2, height / 2)
        inside = np.hypot(*share) <= 1 if circular else share.max() <= 1
        return list(self._centres)[nearest] if inside else None

    def target(self, well: str) -> tuple[int, ...]:
        """Return the classes of a well's antibody, ascending."""
        return self._mosaic(well).specimen.protein.target

    def count_cells(self, view: View) -> int:
        """Return how many cells have their centre in view."""
        well = self.well_at(view.x, view.y)
        if well is None:
            return 0
        side = view.side * view.pixel_size
        y, x = self._corner(well, view, side)
        return self._mosaic(well).count_cells(y, x, side, side)

    def take_image(self, view: View, channel: int, rng: np.random.Generator, *, lit: bool = True) -> np.ndarray:
        """Take the image of one channel.

        Args:
            view: What the camera sees.
            channel: Index in RGBY.
            rng: Source of the noise.
            lit: Whether the shutter is open.

        Returns:
            Grey levels (side, side) of uint16.
        """
        well = self.well_at(view.x, view.y)
        specimen = self._mosaic(well or next(iter(self._centres))).specimen
        optics = specimen.optics[channel]
        if well is None or not lit:
            light = np.zeros((view.side, view.side), np.float32)
        else:
            light = self._render(well, view, channel)
        gain = view.exposure / REFERENCE_EXPOSURE * min(1.0, REFERENCE_PIXEL / view.pixel_size) ** optics.fine
        background = optics.background * view.exposure / REFERENCE_EXPOSURE * lit
        photons = np.float32(optics.photons * max(1.0, (view.pixel_size / REFERENCE_PIXEL) ** 2))
        counted = shot_noise(rng, (light * np.float32(gain) + np.float32(background)) * photons) / photons
        level = np.clip(counted - np.float32(background * 0.7 + optics.offset), 0, 1) * FULL_SCALE
        return np.asarray(np.round(level), np.uint16)

    def _render(self, well: str, view: View, channel: int) -> np.ndarray:
        """Return the light that reaches the camera (side, side), blurred by the optics and by defocus."""
        mosaic = self._mosaic(well)
        optics = mosaic.specimen.optics[channel]
        inner = round(view.side * view.pixel_size / self.pixel_size)
        pad = round(PAD_UM / self.pixel_size)
        canvas = Canvas(inner + 2 * pad, self.pixel_size)
        y, x = self._corner(well, view, inner * self.pixel_size)
        light = self._window(well, round(y / self.pixel_size) - pad, round(x / self.pixel_size) - pad, canvas.size)
        sharp = canvas.blur(light[channel], float(np.hypot(optics.sigma, DEFOCUS * view.defocus)))
        haze = canvas.blur(light[channel], float(np.hypot(optics.haze_sigma, DEFOCUS * view.defocus)))
        both = ((1 - optics.haze) * sharp + optics.haze * haze)[pad : pad + inner, pad : pad + inner]
        frame = resize(both[..., None], view.side, view.side)[..., 0]
        return frame * vignette(Canvas(view.side, view.pixel_size), optics.uneven)

    def _window(self, well: str, top: int, left: int, side: int) -> np.ndarray:
        """Return the light of all channels; the last one is cached, since the next channel needs it again."""
        key = (well, top, left, side)
        if getattr(self, "_last", (None,))[0] != key:
            light = self._mosaic(well).window(top * self.pixel_size, left * self.pixel_size, side)
            self._last = (key, light)
        return self._last[1]

    def _corner(self, well: str, view: View, side: float) -> tuple[float, float]:
        """Return the upper left corner of a view, µm from the centre of the well, y downwards as in images."""
        x, y = self._centres[well]
        return y - view.y - side / 2, view.x - x - side / 2

    def _make_mosaic(self, well: str) -> Mosaic:
        number = self._numbers[well]
        rng = np.random.default_rng([self._plan.seed, number, 1])
        locations = self._plan.target(well)
        if locations is None:
            sets, chances = label_sets(self._plan.balance)
            locations = sets[int(rng.choice(len(sets), p=chances))]
        specimen = sample_specimen(rng, locations, self._plan.cell_line)
        return Mosaic((self._plan.seed, number, 2), specimen, self.pixel_size, self._cache)
