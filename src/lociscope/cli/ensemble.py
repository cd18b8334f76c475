"""`lociscope ensemble`: combine the Predictions of several networks, with thresholds and cross-validated scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.cli.submitting import Kaggle, SampleSubmission, report_coverage, report_excluded
from lociscope.errors import Exit

if TYPE_CHECKING:
    from lociscope.decide.ensemble_report import EnsembleReport, Score

app = typer.Typer(help="Combine the Predictions of several networks.", no_args_is_help=True)

Members = Annotated[
    list[Path], typer.Argument(metavar="P...", help="Predictions, .parquet or .csv; their order matters.")
]


@app.command()
def fit(
    members: Members,
    truth: Annotated[Path, typer.Option("--truth", help="The labels: a Catalog or a CSV Id,Target.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")],
    policy: Annotated[
        str, typer.Option(help="How thresholds are chosen: expected, shrunk, searched, ratio or constant.")
    ] = "expected",
    seed: Annotated[int, typer.Option(min=0, help="Random seed of folds and resamples.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Fit a combination, calibration and thresholds on labelled fields, and estimate the score on new fields.

    All members are considered. Pass Predictions of fields that the networks were not trained on.
    """
    from lociscope.workflows.ensemble import fit_ensemble

    with console.progress("cross-validating") as progress:
        made = fit_ensemble(members, truth, output, policy=policy, seed=seed, progress=progress)
    for note in made.report.notes:
        console.note(note)
    if made.page_error is not None:
        console.note(f"report.html was not written: {made.page_error}")
    print(made.report.model_dump_json(by_alias=True) if as_json else describe_report(made.report, output))


@app.command()
def apply(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of `lociscope ensemble fit`.")],
    members: Members,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write, .csv or .parquet.")],
    folds: Annotated[
        int,
        typer.Option(min=1, max=100, help="Predictions of each member, one per fold, if the fit was out of fold."),
    ] = 1,
    kaggle: Kaggle = False,
    sample_submission: SampleSubmission = None,
) -> None:
    """Combine Predictions of the same networks, in the order of the fit."""
    from lociscope.workflows.ensemble import apply_ensemble

    made = apply_ensemble(folder, members, output, folds=folds, kaggle=kaggle, sample_submission=sample_submission)
    if made.unidentified:
        names = ", ".join(f"'{path}'" for path in made.unidentified)
        console.note(
            f"lociscope: not checked whether these are the members of the fit in the same order: {names}. They, or the "
            "ensemble, do not record which network predicted them."
        )
    report_excluded(made.excluded, sample_submission)
    print(f"{console.count_fields(made.rows)} in {output}")
    if kaggle and not report_coverage(made.coverage):
        raise typer.Exit(Exit.SOME_FAILED)


def describe_report(report: EnsembleReport, output: Path) -> str:
    """Return the main results of a fit, one line each."""
    from lociscope.artifacts.held_out import describe_held_out

    lines = [
        f"{report.members} members, {console.count_fields(report.fields)}: selected '{report.combiner}' with "
        f"'{report.policy}' thresholds, in {output}",
        describe_held_out(report.fields, report.unseen),
        report.why,
        f"Macro-F1 to expect on as many new fields: {_format(report.expected)}",
        f"Average precision (macro): {_format(report.scores.get('macro_average_precision'))}; "
        f"LRAP: {_format(report.scores.get('lrap'))}",
        f"Gain in macro-F1 over the mean of all members: {_format(report.over_mean)}; over the best member: "
        f"{_format(report.over_best)}",
    ]
    return "\n".join(lines)


def _format(score: Score | None) -> str:
    if score is None or score.value is None or score.low is None or score.high is None:
        return "not defined"
    return f"{score.value:.3f} ({score.level:.0%} interval {score.low:.3f} to {score.high:.3f}, n = {score.n})"
