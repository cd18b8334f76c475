"""Warnings about the files and the pixels of a field: their kinds, and how files and pages write them.

Code compares kinds and values. Text exists only in files (`str(warning)`, `FieldWarning.parse`) and for people
(`describe_warning`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from string import Formatter
from typing import TYPE_CHECKING

from lociscope.channels import CHANNEL_NAMES, CHANNELS, ChannelName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class WarningKind(StrEnum):
    """What a warning is about."""

    MISSING_CHANNEL = "missing-channel"
    EMPTY_CHANNEL = "empty-channel"
    FAINT_CHANNEL = "faint-channel"
    SATURATED = "saturated"
    REPEATED_CHANNEL = "repeated-channel"
    CROPPED_CELLS = "cropped-cells"
    """The value is the share of the nuclei's area, %."""
    NO_NUCLEI = "no-nuclei"
    """The blue channel shows no nuclei; the channels of the warning may show them."""
    UNSHARP = "unsharp"
    PIXEL_SIZE_ASSUMED = "pixel-size-assumed"
    PIXEL_SIZE_UNIT_ASSUMED = "pixel-size-unit-assumed"
    PIXEL_SIZE_IGNORED = "pixel-size-ignored"
    """The value is the size with its unit, as the file declares it."""
    SMALL_FIELD = "small-field"
    """The value is the longer side, µm."""
    COARSE_PIXELS = "coarse-pixels"
    """The value is the side of a pixel, µm."""
    OTHER = "other"
    """A text that this version does not know; the value is the text."""


@dataclass(frozen=True, slots=True)
class FieldWarning:
    """One warning about a field.

    Attributes:
        kind: What it is about.
        channels: The channels that it names.
        value: A number, rounded as files write it, or a text; the kind says which. None where the kind has none.
    """

    kind: WarningKind
    channels: tuple[ChannelName, ...] = ()
    value: float | str | None = None

    def __str__(self) -> str:
        """Return the text that files of Predictions, logs and journals hold, such as `empty plane: green`."""
        return _FILE_TEXTS[self.kind].format(channels=" and ".join(self.channels), value=self.value)

    @classmethod
    def parse(cls, text: str) -> FieldWarning:
        """Return the warning that a file holds; a text that no kind writes is of the kind `OTHER`."""
        for kind, pattern in _patterns().items():
            if match := pattern.fullmatch(text):
                parts = match.groupdict()
                channels = tuple(name for name in CHANNEL_NAMES if name in parts.get("channels", "").split(" and "))
                value = float(parts["number"]) if "number" in parts else parts.get("value")
                if str(warning := cls(kind, channels, value)) == text:
                    return warning
        return cls(WarningKind.OTHER, value=text)


def describe_warning(warning: FieldWarning) -> str:
    """Return a warning as a sentence for people, which names channels by their stains."""
    stains = " and ".join(channel.stain for name in warning.channels for channel in CHANNELS if channel.name == name)
    return _DESCRIPTIONS[warning.kind].format(channels=stains, value=warning.value)


def parse_warnings(texts: Iterable[object]) -> tuple[FieldWarning, ...]:
    """Return the warnings of one field that a file holds as texts."""
    return tuple(FieldWarning.parse(str(text)) for text in texts)


@cache
def _patterns() -> dict[WarningKind, re.Pattern[str]]:
    """Return for each kind the regular expression of its text in files."""
    return {kind: re.compile("".join(_expressions(text)), re.DOTALL) for kind, text in _FILE_TEXTS.items()}


def _expressions(text: str) -> Iterator[str]:
    for literal, name, form, _ in Formatter().parse(text):
        yield re.escape(literal)
        if name == "value" and form:
            yield r"(?P<number>[0-9]+(?:\.[0-9]+)?)"
        elif name:
            yield f"(?P<{name}>.+)"


_FILE_TEXTS: dict[WarningKind, str] = {
    WarningKind.MISSING_CHANNEL: "missing channel: {channels}",
    WarningKind.EMPTY_CHANNEL: "empty plane: {channels}",
    WarningKind.FAINT_CHANNEL: "faint plane: {channels}",
    WarningKind.SATURATED: "saturated: {channels}",
    WarningKind.REPEATED_CHANNEL: "repeated channel: {channels}",
    WarningKind.CROPPED_CELLS: "cells cut off: {value:.0f} % of the nuclei",
    WarningKind.NO_NUCLEI: "blue shows no nuclei, {channels} may",
    WarningKind.UNSHARP: "unsharp: {channels}",
    WarningKind.PIXEL_SIZE_ASSUMED: "pixel_size_assumed",
    WarningKind.PIXEL_SIZE_UNIT_ASSUMED: "pixel_size_unit_assumed",
    WarningKind.PIXEL_SIZE_IGNORED: "pixel_size_ignored: {value}",
    WarningKind.SMALL_FIELD: "small field: {value:.0f} µm",
    WarningKind.COARSE_PIXELS: "coarse pixels: {value:.2f} µm",
    WarningKind.OTHER: "{value}",
}
"""Part of the schema of Predictions: a change here makes older files unreadable."""

_DESCRIPTIONS: dict[WarningKind, str] = {
    WarningKind.MISSING_CHANNEL: "The {channels} channel was not imaged; it was taken as black.",
    WarningKind.EMPTY_CHANNEL: "The {channels} channel is empty: there is nothing to see in it.",
    WarningKind.FAINT_CHANNEL: "The {channels} channel is faint: there is little in it but noise.",
    WarningKind.SATURATED: "The {channels} channel is overexposed: more than 3 % of its pixels are at the camera’s "
    "limit.",
    WarningKind.REPEATED_CHANNEL: "The {channels} channels hold the same pixels.",
    WarningKind.CROPPED_CELLS: "The edge of the field cuts many cells: {value:.0f} % of the nuclei, by area.",
    WarningKind.NO_NUCLEI: "The nucleus channel shows no nuclei, but {channels} may. Were they swapped?",
    WarningKind.UNSHARP: "The {channels} channel is blurred: out of focus, or enlarged.",
    WarningKind.PIXEL_SIZE_ASSUMED: "Nothing declares the size of a pixel; the field was taken to span 164 µm.",
    WarningKind.PIXEL_SIZE_UNIT_ASSUMED: "The file gives the size of a pixel without a unit; it was taken as µm.",
    WarningKind.PIXEL_SIZE_IGNORED: "The file gives a size of a pixel that cannot be used: {value}.",
    WarningKind.SMALL_FIELD: "The field spans only {value:.0f} µm; it was continued by its mirror image.",
    WarningKind.COARSE_PIXELS: "A pixel is {value:.2f} µm wide, coarser than the model sees: small structures may be "
    "lost.",
    WarningKind.OTHER: "{value}",
}
