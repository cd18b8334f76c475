"""Lengths in any unit, as files have them."""

from __future__ import annotations

import math

import pytest

from lociscope.images.io.lengths import to_micrometres


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.08, None, 0.08),
        ("0.08", "µm", 0.08),
        (0.08, "\N{GREEK SMALL LETTER MU}m", 0.08),
        (0.08, " Micron ", 0.08),
        (8e-8, "m", 0.08),
        (8e-6, "cm", 0.08),
        (8e-5, "mm", 0.08),
        (80, "nm", 0.08),
        (80_000, "pm", 0.08),
        (1 / 25400, "inch", 1),
        (1, "pixel", None),
        (1, "reference frame", None),
        (1, "", None),
        ("wide", "µm", None),
        (None, "µm", None),
        (0, "µm", None),
        (-1, "µm", None),
        (math.nan, "µm", None),
        (math.inf, "µm", None),
    ],
)
def test_micrometres(value: object, unit: object, expected: float | None) -> None:
    assert to_micrometres(value, unit) == (None if expected is None else pytest.approx(expected))
