"""A specimen: one protein in one culture of one cell line, under one microscope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lociscope.simulate.cell_lines import CellLine, cell_line, vary
from lociscope.simulate.frequencies import label_sets
from lociscope.simulate.optics import Optics, sample_optics
from lociscope.simulate.protein import Protein, make_protein

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

REFERENCE_SIZE = 512
"""Side in pixels for which the pixel sizes below are meant."""
USUAL_PIXEL = (0.30, 0.34)
"""Pixel size in µm of most specimens at 512 px."""
USUAL = 0.7
"""Share of specimens with such a pixel size."""
OTHER_PIXEL = (0.27, 0.48)
"""Pixel size of the rest; such fields occur among the competition's."""


@dataclass(frozen=True, slots=True)
class Specimen:
    """The properties that all fields of one specimen share.

    Attributes:
        line: The cells.
        protein: What the green channel shows.
        optics: The settings of the four channels.
        pixel_size: Side of a pixel in µm at 512 px.
    """

    line: CellLine
    protein: Protein
    optics: list[Optics]
    pixel_size: float


def sample_specimen(rng: np.random.Generator, locations: Sequence[int] | None, name: str | None) -> Specimen:
    """Sample a specimen.

    Args:
        rng: Source of randomness.
        locations: Its labels; None samples a label set by its real frequency.
        name: Its cell line; None samples one.

    Raises:
        UsageError: A location or the cell line is unknown.
    """
    sets, chances = label_sets()
    by_frequency = sets[int(rng.choice(len(sets), p=chances))]
    line = vary(cell_line(name, rng), rng)
    usual = rng.random() < USUAL
    pixel_size = float(rng.uniform(*(USUAL_PIXEL if usual else OTHER_PIXEL)))
    optics = sample_optics(rng)
    protein = make_protein(rng, by_frequency if locations is None else sorted(set(locations)))
    return Specimen(line, protein, optics, pixel_size)
