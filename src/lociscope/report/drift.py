"""The page of a drift check: what has drifted, and the statistics behind it, from the output of `--json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lociscope.channels import CHANNELS
from lociscope.report.page import number, render, write_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FIGURES = {
    "BackgroundIntensity": ("Background", "1st percentile, grey levels of 255", 1),
    "MedianIntensity": ("Median", "grey levels of 255", 1),
    "BrightIntensity": ("Bright parts", "99th percentile, grey levels of 255", 0),
    "PercentMaximal": ("At the maximum", "% of pixels of the input", 2),
    "PercentMinimal": ("At the minimum", "% of pixels of the input", 1),
    "PowerLogLogSlope": ("Fine detail", "slope of the power spectrum; lower is blurred, higher is noise", 2),
    "parts": ("Contrast", "share of the variance between dark and bright pixels", 2),
    "Correlation": ("", "correlation of the pixels", 2),
}
"""Name, description and number of decimals of each statistic."""


@dataclass(frozen=True, slots=True)
class Strip:
    """A distribution on the scale of the row: 5, 25, 50, 75 and 95 % quantiles, as percentages of the width."""

    low: float
    lower: float
    middle: float
    upper: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """One statistic as text and plots."""

    name: str
    what: str
    window: str
    reference: str
    window_strip: Strip
    reference_strip: Strip
    p: str
    moved: bool


def write_drift(path: Path, drift: Mapping[str, Any]) -> None:
    """Write the page.

    Args:
        path: The HTML file to write atomically.
        drift: The parsed output of `lociscope monitor check --json`.

    Raises:
        LociscopeError: The page cannot be written.
        MissingExtraError: jinja2 is not installed.
    """
    groups: dict[str, list[Row]] = {}
    for each in drift["statistics"]:
        groups.setdefault(_subject(each["name"]), []).append(build_row(each))
    html = render(
        "drift.html",
        title=_title(drift),
        drift=drift,
        groups=groups.items(),
        locations=[each for each in drift["locations"] if each["window"] or each["reference"]],
        format_share=format_share,
        format_p_value=format_p_value,
    )
    write_page(path, html)


def _title(drift: Mapping[str, Any]) -> str:
    if drift["drifted"]:
        return "Drift"
    return "No drift in what was checked" if drift["not_checked"] else "No drift"


def build_row(finding: Mapping[str, Any]) -> Row:
    """Build the row of one statistic, with both distributions on one scale."""
    name, what, digits = FIGURES[finding["name"].partition("_")[0]]
    here, there = finding["window"], finding["reference"]
    low, high = min(here[0], there[0]), max(here[-1], there[-1])
    span = (high - low) or 1.0

    def strip(values: Sequence[float]) -> Strip:
        return Strip(*(round(100 * (value - low) / span, 2) if high > low else 50.0 for value in values))

    return Row(
        name or name_channels(finding["name"]),
        what,
        number(here[2], digits),
        number(there[2], digits),
        strip(here),
        strip(there),
        format_p_value(finding["p"]),
        finding["moved"],
    )


def format_share(count: int, of: int) -> str:
    """Format a share: `12 %`, or `under 1 %` where it rounds to 0 but is not."""
    percent = 100 * count / of
    return "under 1 %" if 0 < percent < 1 else f"{percent:.0f} %"


def format_p_value(p: float) -> str:
    """Format a p value, never as 0."""
    return "<\N{NO-BREAK SPACE}0.001" if p < 0.001 else number(p, 3 if p < 0.1 else 2)


def _subject(name: str) -> str:
    return "Two channels" if name.startswith("Correlation") else name_channels(name)


def name_channels(name: str) -> str:
    """Return the stains of a statistic with their channels: `Protein and nucleus (green and blue)`."""
    names = name.split("_")[1:]
    stains = " and ".join(channel.stain for channel in CHANNELS if channel.name in names)
    return f"{stains[:1].upper()}{stains[1:]} ({' and '.join(names)})"
