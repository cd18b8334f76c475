"""`lociscope ensemble`: Predictions of several networks become one, with thresholds and an honest score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.cli.submitting import Kaggle, SampleSubmission, check_submission, report_coverage, report_excluded
from lociscope.errors import Code, Exit, LociscopeError, MissingExtraError, UsageError

if TYPE_CHECKING:
    import numpy as np

    from lociscope.artifacts.predictions import Predictions
    from lociscope.decide.decider import Decider
    from lociscope.decide.ensemble_report import EnsembleReport, Score
    from lociscope.decide.members import Member

app = typer.Typer(help="Combine the Predictions of several networks.", no_args_is_help=True)

Members = Annotated[
    list[Path], typer.Argument(metavar="P...", help="Predictions, .parquet or .csv; their order counts.")
]


@app.command()
def fit(
    members: Members,
    truth: Annotated[Path, typer.Option("--truth", help="The labels: a Catalog or a CSV Id,Target.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")],
    policy: Annotated[
        str, typer.Option(help="How thresholds are chosen: expected, shrunk, searched, ratio or constant.")
    ] = "expected",
    seed: Annotated[int, typer.Option(min=0, help="Decides folds and resamples.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Fit a combination, calibration and thresholds on labelled fields, and say what to expect on new ones.

    All members are considered. Give Predictions of fields that the networks were not trained on.
    """
    from lociscope.artifacts.held_out import find_unseen_ids
    from lociscope.decide.ensemble_report import build_ensemble_report
    from lociscope.decide.nested import check_enough, nested_cross_validate
    from lociscope.decide.selection import select_combiner
    from lociscope.decide.stored import StoredEnsemble, write_fitted
    from lociscope.decide.thresholds import parse_policy

    chosen = parse_policy(policy)
    ids, stack, networks = read_members(members)
    known, groups = truth_of(truth, ids)
    check_enough(len(known))
    selected = select_combiner(known, stack, policy=chosen, groups=groups, seed=seed)
    with console.progress("cross-validating") as tell:
        scored = nested_cross_validate(known, stack, policy=chosen, groups=groups, seed=seed, progress=tell)
    report = build_ensemble_report(known, stack, selected, scored, groups)
    unseen = tuple(find_unseen_ids(path).issuperset(ids) for path in members)
    report = report.model_copy(update={"unseen": unseen})
    stored = StoredEnsemble.from_decider(selected.decider, tuple(networks))
    write_fitted(output, stored, report)
    for note in report.notes:
        console.note(note)
    _write_report(output, report, members)
    print(report.model_dump_json(by_alias=True) if as_json else summary(report, output))


@app.command()
def apply(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of `lociscope ensemble fit`.")],
    members: Members,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write, .csv or .parquet.")],
    folds: Annotated[
        int, typer.Option(min=1, max=100, help="Predictions of each member, one a fold, where the fit was out of fold.")
    ] = 1,
    kaggle: Kaggle = False,
    sample_submission: SampleSubmission = None,
) -> None:
    """Combine Predictions of the same networks, in the order of the fit."""
    if output.suffix not in (".csv", ".parquet"):
        raise UsageError(
            f"-o '{output}' ends in {output.suffix!r}; expected .csv or .parquet. Rename it.",
            code=Code.UNSUPPORTED_FORMAT,
        )
    check_submission(output, kaggle=kaggle, sample=sample_submission)

    from lociscope.artifacts.submission import read_sample
    from lociscope.decide.members import check_members
    from lociscope.decide.stored import read_fitted
    from lociscope.workflows.submission import count_excluded, find_coverage

    sample = None if sample_submission is None else read_sample(sample_submission)
    stored = read_fitted(folder)
    ids, stack, networks = read_members(members)
    unknown = check_members(folder, stored.members, networks, members, folds)
    if unknown:
        names = ", ".join(f"'{path}'" for path in unknown)
        console.note(
            f"lociscope: not checked whether these are the members of the fit, in its order: {names}. They, or the "
            "ensemble, do not say what predicted them."
        )
    combined = predictions_of(stored.to_decider(), ids, averaged(stack, folds))
    if not kaggle:
        combined.write(output)
    elif sample is not None:
        report_excluded(count_excluded(ids, sample, sample_submission), sample_submission)
        combined.write_submission(output, sample)
    else:
        combined.write_submission(output)
    print(f"{console.counted(len(sample or combined))} in {output}")
    if kaggle and not report_coverage(find_coverage(ids, sample_submission, members)):
        raise typer.Exit(Exit.SOME_FAILED)


def read_members(paths: list[Path]) -> tuple[list[str], np.ndarray, list[Member]]:
    """Return the ids of the first Predictions, all probabilities in that order, and what made each.

    Args:
        paths: Predictions of the same fields, in any order of rows.

    Returns:
        n ids, (members, n, 28) of float64, and by what each member is recognised.

    Raises:
        LociscopeError: A file is no Predictions, or holds other fields than the first.
    """
    import numpy as np

    from lociscope.artifacts.predictions import Predictions
    from lociscope.decide.members import Member

    tables = [Predictions.read(path) for path in paths]
    first, *rest = tables
    if not len(first):
        raise LociscopeError(
            f"Predictions '{paths[0]}' hold no field. Name Predictions of fields.", code=Code.NOTHING_FOUND
        )
    stack, wanted = [np.asarray(first.probability, np.float64)], set(first.ids)
    for path, other in zip(paths[1:], rest, strict=True):
        row_of = {name: row for row, name in enumerate(other.ids)}
        odd = next(iter(sorted(wanted ^ row_of.keys())), None)
        if odd is not None:
            has, lacks = (paths[0], path) if odd in wanted else (path, paths[0])
            raise LociscopeError(
                f"Members predict different fields: {odd!r} is in '{has}' and not in '{lacks}'. "
                "Predict the same fields with every network.",
                code=Code.INCOMPLETE,
            )
        stack.append(np.asarray(other.probability[[row_of[name] for name in first.ids]], np.float64))
    members = [Member.from_predictions(path, table) for path, table in zip(paths, tables, strict=True)]
    return first.ids, np.stack(stack), members


def truth_of(path: Path, ids: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Labels of the predicted fields, and their groups where a Catalog names some.

    Args:
        path: A Catalog (`.parquet`) or a CSV `Id,Target`.
        ids: The predicted fields.

    Returns:
        (n, 28) of uint8, and (n,) names of specimens or antibodies, or None.

    Raises:
        LociscopeError: A predicted field has no label there.
    """
    import numpy as np

    from lociscope.artifacts.catalog import Catalog, is_catalog, read_labels
    from lociscope.labels import to_multi_hot
    from lociscope.splits.groups import find_group_columns, group_ids

    group_of: dict[str, str] = {}
    if is_catalog(path):
        catalog = Catalog.read(path)
        labels = {entry.id: entry.target for entry in catalog if entry.target is not None}
        if find_group_columns(catalog):
            group_of = dict(zip(catalog.ids, group_ids(catalog), strict=True))
    else:
        labels = read_labels(path)
    missing = [name for name in ids if name not in labels]
    if missing:
        raise LociscopeError(
            f"Truth '{path}' has no label of {console.counted(len(missing))} of {len(ids)}, the first is "
            f"{missing[0]!r}. Name the truth that belongs to these Predictions.",
            code=Code.INVALID_LABELS,
        )
    groups = np.array([group_of[name] for name in ids]) if group_of else None
    return to_multi_hot([labels[name] for name in ids]), groups


def averaged(stack: np.ndarray, folds: int) -> np.ndarray:
    """Members (members, n, 28) of what their folds say (members × folds, n, 28): the mean of log odds, as of views."""
    from lociscope.decide.logistic import logit, sigmoid

    if folds == 1:
        return stack
    return sigmoid(logit(stack.reshape(-1, folds, *stack.shape[1:])).mean(axis=1))


def predictions_of(decider: Decider, ids: list[str], stack: np.ndarray) -> Predictions:
    """Combined Predictions of members (members, n, 28)."""
    import numpy as np

    from lociscope.artifacts.predictions import Predictions

    probability = decider.predict(stack)
    decided, status = decider.decide(probability)
    places = [tuple(np.flatnonzero(row).tolist()) for row in decided]
    return Predictions(ids, probability.astype(np.float32), places, status, [()] * len(ids))


def _write_report(folder: Path, report: EnsembleReport, members: list[Path]) -> None:
    """Writes `report.html`; an installation that cannot draw has its ensemble all the same, and is told."""
    from lociscope.report.ensemble import write_ensemble

    try:
        write_ensemble(folder / "report.html", report, [path.name for path in members])
    except MissingExtraError as error:
        console.note(f"No report.html: {error}")


def summary(report: EnsembleReport, output: Path) -> str:
    """What a person wants to know of a fit, a line each."""
    from lociscope.artifacts.held_out import describe_held_out

    lines = [
        f"{report.members} members, {console.counted(report.fields)}: kept '{report.combiner}' with "
        f"'{report.policy}' thresholds, in {output}",
        describe_held_out(report.fields, report.unseen),
        report.why,
        f"Macro-F1 to expect on as many new fields: {_said(report.expected)}",
        f"Gain over the mean of all members: {_said(report.over_mean)}; over the best one: {_said(report.over_best)}",
    ]
    return "\n".join(lines)


def _said(score: Score | None) -> str:
    if score is None or score.value is None or score.low is None or score.high is None:
        return "not defined"
    return f"{score.value:.3f} ({score.level:.0%} interval {score.low:.3f} to {score.high:.3f})"
