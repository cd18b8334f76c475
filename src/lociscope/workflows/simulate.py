"""Simulate an atlas of fields, with the truth of every cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lociscope.processes.progress import ProgressCallback, ignore_progress
from lociscope.simulate.atlas import write_atlas
from lociscope.simulate.patterns import location_number
from lociscope.storage.paths import as_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lociscope.storage.paths import AnyPath


def simulate_atlas(
    folder: AnyPath,
    fields: int,
    *,
    size: int = 512,
    seed: int = 0,
    locations: Sequence[str] | None = None,
    cell_line: str | None = None,
    label_noise: float = 0.0,
    balance: float = 0.0,
    workers: int = 1,
    progress: ProgressCallback = ignore_progress,
) -> Path:
    """Write a simulated atlas in the layout of the competition; an interrupted call is resumed by the next.

    Args:
        folder: The folder of the atlas.
        fields: Number of fields.
        size: Side of a field in px; the competition's is 512.
        seed: The same seed gives the same pixels.
        locations: Names of the locations that every field shows; empty for negative fields; None samples label sets.
        cell_line: The cell line of every field; None samples one for each specimen.
        label_noise: Share of labels that are wrong, 0–1.
        balance: Class balance where `locations` is None: 0 the frequencies of HPA v18, 1 nearly even.
        workers: Processes that simulate; the pixels do not depend on it.
        progress: Called after each field.

    Returns:
        The folder.

    Raises:
        UsageError: A location or the cell line is not known, or a value is out of its range.
        LociscopeError: The folder contains another atlas, or cannot be written.
    """
    folder = as_path(folder)
    return write_atlas(
        folder,
        fields=fields,
        size=size,
        seed=seed,
        locations=None if locations is None else [location_number(name) for name in locations],
        cell_line=cell_line,
        label_noise=label_noise,
        balance=balance,
        workers=workers,
        progress=progress,
    )
