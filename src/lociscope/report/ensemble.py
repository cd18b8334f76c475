"""The report of a fitted ensemble: what was compared, what was selected and why, and the expected scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lociscope.artifacts.held_out import describe_held_out
from lociscope.decide.metrics import FREQUENT
from lociscope.labels import LABELS
from lociscope.report.definitions import DECIDED_OUT_OF_FOLD, MACRO_F1
from lociscope.report.figures import reliability_diagram
from lociscope.report.page import interval, number, render, write_page

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lociscope.decide.ensemble_report import ClassReport, EnsembleReport, Score, Trial
    from lociscope.report.page import Link

COMBINERS = {
    "best": "best member alone",
    "mean": "mean of probabilities",
    "logits": "mean of log odds",
    "greedy": "greedy ensemble selection with replacement",
    "weighted": "one weight per member",
    "stacked": "weights per member, class and other class, shrunk",
}
POLICIES = {
    "constant": "0.3 for all classes",
    "searched": "searched for the best F1",
    "ratio": "as many positives as the prior",
    "shrunk": "between searched and expected",
    "expected": "half the best expected F1",
}
SCORES = {
    "macro_f1": ("Macro-F1", "mean over the classes with positives"),
    "macro_f1_frequent": ("Macro-F1, frequent", f"classes with at least {FREQUENT} fields"),
    "macro_average_precision": ("Average precision", "independent of thresholds"),
    "macro_auc": ("AUC", "do fields with the location rank above fields without it?"),
    "lrap": ("LRAP", "are the labelled locations at the top of the ranking?"),
    "top_1": ("Top-1", "is the likeliest location a labelled one?"),
    "top_3": ("Top-3", "is a labelled location among the three likeliest?"),
    "jaccard": ("Overlap (Jaccard)", "locations reported and labelled, divided by locations reported or labelled"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A metric: its name, the question it answers, its score and its interval as text."""

    name: str
    answers: str
    score: Score
    interval: str


def write_ensemble(path: Path, report: EnsembleReport, members: Sequence[str], files: Sequence[Link] = ()) -> None:
    """Write the page.

    Args:
        path: The HTML file to write atomically.
        report: The report of the fit.
        members: A name for each member, by position.
        files: The other files of the fit, and the members.

    Raises:
        LociscopeError: The page cannot be written.
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    classes = sorted((each for each in report.classes if each.positives), key=lambda each: -each.positives)
    html = render(
        "ensemble.html",
        title=f"Ensemble of {report.members} network{'s' if report.members > 1 else ''}",
        result=summarize(report),
        files=files,
        report=report,
        rows=score_rows(report),
        levels=report.levels.items(),
        trials=sort_trials(report.trials),
        combiners=COMBINERS,
        policies=POLICIES,
        members=list(zip(members, report.weights, strict=True)),
        labels=LABELS,
        groups=_group_classes(classes),
        diagram=reliability_diagram(report.reliability) if report.reliability else None,
        interval=interval,
        definition=f"{MACRO_F1} {DECIDED_OUT_OF_FOLD}",
    )
    write_page(path, html)


def summarize(report: EnsembleReport) -> list[str]:
    """Summarize the result in plain sentences."""
    return [
        describe_held_out(report.fields, report.unseen),
        report.why,
        f"On as many new fields, expect a macro-F1 of {_format_score(report.expected)}.",
        f"That is {_format_gain(report.over_mean)} the mean of all members and {_format_gain(report.over_best)} the "
        "best member alone.",
        f"Prediction sets have {report.set_size:.1f} locations on average and contain all true locations in "
        f"{100 * report.coverage:.0f} % of fields (nominal {100 * report.coverage_promised:.0f} %).",
    ]


def score_rows(report: EnsembleReport) -> list[Row]:
    """Return the headline metrics that have a value."""
    return [
        Row(name, answers, score, interval(score.low, score.high))
        for key, (name, answers) in SCORES.items()
        if (score := report.scores.get(key)) is not None and score.value is not None
    ]


def sort_trials(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials, best first."""
    return sorted(trials, key=lambda trial: -trial.macro_f1)


def _group_classes(classes: Sequence[ClassReport]) -> list[tuple[str, list[ClassReport]]]:
    frequent = [each for each in classes if each.positives >= FREQUENT]
    rare = [each for each in classes if each.positives < FREQUENT]
    named = [(f"{FREQUENT} fields and more", frequent), (f"fewer than {FREQUENT} fields: mostly chance", rare)]
    return [(name, each) for name, each in named if each]


def _format_score(score: Score) -> str:
    return f"{number(score.value)} ({100 * score.level:.0f} % interval {interval(score.low, score.high)})"


def _format_gain(score: Score | None) -> str:
    if score is None or score.value is None:
        return "not compared with"
    significant = score.low is not None and score.low > 0
    return (
        f"{number(abs(score.value))} {'above' if score.value >= 0 else 'below'} "
        f"({100 * score.level:.0f} % interval {interval(score.low, score.high)}"
        f"{'' if significant else ', not significant'})"
    )
