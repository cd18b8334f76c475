"""The patterns of the 28 locations; importing this package fills the table."""

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
