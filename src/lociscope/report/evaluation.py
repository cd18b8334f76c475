"""The acceptance report: how good Predictions are, on one page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lociscope.report.figures import learning_curves
from lociscope.report.gallery import GalleryField, make_card
from lociscope.report.metrics import USEFUL_GAIN, USEFUL_MINUTES, Metrics, measure
from lociscope.report.page import interval, number, render, write_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from lociscope.report.metrics import ClassScore, Figure

__all__ = ["GalleryField", "Metrics", "measure", "write_evaluation"]

NO_BREAK = "\u00a0"
JOINER = "\u2060"
"""Keep a number and its sign, and the ends of an interval, on one line."""

FREQUENT = 20
"""A class with fewer fields is set apart: its score is mostly chance."""


@dataclass(frozen=True, slots=True)
class Row:
    """A headline figure: its name, what it answers, and how it is drawn on its scale."""

    name: str
    answers: str
    figure: Figure
    digits: int
    scaled: bool

    @property
    def interval(self) -> str:
        """The interval as text."""
        return interval(self.figure.low, self.figure.high, self.digits)


def write_evaluation(
    path: Path,
    *,
    title: str,
    metrics: Metrics,
    shown: Sequence[GalleryField],
    thresholds: np.ndarray | None,
    history: Sequence[Mapping[str, float]] | None = None,
    run_facts: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Writes the page.

    Args:
        path: The HTML file to write, whole or not at all.
        title: Its heading.
        metrics: Of `measure`.
        shown: The fields of the gallery, in their order; a dozen make some 2 MB.
        thresholds: (28,) in 0–1, by which places were decided on; None where they are not known.
        history: Losses by epoch, as `Run.read_history` gives them.
        run_facts: What the result depends on, by name: recipe, seed, versions, fields.
        notes: What the reader has to know besides.

    Raises:
        LociscopeError: The page cannot be written.
        MissingExtraError: jinja2, or with a history matplotlib, is not installed.
    """
    classes = sorted((each for each in metrics.classes if each.positives), key=lambda each: -each.positives)
    html = render(
        "evaluation.html",
        title=title,
        result=summarize(metrics),
        metrics=metrics,
        rows=headline_rows(metrics),
        cards=[make_card(each, thresholds) for each in shown],
        curves=learning_curves(history) if history else None,
        frequent=[each for each in classes if each.positives >= FREQUENT],
        rare=[each for each in classes if each.positives < FREQUENT],
        invented=[each for each in metrics.classes if each.predicted and not each.positives],
        least_frequent=FREQUENT,
        facts=run_facts or {},
        notes=notes,
        ticks=thresholds is not None,
        one_threshold=_constant(thresholds),
    )
    write_page(path, html)


def _constant(thresholds: np.ndarray | None) -> float | None:
    """The threshold where it is the same for every class."""
    if thresholds is None or len(set(thresholds.tolist())) > 1:
        return None
    return float(thresholds[0])


def summarize(metrics: Metrics) -> list[str]:
    """The result in plain words, a sentence each."""
    found, f1, cost = (metrics.figures[name] for name in ("top_3", "macro_f1", "minutes"))
    sentences = [f"Evaluated on {metrics.what}."]
    if found.value is not None:
        sentences.append(
            f"One of the three likeliest places is a labelled one in {100 * found.value:.0f}{NO_BREAK}% of the fields"
            f"{_within(found, 100, 0)}."
        )
    sentences.append(_gain(metrics))
    sentences.append(
        f"Wrong and missed places cost {number(cost.value, 1)} minutes a field{_within(cost, 1, 1)}, "
        f"{_against(cost, USEFUL_MINUTES)} the {USEFUL_MINUTES:.0f} under which the answer begins to be useful."
    )
    if f1.value is not None:
        scored = len(metrics.classes) - len(metrics.absent)
        sentences.append(f"Macro-F1 is {number(f1.value)}{_within(f1)}, over {scored} of the 28 places.")
    return [*sentences, f"Brackets hold {100 * cost.level:.0f}{NO_BREAK}% intervals."]


def headline_rows(metrics: Metrics) -> list[Row]:
    """The headline figures, those that do not depend on thresholds first."""
    scored = [each for each in metrics.classes if each.positives]
    common = sum(each.positives >= FREQUENT for each in scored)
    named = {
        "lrap": ("LRAP", "are the labelled places at the top of the ranking?"),
        "top_3": ("Top three", "is a labelled place among the three likeliest?"),
        "macro_average_precision": ("Average precision", f"mean over {_places(scored)}, whatever the thresholds"),
        "macro_auc": ("AUC", "does a field with the place rank above one without it?"),
        "macro_f1": ("Macro-F1", f"mean over {_places(scored)}, at the thresholds"),
        "macro_f1_frequent": ("Macro-F1, frequent", f"only places with {FREQUENT} fields or more: {common}"),
        "jaccard": ("Overlap (Jaccard)", "places both reported and labelled, of those that are either"),
        "minutes": ("Minutes a field", f"2 for a wrong place, 6 for a missed one; useful below {USEFUL_MINUTES:.0f}"),
    }
    return [
        Row(name, answers, metrics.figures[key], 1 if key == "minutes" else 2, key != "minutes")
        for key, (name, answers) in named.items()
    ]


def _gain(metrics: Metrics) -> str:
    gain, score = metrics.gain_over_prior, metrics.figures["lrap"]
    if gain.value is None or gain.low is None:
        return "No field has a label, so nothing can be said of the ranking."
    if gain.low > USEFUL_GAIN:
        verdict = f"surely more than {USEFUL_GAIN}, the least that is useful"
    elif gain.low > 0:
        verdict = f"but not surely more than {USEFUL_GAIN}, the least that is useful"
    else:
        verdict = "so it is not shown to be better"
    return (
        f"Its ranking of the places scores LRAP {number(score.value)}; ranking them by frequency, without a look at "
        f"the picture, scores {number(metrics.prior_lrap)}. The gain is {number(gain.value)}{_within(gain)}, {verdict}."
    )


def _against(figure: Figure, bound: float) -> str:
    """Where a figure lies, its interval considered."""
    if figure.low is None or figure.high is None or figure.low <= bound <= figure.high:
        return "not clearly on either side of"
    return "below" if figure.high < bound else "above"


def _within(figure: Figure, times: float = 1, digits: int = 2) -> str:
    """The interval in brackets, or nothing."""
    if figure.low is None or figure.high is None:
        return ""
    ends = interval(figure.low * times, figure.high * times, digits)
    return f" ({ends.replace('–', f'–{JOINER}')})"


def _places(classes: Sequence[ClassScore]) -> str:
    return f"{len(classes)} place{'' if len(classes) == 1 else 's'}"
