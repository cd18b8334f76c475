"""Figures as inline SVG that use the colours and the font of the page."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from lociscope.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lociscope.decide.ensemble_report import ReliabilityDiagram

INK, GRID, TRAINING, HELD_OUT = "#010101", "#020202", "#030303", "#040404"
"""Placeholder colours for matplotlib; in the SVG they are replaced by the colours of the page, light or dark."""
PAGE_COLOURS = {INK: "var(--soft)", GRID: "var(--line)", TRAINING: "var(--soft)", HELD_OUT: "var(--accent)"}
LINES = (("loss", "training", TRAINING, "--"), ("val_loss", "validation", HELD_OUT, "-"))
"""Column of a history, its name, colour and dashes."""


def learning_curves(history: Sequence[Mapping[str, float]]) -> Markup:
    """Plot the losses by epoch, with a mark at the epoch that is used.

    Args:
        history: One mapping per epoch with `epoch`, `loss` and `val_loss`, from `Run.read_history`.

    Returns:
        An `<svg>` element.

    Raises:
        MissingExtraError: matplotlib or jinja2's markupsafe is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("Learning curves", "report") from error
    figure = Figure(figsize=(4.6, 2.5), layout="constrained")
    axes = figure.add_subplot()
    style_axes(axes)
    for key, name, colour, dashes in LINES:
        epochs, losses = [row["epoch"] for row in history], [row[key] for row in history]
        axes.plot(epochs, losses, dashes, color=colour, linewidth=1.8, marker="o" if len(history) < 3 else "")
        axes.annotate(
            name, (epochs[-1], losses[-1]), xytext=(6, 0), textcoords="offset points", color=colour, va="center"
        )
    best = min(history, key=lambda row: row["val_loss"])
    axes.plot([best["epoch"]], [best["val_loss"]], "o", color=HELD_OUT, markersize=7)
    axes.set_xlabel("epoch", color=INK)
    axes.set_ylabel("loss", color=INK)
    axes.margins(x=0.02)
    return to_svg(figure)


def reliability_diagram(diagrams: Sequence[ReliabilityDiagram]) -> Markup:
    """Plot observed shares against probabilities, with Wilson intervals, one panel per group of classes.

    Args:
        diagrams: Of all classes, and of groups of them.

    Returns:
        An `<svg>` element.

    Raises:
        MissingExtraError: matplotlib or markupsafe is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("A reliability diagram", "report") from error
    figure = Figure(figsize=(2.6 * len(diagrams), 2.9), layout="constrained")
    panels = figure.subplots(1, len(diagrams), sharex=True, sharey=True, squeeze=False)[0]
    for axes, each in zip(panels, diagrams, strict=True):
        axes.plot([0, 1], [0, 1], color=GRID, linewidth=1)
        axes.vlines(each.predicted, each.low, each.high, color=HELD_OUT, linewidth=1.5, alpha=0.5)
        axes.plot(each.predicted, each.observed, "o", color=HELD_OUT, markersize=4)
        axes.set_title(f"{each.name}\n{each.positives} positives", color=INK, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(GRID)
        axes.tick_params(colors=INK, length=0)
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1], aspect="equal")
    panels[0].set_ylabel("observed share", color=INK)
    figure.supxlabel("probability", color=INK, fontsize=10)
    return to_svg(figure)


def to_svg(figure: Figure) -> Markup:
    """Convert a matplotlib figure to an `<svg>` element without a fixed size, with the colours of the page.

    Args:
        figure: A figure in the placeholder colours above.

    Returns:
        The element; equal figures give equal text.
    """
    import matplotlib
    from markupsafe import Markup

    buffer = io.StringIO()
    unnamed = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "lociscope", "font.size": 10}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=unnamed)
    svg = buffer.getvalue()
    svg = _drop_ids(svg[svg.index("<svg") :])
    for placeholder, colour in PAGE_COLOURS.items():
        svg = svg.replace(placeholder, colour)
    return Markup(svg)  # noqa: S704 - our own plot; matplotlib escapes its texts


def _drop_ids(svg: str) -> str:
    """Return a figure without the ids that nothing refers to, since other figures of the page have the same ones."""
    used = {*re.findall(r"url\(#([^)]+)\)", svg), *re.findall(r'href="#([^"]+)"', svg)}
    return re.sub(r' id="([^"]+)"', lambda match: match[0] if match[1] in used else "", svg)


def style_axes(axes: Axes) -> None:
    """Apply the common style: a line below, a horizontal grid, few ticks, placeholder colours."""
    from matplotlib.ticker import MaxNLocator

    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.tick_params(colors=INK, length=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
