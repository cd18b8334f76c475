"""One thing that `lociscope microscope check` found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Attributes:
        what: The thing.
        passed: Whether it is as the plan says.
        text: What was found, and what to do if it did not pass.
        values: The numbers.
    """

    what: str
    passed: bool
    text: str
    values: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as data."""
        return asdict(self)
