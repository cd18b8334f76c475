"""The acceptance report: the scores of Predictions on one page, with galleries of fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lociscope.decide.metrics import FREQUENT
from lociscope.report.accepted import confusion_rows, curve_rows, describe_confusions, subset_tables
from lociscope.report.definitions import DECIDED_AS_GIVEN, DECIDED_AT_ONE_THRESHOLD, MACRO_F1
from lociscope.report.figures import learning_curves, reliability_diagram
from lociscope.report.gallery import make_card
from lociscope.report.metrics import USEFUL_GAIN, USEFUL_MINUTES
from lociscope.report.page import interval, number, render, write_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from lociscope.report.gallery import Card, GalleryField
    from lociscope.report.metrics import Metrics
    from lociscope.report.page import Link
    from lociscope.report.scores import ClassScore, Figure

NO_BREAK = "\u00a0"
JOINER = "\u2060"
"""Keep a number and its sign, and the ends of an interval, on one line."""


@dataclass(frozen=True, slots=True)
class Row:
    """A headline metric: its name, the question it answers, its value, and whether it is plotted on a 0–1 scale."""

    name: str
    answers: str
    figure: Figure
    digits: int
    scaled: bool

    @property
    def interval(self) -> str:
        """Format the interval."""
        return interval(self.figure.low, self.figure.high, self.digits)


@dataclass(frozen=True, slots=True)
class Gallery:
    """Fields that are shown together; without a title they are the only ones."""

    title: str
    what: str
    fields: Sequence[GalleryField]


@dataclass(frozen=True, slots=True)
class CardGroup:
    """The cards of a gallery, and a key that distinguishes its ids from those of the others."""

    title: str
    what: str
    key: str
    cards: list[Card]


def write_evaluation(
    path: Path,
    *,
    title: str,
    metrics: Metrics,
    galleries: Sequence[Gallery],
    thresholds: np.ndarray | None,
    history: Sequence[Mapping[str, float]] | None = None,
    run_facts: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    files: Sequence[Link] = (),
) -> None:
    """Write the page.

    Args:
        path: The HTML file to write atomically.
        title: The heading.
        metrics: From `measure`.
        galleries: The fields to show, in order; a dozen make about 2 MB.
        thresholds: (28,) in 0–1, by which locations were decided; None where they are not known.
        history: Losses by epoch, from `Run.read_history`.
        run_facts: What the result depends on, by name: recipe, seed, versions, fields.
        notes: Further notes for the reader.
        files: The other files of the result.

    Raises:
        LociscopeError: The page cannot be written.
        MissingExtraError: jinja2, or with a history matplotlib, is not installed.
    """
    classes = sorted((each for each in metrics.classes if each.positives), key=lambda each: -each.positives)
    accepted = metrics.acceptance
    shown = [
        CardGroup(each.title, each.what, f"{number}-", [make_card(item, thresholds) for item in each.fields])
        for number, each in enumerate(galleries, start=1)
        if each.fields
    ]
    html = render(
        "evaluation.html",
        title=title,
        files=files,
        result=summarize(metrics),
        metrics=metrics,
        rows=headline_rows(metrics),
        definition=MACRO_F1,
        decided=DECIDED_AS_GIVEN,
        decided_one=DECIDED_AT_ONE_THRESHOLD,
        one_threshold_row="macro_f1_one_threshold" in metrics.figures,
        galleries=shown,
        shown=sum(len(each.cards) for each in shown),
        has_evidence=any(card.evidence for each in shown for card in each.cards),
        curves=learning_curves(history) if history else None,
        frequent=[each for each in classes if each.positives >= FREQUENT],
        rare=[each for each in classes if each.positives < FREQUENT],
        false_only=[each for each in metrics.classes if each.predicted and not each.positives],
        least_frequent=FREQUENT,
        accepted=accepted,
        subsets=subset_tables(accepted) if accepted else [],
        confusions=confusion_rows(accepted, metrics.classes) if accepted else [],
        confused=describe_confusions(accepted) if accepted else [],
        curves_of=curve_rows(metrics, accepted) if accepted else [],
        diagram=reliability_diagram(accepted.reliability) if accepted else None,
        facts=run_facts or {},
        notes=notes,
        ticks=thresholds is not None,
        one_threshold=_find_constant(thresholds),
        interval=interval,
    )
    write_page(path, html)


def _find_constant(thresholds: np.ndarray | None) -> float | None:
    """Return the threshold where it is the same for every class, else None."""
    if thresholds is None or len(set(thresholds.tolist())) > 1:
        return None
    return float(thresholds[0])


def summarize(metrics: Metrics) -> list[str]:
    """Summarize the result in plain sentences."""
    top, f1, cost = (metrics.figures[name] for name in ("top_3", "macro_f1", "minutes"))
    sentences = [f"Evaluated on {metrics.what}."]
    if top.value is not None:
        sentences.append(
            f"In {100 * top.value:.0f}{NO_BREAK}% of the fields{_bracket(top, 100, 0)}, at least one of the three "
            "likeliest locations is correct."
        )
    sentences.append(_summarize_gain(metrics))
    sentences.append(
        f"Wrong and missed locations cost {number(cost.value, 1)} minutes per field{_bracket(cost, 1, 1)}, "
        f"{_compare(cost, USEFUL_MINUTES)} the {USEFUL_MINUTES:.0f} minutes below which predictions are useful."
    )
    if f1.value is not None:
        scored = sum(each.f1 is not None for each in metrics.classes)
        worse = f1.high is not None and f1.baseline is not None and f1.high < f1.baseline
        sentences.append(
            f"Macro-F1 is {number(f1.value)}{_bracket(f1)}, over {scored} of the 28 locations"
            + (f": worse than reporting every location for every field, {number(f1.baseline)}." if worse else ".")
        )
    return [*sentences, f"Brackets show {100 * cost.level:.0f}{NO_BREAK}% intervals."]


def headline_rows(metrics: Metrics) -> list[Row]:
    """Return the headline metrics, those that do not depend on thresholds first."""
    scored = [each for each in metrics.classes if each.positives]
    frequent = sum(each.positives >= FREQUENT for each in scored)
    named = {
        "lrap": ("LRAP", "are the labelled locations at the top of the ranking?"),
        "top_3": ("Top-3", "is a labelled location among the three likeliest?"),
        "macro_average_precision": ("Average precision", f"mean over {_count(scored)}, independent of thresholds"),
        "macro_auc": ("AUC", "do fields with the location rank above fields without it?"),
        "macro_f1": ("Macro-F1", f"mean over {_count(scored)}, at the thresholds"),
        "macro_f1_frequent": ("Macro-F1, frequent", f"only locations with {FREQUENT} fields or more: {frequent}"),
        "macro_f1_one_threshold": ("Macro-F1, one threshold", "the same mean, decided as in lociscope compare"),
        "macro_precision": ("Precision", f"mean over {_count(scored)}: correct of the reported"),
        "macro_recall": ("Recall", f"mean over {_count(scored)}: correct of the labelled"),
        "exact_match": ("Exact match (accuracy)", "are the reported locations exactly the labelled ones?"),
        "decision_accuracy": ("Accuracy of decisions", "over fields and locations; high for whoever reports nothing"),
        "jaccard": ("Overlap (Jaccard)", "locations reported and labelled, divided by locations reported or labelled"),
        "minutes": (
            "Minutes per field",
            f"2 for a wrong location, 6 for a missed one; useful below {USEFUL_MINUTES:.0f}",
        ),
    }
    return [
        Row(name, answers, metrics.figures[key], 1 if key == "minutes" else 2, key != "minutes")
        for key, (name, answers) in named.items()
        if key in metrics.figures
    ]


def _summarize_gain(metrics: Metrics) -> str:
    gain, score = metrics.gain_over_prior, metrics.figures["lrap"]
    if gain.value is None or gain.low is None:
        return "No field has a label, so the ranking cannot be scored."
    if gain.low > USEFUL_GAIN:
        verdict = f"significantly more than {USEFUL_GAIN}, the smallest useful gain"
    elif gain.low > 0:
        verdict = f"but not significantly more than {USEFUL_GAIN}, the smallest useful gain"
    elif gain.high is not None and gain.high < 0:
        verdict = "so the ranking is worse than the label prior"
    else:
        verdict = "which is not a significant improvement"
    return (
        f"The ranking of the locations scores LRAP {number(score.value)}; the label prior, which ranks them by "
        f"frequency without using the image, scores {number(metrics.prior_lrap)}. The gain is "
        f"{number(gain.value)}{_bracket(gain)}, {verdict}."
    )


def _compare(figure: Figure, bound: float) -> str:
    """Return whether a figure is below or above a bound, considering its interval."""
    if figure.low is None or figure.high is None or figure.low <= bound <= figure.high:
        return "not significantly different from"
    return "below" if figure.high < bound else "above"


def _bracket(figure: Figure, times: float = 1, digits: int = 2) -> str:
    """Format the interval in brackets; empty where there is none."""
    if figure.low is None or figure.high is None:
        return ""
    ends = interval(figure.low * times, figure.high * times, digits)
    return f" ({ends.replace('–', f'–{JOINER}')})"


def _count(classes: Sequence[ClassScore]) -> str:
    return f"{len(classes)} location{'' if len(classes) == 1 else 's'}"
