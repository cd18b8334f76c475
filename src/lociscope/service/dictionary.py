"""Links from the 28 locations to the dictionary of the Human Protein Atlas, which shows what each looks like."""

from __future__ import annotations

from lociscope.labels import LABELS

INDEX = "https://www.proteinatlas.org/learn/dictionary/cell"

_ENTRIES = frozenset(
    {
        "Actin filaments",
        "Aggresome",
        "Centrosome",
        "Cytosol",
        "Endoplasmic reticulum",
        "Golgi apparatus",
        "Lysosomes",
        "Microtubules",
        "Mitochondria",
        "Nuclear membrane",
        "Nucleoli",
        "Nucleoplasm",
        "Plasma membrane",
    }
)
"""Locations with a page of that name; the index leads to the others, whose pages have numbers."""

DICTIONARY: tuple[str, ...] = tuple(
    f"{INDEX}/{name.lower().replace(' ', '+')}" if name in _ENTRIES else INDEX for name in LABELS
)
"""The page of each location, by class number."""
