"""The page of a drift check: what moved, and the figures behind it. Drawn from what `--json` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lociscope.report.page import number, render, write_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FIGURES = {
    "BackgroundIntensity": ("Ground", "1st percentile, grey levels of 255", 1),
    "MedianIntensity": ("Median", "grey levels of 255", 1),
    "BrightIntensity": ("Bright parts", "99th percentile, grey levels of 255", 0),
    "PercentMaximal": ("At full scale", "% of pixels of the input", 2),
    "PercentMinimal": ("At the bottom", "% of pixels of the input", 1),
    "PowerLogLogSlope": ("Sharpness", "slope of the spectrum; lower is blurrier", 2),
    "parts": ("Contrast", "share of the variance between dark and bright", 2),
    "Correlation": ("", "correlation of the pixels", 2),
}
"""For each statistic its name, what it is, and its digits."""


@dataclass(frozen=True, slots=True)
class Strip:
    """A distribution on the row's scale: 5, 25, 50, 75 and 95 %, as percentages of the width."""

    low: float
    lower: float
    middle: float
    upper: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """One statistic as it is shown."""

    name: str
    what: str
    window: str
    reference: str
    window_strip: Strip
    reference_strip: Strip
    p: str
    moved: bool


def write_drift(path: Path, drift: Mapping[str, Any]) -> None:
    """Writes the page.

    Args:
        path: The HTML file to write, whole or not at all.
        drift: What `lociscope monitor check --json` prints, parsed.

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
    """One statistic, both distributions on one scale."""
    name, what, digits = FIGURES[finding["name"].partition("_")[0]]
    here, there = finding["window"], finding["reference"]
    low, high = min(here[0], there[0]), max(here[-1], there[-1])
    span = (high - low) or 1.0

    def strip(values: Sequence[float]) -> Strip:
        return Strip(*(round(100 * (value - low) / span, 2) if high > low else 50.0 for value in values))

    return Row(
        name or _channels(finding["name"]),
        what,
        number(here[2], digits),
        number(there[2], digits),
        strip(here),
        strip(there),
        format_p_value(finding["p"]),
        finding["moved"],
    )


def format_share(count: int, of: int) -> str:
    """`12 %`, and `under 1 %` where it is no 0."""
    percent = 100 * count / of
    return "under 1 %" if 0 < percent < 1 else f"{percent:.0f} %"


def format_p_value(p: float) -> str:
    """A p for the eye, never 0."""
    return "<\N{NO-BREAK SPACE}0.001" if p < 0.001 else number(p, 3 if p < 0.1 else 2)


def _subject(name: str) -> str:
    return "Two channels" if name.startswith("Correlation") else _channels(name)


def _channels(name: str) -> str:
    return " and ".join(name.split("_")[1:]).capitalize()
