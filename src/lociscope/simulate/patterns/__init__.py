"""The patterns of the 28 locations; importing this package fills the table.

All sizes are in µm. In fields of 512 px (0.32 µm/px) threads, small dots and the finest grains are thinner than a
pixel: they keep their light and lose contrast, as in a field of 2048 px that is reduced.
"""

from __future__ import annotations

from lociscope.simulate.patterns import (  # noqa: F401  (imported for what they register)
    cytoskeleton,
    diffuse,
    division,
    membranes,
    nuclear,
    organelles,
    vesicles,
)
from lociscope.simulate.patterns.registry import PATTERNS, Pattern, location_number, pattern_of

__all__ = ["PATTERNS", "Pattern", "location_number", "pattern_of"]
