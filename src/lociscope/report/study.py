"""The report of a hyperparameter study: the trials, the importance of the keys, and the combinations of values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lociscope.artifacts.study import find_best_trial
from lociscope.errors import MissingExtraError
from lociscope.report.figures import GRID, HELD_OUT, INK, TRAINING, style_axes, to_svg
from lociscope.report.page import interval, number, render, write_page

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lociscope.artifacts.study import TrialRecord
    from lociscope.decide.intervals import Interval
    from lociscope.report.page import Link

FEW = 20
"""Number of complete trials below which the importance of a key is mostly chance."""
STATES = {"complete": "completed", "pruned": "pruned", "failed": "failed"}
UPPER = 0.2
"""Share of the trials that are highlighted as the best."""


def write_study(
    path: Path,
    name: str,
    trials: Sequence[TrialRecord],
    space: Mapping[str, str],
    log: Collection[str],
    importance: Mapping[str, float],
    gain: Interval | None,
    files: Sequence[Link] = (),
) -> None:
    """Write the page.

    Args:
        path: The HTML file to write atomically.
        name: Name of the recipe.
        trials: All finished trials.
        space: The search space as text, by dotted key.
        log: The keys that were searched on a logarithmic scale.
        importance: Shares of 1 by key; may be empty.
        gain: LRAP of the best trial minus that of the unchanged recipe.
        files: The other files of the study.

    Raises:
        LociscopeError: The page cannot be written.
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    complete = [trial for trial in trials if trial.lrap is not None]
    html = render(
        "study.html",
        title=f"Tuning of {name}",
        result=summarize(trials, gain),
        files=files,
        trials=sorted(trials, key=lambda trial: (trial.lrap is None, -(trial.lrap or 0), trial.number)),
        best=find_best_trial(trials),
        space=space,
        importance=importance,
        few=len(complete) < FEW,
        history=history_figure(trials) if len(complete) > 1 else None,
        parallel=parallel_figure(complete, list(space), log) if len(complete) > 1 else None,
        format_value=format_value,
        states=STATES | {"complete": ""},
    )
    write_page(path, html)


def summarize(trials: Sequence[TrialRecord], gain: Interval | None) -> list[str]:
    """Summarize the result in plain sentences."""
    counts = {state: sum(trial.state == state for trial in trials) for state in STATES}
    listed = ", ".join(f"{count} {STATES[state]}" for state, count in counts.items() if count)
    sentences = [f"{len(trials)} trial{'s' if len(trials) > 1 else ''}: {listed}."]
    best = find_best_trial(trials)
    if best is None:
        return sentences
    sentences.append(f"The best is trial {best.number}, with LRAP {number(best.lrap, 3)} on the validation fields.")
    if best.own:
        sentences.append("That is the unchanged recipe: no trial is better.")
    elif gain is not None:
        doubt = "" if gain.low > 0 else ", not significant"
        ends = interval(gain.low, gain.high, 3)
        sentences.append(f"That is {number(gain.value, 3)} above the unchanged recipe (90 % interval {ends}{doubt}).")
    return sentences


def format_value(value: Any) -> str:  # noqa: ANN401 - any value of a recipe
    """Format a value: `0.0021`, `true`, a dash for None."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def history_figure(trials: Sequence[TrialRecord]) -> Markup:
    """Plot the LRAP of each trial by number, the best so far as a line, and pruned trials at the bottom.

    Args:
        trials: All finished trials, at least one of them complete.

    Returns:
        An `<svg>` element.

    Raises:
        MissingExtraError: matplotlib or markupsafe is not installed.
    """
    figure, axes = _figure(7.5, 2.8)
    complete = [trial for trial in trials if trial.lrap is not None]
    scores = [float(trial.lrap or 0) for trial in complete]
    bests = [max(scores[: i + 1]) for i in range(len(scores))]
    numbers = [trial.number for trial in complete]
    axes.step([*numbers, trials[-1].number], [*bests, bests[-1]], where="post", color=HELD_OUT, linewidth=1.8)
    axes.plot(numbers, scores, "o", color=TRAINING, markersize=4)
    best = find_best_trial(trials)
    if best is not None:
        axes.plot([best.number], [best.lrap or 0], "o", color=HELD_OUT, markersize=8)
    incomplete = [trial.number for trial in trials if trial.lrap is None]
    bottom = min(scores) - 0.08 * ((max(scores) - min(scores)) or 1)
    axes.plot(incomplete, [bottom] * len(incomplete), "x", color=TRAINING, markersize=5)
    axes.set_xlabel("trial", color=INK)
    axes.set_ylabel("LRAP", color=INK)
    axes.margins(x=0.03)
    return to_svg(figure)


def parallel_figure(trials: Sequence[TrialRecord], keys: Sequence[str], log: Collection[str] = ()) -> Markup:
    """Plot each trial as a line over its values, the best in colour (parallel coordinates).

    Args:
        trials: Complete trials, at least two.
        keys: The searched keys, one axis each; LRAP is the last axis.
        log: The keys with a logarithmic axis.

    Returns:
        An `<svg>` element.

    Raises:
        MissingExtraError: matplotlib or markupsafe is not installed.
    """
    columns = [scale([trial.values[key] for trial in trials], key in log) for key in keys]
    columns.append(scale([trial.lrap for trial in trials], False))
    figure, axes = _figure(max(7.5, 1.35 * len(columns)), 3.6)
    ranked = sorted(range(len(trials)), key=lambda i: trials[i].lrap or 0)  # the best are plotted last, on top
    better = set(ranked[-max(1, round(UPPER * len(trials))) :])
    for i in ranked:
        heights = [column.heights[i] for column in columns]
        colour, width, opacity = (HELD_OUT, 1.8, 0.9) if i in better else (TRAINING, 0.8, 0.45)
        axes.plot(range(len(columns)), heights, "-", color=colour, linewidth=width, alpha=opacity)
    for position, column in enumerate(columns):
        axes.axvline(position, color=GRID, linewidth=1)
        for height, text in column.ticks:
            axes.annotate(
                text, (position, height), xytext=(4, 0), textcoords="offset points", color=INK, va="center", fontsize=8
            )
    axes.set_xticks(range(len(columns)), [*(key.replace(".", "\n", 1) for key in keys), "LRAP"])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.set_xlim(-0.1, len(columns) - 0.5)
    return to_svg(figure)


@dataclass(frozen=True, slots=True)
class Scale:
    """Values as heights from 0 to 1, and the labels at some heights."""

    heights: list[float]
    ticks: list[tuple[float, str]]


def scale(values: Sequence[Any], log: bool) -> Scale:
    """Scale values to an axis: numbers by size, other values evenly by name.

    Args:
        values: All numbers, or any values that can be distinguished.
        log: Whether numbers are scaled by their logarithm.
    """
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        names = sorted({format_value(value) for value in values})
        step = 1 / max(1, len(names) - 1)
        return Scale(
            [names.index(format_value(value)) * step for value in values], [(i * step, n) for i, n in enumerate(names)]
        )
    low, high = min(values), max(values)
    scaled = [math.log(value) if log else float(value) for value in values]
    bottom, span = min(scaled), (max(scaled) - min(scaled)) or 1
    ends = [(0.0, format_value(low))] if low == high else [(0.0, format_value(low)), (1.0, format_value(high))]
    return Scale([(each - bottom) / span for each in scaled], ends)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("The report of a study", "report") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    style_axes(axes)
    return figure, axes
