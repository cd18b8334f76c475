"""Plot learning curves as small multiples: one small plot per Run, those with the same loss on the same scale."""

from __future__ import annotations

from math import isfinite
from statistics import median
from typing import TYPE_CHECKING

from lociscope.errors import MissingExtraError
from lociscope.report.figures import HELD_OUT, INK, LINES, TRAINING, style_axes, to_svg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from lociscope.report.candidates import Candidate

SIZE = (2.5, 1.5)
"""Inches at 10 pt; the page scales it."""
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7b6fd0", "#8a8a3a")
"""Colours that readers with a colour vision deficiency can distinguish (Okabe and Ito 2008), on light and on dark."""
MAX_NAMED = len(PALETTE)
MAX_LOSS = 2.5
"""Upper limit of the axis, in multiples of the median loss; a few high losses would compress the rest."""


def small_curves(candidates: Sequence[Candidate]) -> dict[str, Markup]:
    """Plot the losses of every candidate; for folds, one line each.

    Args:
        candidates: Candidates with one history or more.

    Returns:
        An `<svg>` element by name.

    Raises:
        MissingExtraError: matplotlib or markupsafe is not installed.
    """
    losses: dict[str, list[float]] = {}
    for each in candidates:
        rows = [row for history in each.histories for row in history]
        found = (row[key] for row in rows for key in ("loss", "val_loss"))
        losses.setdefault(each.recipe.train.loss, []).extend(value for value in found if isfinite(value))
    scales = {
        loss: (min(values), min(max(values), MAX_LOSS * median(values))) for loss, values in losses.items() if values
    }
    return {each.name: _curve(each.histories, scales.get(each.recipe.train.loss, (0, 1))) for each in candidates}


def overlay_curves(candidates: Sequence[Candidate]) -> dict[str, Markup]:
    """Plot the validation losses of all candidates with the same loss function on one figure.

    Args:
        candidates: Candidates with one history or more.

    Returns:
        An `<svg>` element by loss function, for those with two candidates or more; of a candidate of several folds the
        first fold is shown, and of more than `MAX_NAMED` candidates those with the lowest losses are in colour.

    Raises:
        MissingExtraError: matplotlib or markupsafe is not installed.
    """
    groups: dict[str, list[Candidate]] = {}
    for each in candidates:
        groups.setdefault(each.recipe.train.loss, []).append(each)
    return {loss: _overlay(members) for loss, members in groups.items() if len(members) > 1}


def _lowest(candidate: Candidate) -> float:
    return min(row["val_loss"] for row in candidate.histories[0])


def _overlay(members: Sequence[Candidate]) -> Markup:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("Learning curves", "report") from error
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    style_axes(axes)
    named = sorted(members, key=_lowest)[:MAX_NAMED]
    for each in sorted(members, key=_lowest, reverse=True):
        colour = PALETTE[named.index(each)] if each in named else TRAINING
        history = each.histories[0]
        epochs, losses = [row["epoch"] for row in history], [row["val_loss"] for row in history]
        axes.plot(
            epochs,
            losses,
            color=colour,
            linewidth=1.8 if each in named else 0.8,
            marker="o" if len(history) < 3 else "",
            label=each.name if each in named else None,
        )
        best = min(history, key=lambda row: row["val_loss"])
        axes.plot([best["epoch"]], [best["val_loss"]], "o", color=colour, markersize=5)
    values = [row["val_loss"] for each in members for row in each.histories[0] if isfinite(row["val_loss"])]
    if values:
        low, high = min(values), min(max(values), MAX_LOSS * median(values))
        room = 0.05 * (high - low) or 0.05
        axes.set_ylim(low - room, high + room)
    axes.set_xlabel("epoch", color=INK)
    axes.set_ylabel("validation loss", color=INK)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], frameon=False, labelcolor=INK, fontsize=9)
    return to_svg(figure)


def _curve(histories: Sequence[Sequence[Mapping[str, float]]], scale: tuple[float, float]) -> Markup:
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ModuleNotFoundError as error:
        raise MissingExtraError("Learning curves", "report") from error
    figure = Figure(figsize=SIZE)
    axes = figure.add_axes((0.16, 0.18, 0.8, 0.78))
    for history in histories:
        epochs = [row["epoch"] for row in history]
        marker = "o" if len(history) < 2 else ""
        for key, _, colour, dashes in LINES:
            axes.plot(epochs, [row[key] for row in history], dashes, color=colour, linewidth=1.5, marker=marker)
        best = min(history, key=lambda row: row["val_loss"])
        axes.plot([best["epoch"]], [best["val_loss"]], "o", color=HELD_OUT, markersize=5)
    low, high = scale
    room = 0.05 * (high - low) or 0.05
    axes.set_ylim(low - room, high + room)
    style_axes(axes)
    axes.tick_params(labelsize=8)
    last = max(row["epoch"] for history in histories for row in history)
    axes.set_xlim(0.5, last + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    return to_svg(figure)
