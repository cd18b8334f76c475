"""The cells of a field as images: the cell of each pixel, and its distance from the edge and from the nucleus."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lociscope.simulate.canvas import Canvas, Image, Values
    from lociscope.simulate.cell_lines import CellLine
    from lociscope.simulate.layout import Cells


@dataclass(slots=True, eq=False)
class Scene:
    """The structures that all patterns of a field share.

    Attributes:
        canvas: The picture's size and scale.
        line: The cell line.
        cells: One row per cell.
        owner: For each pixel its cell's row + 1, or 0.
        nuclei: For each pixel the row + 1 of the cell whose nucleus or chromosomes it shows, or 0.
        body: How full of cell each pixel is, 0–1, thin at the edges.
        nucleus: 1 within nuclei, with soft edges; 0 in mitotic cells.
        inner: Share of the slice that is nucleus: less near its rim, since its walls slope; 0 in mitotic cells.
        hidden: Share of the slice that the nucleus takes from the cytoplasm; its walls slope, so less near its rim.
        chromatin: 1 within the chromosomes of mitotic cells.
        cytoplasm: 1 within cells and outside nuclei and chromosomes, with soft edges; not thinned at the edges.
        depth: Distance in µm from the edge of the cell, inwards; 0 outside.
        beyond: Distance in µm from the rim of the nucleus, negative within.
        contact: Distance in µm (roughly) from the line where two cells touch; large elsewhere.
        debris: Picture of blebs at the edges of cells, which every stain sticks to.
        grain: Texture of the chromatin, mean 0, variance 1: DNA where positive, nuclear proteins where negative.
        mesh: Texture of the ER's net, about 1 on its tubules and 0.2 in its holes.
        nucleoli: 1 within nucleoli, with soft edges.
        nucleolus: Table (n, 4) of the nucleoli: y, x, radius in µm, row of the cell.
        speckle: The same of the gaps between the chromatin, where speckles are.
        inclusion: The same of aggresomes, where microtubules and nucleus give way.
        droplet: The same of lipid droplets, holes in the ER.
        microtubules: Their tracks (n, steps, 2) in µm.
        microtubule_cell: Row of the cell of each track.
        flow: The direction of filaments in coarse pixels: sine and cosine of twice the angle, times its strength 0–1.
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
    inner: Image
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
    speckle: Image = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    inclusion: Image = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    droplet: Image = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    microtubules: Image = field(default_factory=lambda: np.zeros((0, 2, 2), np.float32))
    microtubule_cell: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    flow: tuple[Image, Image] = field(default_factory=lambda: (np.zeros((1, 1), np.float32),) * 2)
    lines: Image = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    filling: Image = field(default_factory=lambda: np.ones((1, 1), np.float32))
    along: Image = field(default_factory=lambda: np.ones((1, 1), np.float32))

    def spread(self, values: Values | NDArray[np.bool_]) -> Image:
        """Return an image of each cell's value in its pixels, 0 outside."""
        return per_cell(self.owner, values)

    def sample(
        self, rng: np.random.Generator, density: Image, counts: NDArray[np.floating]
    ) -> tuple[Image, Image, NDArray[np.intp]]:
        """Sample positions within cells.

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
        """Return the image's values at positions in µm."""
        rows, columns = self.canvas.pixels(y, x)
        return picture[rows, columns]

    def inward(self, y: Image, x: Image, step: float = 1.0) -> Image:
        """Return the direction in radians in which the depth grows, at positions in µm."""
        dy = self.at(self.depth, y + step, x) - self.at(self.depth, y - step, x)
        dx = self.at(self.depth, y, x + step) - self.at(self.depth, y, x - step)
        return np.asarray(np.arctan2(dy, dx), np.float32)


def per_cell(owner: NDArray[np.uint16], values: Values | NDArray[np.bool_]) -> Image:
    """Return an image of each cell's value in its pixels, 0 where there is no cell."""
    return np.concatenate([[0], values]).astype(np.float32)[owner]
