"""Prepared fields with their labels: in memory, in a cache on disk, or read from image files when needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.images.discovery.sources import Failure


class FieldArray(Protocol):
    """Pixels that are read when they are indexed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, h, w, 4)."""

    def __len__(self) -> int:
        """Return n."""

    def __getitem__(self, numbers: np.ndarray | slice) -> np.ndarray:
        """Read the pixels of some rows, (m, h, w, 4) of uint8."""

    def take(self, numbers: np.ndarray) -> Self:
        """Return some rows without reading them."""


@dataclass(frozen=True, slots=True)
class PackedFields:
    """n prepared fields.

    Attributes:
        ids: Their ids.
        groups: The group of each, which a split must keep together (`lociscope.splits.groups`).
        x: (n, h, w, 4) of uint8; pixels that are not in memory are read when they are indexed.
        y: (n, 28) of uint8.
        sha256: Hash of ids, pixels and labels.
    """

    ids: list[str]
    groups: list[str]
    x: np.ndarray | FieldArray
    y: np.ndarray
    sha256: str

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> PackedFields:
        """Return the fields of the given row numbers; pixels that are not in memory are not read."""
        x = self.x[rows] if isinstance(self.x, np.ndarray) else self.x.take(rows)
        return PackedFields(
            [self.ids[row] for row in rows], [self.groups[row] for row in rows], x, self.y[rows], self.sha256
        )


def no_fields_error(failures: Sequence[Failure] = ()) -> LociscopeError:
    """Return the error for a Catalog of which no field can be read."""
    why = f"The first: {failures[0].reason}" if failures else "Check the paths in the Catalog."
    return LociscopeError(f"No field could be read, so there is nothing to train on. {why}", code=Code.NOTHING_FOUND)
