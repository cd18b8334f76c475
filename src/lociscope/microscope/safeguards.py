"""End a run that would fill the disk, or whose channels have gone dark."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

from lociscope.channels import BLUE, CHANNEL_NAMES, CHANNELS, RED, YELLOW
from lociscope.errors import Code, LociscopeError
from lociscope.microscope.focus import HardwareError
from lociscope.warnings import WarningKind, parse_warnings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lociscope.microscope.plan import Plan

REFERENCE = (RED, BLUE, YELLOW)
"""Channels that every field with cells shows; the protein may be dark."""
RESERVE_BYTES = 256 << 20
"""Space that must stay free, for tables and for other programs."""
_BYTES_PER_PIXEL = 2


_PYRAMID = 4 / 3
"""Size of a pyramid, in sizes of its full-size level."""


def count_field_bytes(plan: Plan) -> int:
    """Return the bytes of the images of one field, uncompressed."""
    width, height = plan.microscope.frame
    levels = _PYRAMID if plan.images == "ome-zarr" else 1.0
    return int(width * height * len(CHANNEL_NAMES) * _BYTES_PER_PIXEL * levels)


def check_space(folder: Path, plan: Plan, fields: int) -> None:
    """Refuse a run whose images would not fit on the disk.

    Args:
        folder: The output folder, or one that will be made.
        plan: The plan.
        fields: Number of planned fields that are left; those of the rules are added, up to the budget.

    Raises:
        LociscopeError: There is too little space.
    """
    expected = min(plan.budget.fields, fields + sum(rule.most or 0 for rule in plan.rules))
    needed = expected * count_field_bytes(plan) + RESERVE_BYTES
    free = _find_free(folder)
    if free < needed:
        raise LociscopeError(
            f"The run may take {expected} fields, {_in_gb(needed)} with what must stay free, and {_in_gb(free)} are "
            f"free at '{folder}'. Make space, pass another `output`, or lower most or budget.fields.",
            code=Code.UNWRITABLE,
        )


class Safeguards:
    """Checks each field that is on disk.

    Args:
        plan: The plan.
        folder: The output folder.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._dark: Counter[int] = Counter()

    def check(self, line: Mapping[str, Any]) -> None:
        """Check a field.

        Args:
            line: Its line of `decisions.jsonl`.

        Raises:
            LociscopeError: Another field might not fit on the disk.
            HardwareError: A channel has been empty or faint in too many fields in a row.
        """
        free = _find_free(self._folder)
        if free < count_field_bytes(self._plan) + RESERVE_BYTES // 4:
            raise LociscopeError(
                f"{_in_gb(free)} are free at '{self._folder}', too little for another field. Make space, and run the "
                "plan again.",
                code=Code.UNWRITABLE,
            )
        if "failed" not in line:
            self._check_channels(line)

    def _check_channels(self, line: Mapping[str, Any]) -> None:
        most = self._plan.quality.dark_fields
        kinds = (WarningKind.EMPTY_CHANNEL, WarningKind.FAINT_CHANNEL)
        dark = {name for each in parse_warnings(line["warnings"]) if each.kind in kinds for name in each.channels}
        for number in REFERENCE:
            self._dark[number] = self._dark[number] + 1 if CHANNEL_NAMES[number] in dark else 0
        gone = [number for number in REFERENCE if most and self._dark[number] >= most]
        if not gone:
            return
        if len(gone) == len(REFERENCE):
            raise HardwareError(
                f"No reference channel shows anything in {most} fields in a row. Look at the shutter and at the lamp, "
                "and whether there are cells; then run the plan again."
            )
        names = " and ".join(
            f"{CHANNELS[number].stain} ({CHANNEL_NAMES[number]}, preset '{self._plan.channels.of(number).preset}')"
            for number in gone
        )
        raise HardwareError(
            f"The channel of {names} has been empty or faint in {most} fields in a row, the others have not. Look at "
            "its lamp and its filter, and at the stain; then run the plan again."
        )


def _find_free(folder: Path) -> int:
    """Return the free bytes of the disk of a folder that may not exist yet."""
    existing = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    return shutil.disk_usage(existing).free


def _in_gb(number: int) -> str:
    return f"{number / 1e9:.3g} GB"
