"""Simulate fields of cells: 28 location patterns, optics and noise, and labels as annotators give them."""

from __future__ import annotations

from lociscope.simulate.atlas import read_truth, write_atlas
from lociscope.simulate.cell_lines import CELL_LINES
from lociscope.simulate.field import VERSION, CellTruth, SimulatedField, simulate_field, simulate_fields
from lociscope.simulate.frequencies import label_sets
from lociscope.simulate.frozen import REFERENCE, Part, ReferenceAtlas
from lociscope.simulate.patterns import PATTERNS, location_number

__all__ = [
    "CELL_LINES",
    "PATTERNS",
    "REFERENCE",
    "VERSION",
    "CellTruth",
    "Part",
    "ReferenceAtlas",
    "SimulatedField",
    "label_sets",
    "location_number",
    "read_truth",
    "simulate_field",
    "simulate_fields",
    "write_atlas",
]
