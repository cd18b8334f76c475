"""Figures for a paper: confusions, precision–recall curves, calibration and example fields, as SVG and PDF."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import BLUE, CHANNELS, GREEN, RED
from lociscope.errors import MissingExtraError
from lociscope.images.render import DEFAULT_CHANNELS, SAFE_COLOURS, render_composite
from lociscope.labels import LABELS
from lociscope.report.accepted import confusion_rows
from lociscope.report.gallery import make_scale_bar
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from lociscope.report.evaluation import Gallery
    from lociscope.report.gallery import GalleryField
    from lociscope.report.metrics import Metrics

FORMATS = ("svg", "pdf")
EXAMPLES = 6
SIZE = 384
"""Side of an example in px."""
ACCENT = "#0a6a73"
PALETTES = {
    "examples-hpa-colours": tuple(channel.colour for channel in CHANNELS),
    "examples-colour-blind-safe": SAFE_COLOURS,
}


def write_figures(folder: Path, metrics: Metrics, galleries: Sequence[Gallery]) -> list[Path]:
    """Write the figures of an evaluation.

    Args:
        folder: Where to write `confusions`, `precision-recall`, `calibration`, `examples-hpa-colours` and
            `examples-colour-blind-safe`, each as `.svg` and `.pdf`; the examples only where fields can be shown.
        metrics: From `measure`.
        galleries: Fields to choose the examples from.

    Returns:
        The files.

    Raises:
        LociscopeError: A file cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise MissingExtraError("Figures", "report") from error
    folder.mkdir(parents=True, exist_ok=True)
    fields = list({each.field.id: each for each in chain(*(gallery.fields for gallery in galleries))}.values())
    written = []
    with matplotlib.rc_context(
        {"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "lociscope", "font.size": 8}
    ):
        for name, figure in _draw(metrics, list(islice(fields, EXAMPLES))):
            for form in FORMATS:
                path = folder / f"{name}.{form}"
                with atomic_write(path) as part:
                    date = "Date" if form == "svg" else "CreationDate"  # equal input, equal file
                    figure.savefig(part, format=form, metadata={date: None}, dpi=300)
                written.append(path)
    return written


def _draw(metrics: Metrics, fields: Sequence[GalleryField]) -> Iterator[tuple[str, Figure]]:
    if metrics.acceptance is not None:
        if rows := confusion_rows(metrics.acceptance, metrics.classes):
            counts = np.array([[count for count, _, _ in row.cells] for row in rows])
            yield "confusions", confusion_figure(counts, [row.label for row in rows])
        yield "precision-recall", curves_figure(metrics)
        yield "calibration", calibration_figure(metrics)
    if fields:
        for name, colours in PALETTES.items():
            yield name, examples_figure(fields, colours)


def confusion_figure(counts: np.ndarray, labels: Sequence[str]) -> Figure:
    """Plot confusions as a heat map.

    Args:
        counts: (k, k): row, the missed location; column, the one that was wrongly reported.
        labels: Names of the k locations.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 6.6), layout="constrained")
    axes = figure.add_subplot()
    shown = axes.imshow(counts, cmap="cividis")
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="wrongly reported", ylabel="missed")
    figure.colorbar(shown, label="fields", shrink=0.7)
    return figure


def curves_figure(metrics: Metrics) -> Figure:
    """Plot the precision–recall curve of each location that occurs."""
    from matplotlib.figure import Figure

    found = [] if metrics.acceptance is None else metrics.acceptance.curves
    pairs = [(score, np.array(points)) for score, points in zip(metrics.classes, found, strict=True) if points]
    columns = 7
    rows = -(-len(pairs) // columns) or 1
    figure = Figure(figsize=(7.2, 1.25 * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (score, points) in zip(panels, pairs, strict=False):
        axes.plot(points[:, 0], points[:, 1], color=ACCENT, linewidth=1)
        axes.axhline(score.positives / metrics.fields, color="0.6", linewidth=0.6, linestyle="--")
        axes.set_title(f"{score.label}\nAP {score.average_precision or 0:.2f}, n = {score.positives}", fontsize=5)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xticks=[0, 1], yticks=[0, 1])
        axes.tick_params(labelsize=5, length=2)
    for axes in panels[len(pairs) :]:
        axes.set_axis_off()
    figure.supxlabel("recall", fontsize=7)
    figure.supylabel("precision", fontsize=7)
    return figure


def calibration_figure(metrics: Metrics) -> Figure:
    """Plot reliability diagrams, one for each group of classes."""
    from matplotlib.figure import Figure

    diagrams = () if metrics.acceptance is None else metrics.acceptance.reliability
    figure = Figure(figsize=(1.9 * max(len(diagrams), 1), 2.3), layout="constrained")
    panels = figure.subplots(1, max(len(diagrams), 1), sharex=True, sharey=True, squeeze=False)[0]
    for axes, each in zip(panels, diagrams, strict=False):
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.6)
        axes.vlines(each.predicted, each.low, each.high, color=ACCENT, linewidth=1, alpha=0.5)
        axes.plot(each.predicted, each.observed, "o", color=ACCENT, markersize=3)
        axes.set_title(f"{each.name}\nECE {each.error:.3f}", fontsize=7)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    figure.supxlabel("probability", fontsize=8)
    panels[0].set_ylabel("observed share")
    return figure


def examples_figure(fields: Sequence[GalleryField], colours: tuple[tuple[float, float, float], ...]) -> Figure:
    """Show fields: the composite and its three channels, with a scale bar and the reported locations.

    Args:
        fields: At least one.
        colours: The colour of each channel.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    shown = (DEFAULT_CHANNELS, (RED,), (GREEN,), (BLUE,))
    figure = Figure(figsize=(7.2, 2.0 * len(fields)), layout="constrained")
    panels = figure.subplots(len(fields), len(shown), squeeze=False)
    for row, item in zip(panels, fields, strict=True):
        bar = make_scale_bar(item.field)
        width = bar.width / 100 * SIZE
        for axes, channels in zip(row, shown, strict=True):
            axes.imshow(render_composite(item.field.pixels, SIZE, channels, colours))
            axes.add_patch(Rectangle((SIZE * 0.95 - width, SIZE * 0.94), width, SIZE * 0.015, color="white"))
            axes.set(xticks=[], yticks=[])
        row[0].text(SIZE * 0.95, SIZE * 0.92, bar.text, color="white", fontsize=6, ha="right", va="bottom")
        row[0].set_title(f"{item.field.id}: {', '.join(LABELS[each] for each in item.predicted) or 'none'}", loc="left")
    for axes, title in zip(
        panels[-1], ("composite", *(CHANNELS[each].stain for each in (RED, GREEN, BLUE))), strict=True
    ):
        axes.set_xlabel(title)
    return figure
