"""Fit an ensemble on the Predictions of several networks, and apply it to other Predictions of the same networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.catalog import Catalog, is_catalog, read_labels
from lociscope.artifacts.held_out import find_unseen_ids
from lociscope.artifacts.predictions import Predictions
from lociscope.artifacts.submission import read_sample
from lociscope.decide.ensemble_scoring import build_ensemble_report
from lociscope.decide.logistic import logit, sigmoid
from lociscope.decide.members import Member, check_members
from lociscope.decide.nested import check_enough, nested_cross_validate
from lociscope.decide.selection import select_combiner
from lociscope.decide.stored import StoredEnsemble, read_fitted, write_fitted
from lociscope.decide.thresholds import parse_policy
from lociscope.errors import Code, LociscopeError, MissingExtraError
from lociscope.labels import to_multi_hot
from lociscope.processes.progress import ignore_progress
from lociscope.report.ensemble import write_ensemble
from lociscope.report.page import link_files
from lociscope.splits.groups import find_group_columns, group_ids
from lociscope.storage.paths import as_path, as_paths
from lociscope.workflows.submission import check_table, count_excluded, find_coverage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lociscope.decide.decider import Decider
    from lociscope.decide.ensemble_report import EnsembleReport
    from lociscope.processes.progress import ProgressCallback
    from lociscope.storage.paths import AnyPath
    from lociscope.workflows.submission import Coverage


@dataclass(frozen=True, slots=True)
class FittedEnsemble:
    """The result of fitting an ensemble.

    Attributes:
        report: What was compared, selected and measured.
        page_error: Why `report.html` could not be written; None where it was.
    """

    report: EnsembleReport
    page_error: MissingExtraError | None


@dataclass(frozen=True, slots=True)
class AppliedEnsemble:
    """The result of applying an ensemble.

    Attributes:
        rows: Number of rows written.
        unidentified: Files whose records do not say whether they are the member at their position.
        excluded: Number of fields that the sample submission does not list.
        coverage: The test ids without a prediction; None where there are none, or no sample submission is known.
    """

    rows: int
    unidentified: list[Path]
    excluded: int = 0
    coverage: Coverage | None = None


def fit_ensemble(
    members: AnyPath | Sequence[AnyPath],
    truth: AnyPath,
    output: AnyPath,
    *,
    policy: str = "expected",
    seed: int = 0,
    progress: ProgressCallback = ignore_progress,
) -> FittedEnsemble:
    """Select and fit a combiner, calibration and thresholds, and estimate the score on new fields.

    Args:
        members: Predictions of labelled fields that the networks were not trained on, one file per network.
        truth: A Catalog or a CSV `Id,Target`.
        output: The folder to write.
        policy: How thresholds are chosen; one of `lociscope.decide.thresholds.POLICIES`.
        seed: Random seed of folds and resamples.
        progress: Called with (fits done, number of fits).

    Returns:
        The report that is also written to `report.json`.

    Raises:
        UsageError: The policy does not exist.
        LociscopeError: The members have different fields, a field has no label, there are too few fields, or the folder
            has other contents.
    """
    truth = as_path(truth)
    output = as_path(output)
    members = as_paths(members)
    chosen_policy = parse_policy(policy)
    ids, stack, networks = read_members(members)
    labels, groups = read_truth(truth, ids)
    check_enough(len(labels))
    selected = select_combiner(labels, stack, policy=chosen_policy, groups=groups, seed=seed)
    nested = nested_cross_validate(labels, stack, policy=chosen_policy, groups=groups, seed=seed, progress=progress)
    unseen = tuple(find_unseen_ids(path).issuperset(ids) for path in members)
    report = build_ensemble_report(labels, stack, selected, nested, groups).model_copy(update={"unseen": unseen})
    write_fitted(output, StoredEnsemble.from_decider(selected.decider, tuple(networks)), report)
    page_error = None
    try:
        page = output / "report.html"
        files = [
            (output / "report.json", "all figures of this page"),
            (output / "ensemble.json", "the fitted ensemble"),
        ]
        files += [(path, "a member") for path in members]
        write_ensemble(page, report, [path.name for path in members], link_files(page, files))
    except MissingExtraError as error:
        page_error = error
    return FittedEnsemble(report, page_error)


def apply_ensemble(
    folder: AnyPath,
    members: AnyPath | Sequence[AnyPath],
    output: AnyPath,
    *,
    folds: int = 1,
    kaggle: bool = False,
    sample_submission: AnyPath | None = None,
) -> AppliedEnsemble:
    """Combine Predictions of the networks that an ensemble was fitted on, and write them.

    Args:
        folder: A folder written by `fit_ensemble`.
        members: Predictions of the same networks in the order of the fit; of each network one file per fold.
        output: The file to write, .csv or .parquet.
        folds: Number of Predictions of each network.
        kaggle: Write a submission, `Id,Predicted`.
        sample_submission: The sample submission whose rows and order the submission has.

    Raises:
        UsageError: `output` has the wrong suffix, or `sample_submission` is passed without `kaggle`.
        LociscopeError: The folder is not a fitted ensemble, the members differ from those of the fit or are in another
            order, or they have different fields.
    """
    folder = as_path(folder)
    output = as_path(output)
    sample_submission = as_path(sample_submission)
    members = as_paths(members)
    check_table(output, kaggle=kaggle, sample_submission=sample_submission)
    sample = None if sample_submission is None else read_sample(sample_submission)
    stored = read_fitted(folder)
    ids, stack, networks = read_members(members)
    unidentified = check_members(folder, stored.members, networks, members, folds)
    combined = _combine(stored.to_decider(), ids, _average_folds(stack, folds))
    if not kaggle:
        combined.write(output)
        return AppliedEnsemble(len(combined), unidentified)
    excluded = 0 if sample is None else count_excluded(ids, sample, sample_submission)
    combined.write_submission(output, sample)
    coverage = find_coverage(ids, sample_submission, members)
    return AppliedEnsemble(len(sample or combined), unidentified, excluded, coverage)


def read_members(paths: AnyPath | Sequence[AnyPath]) -> tuple[list[str], np.ndarray, list[Member]]:
    """Read the Predictions of all members in the order of the first.

    Args:
        paths: Predictions of the same fields, in any order of rows.

    Returns:
        n ids, probabilities (members, n, 28) of float64, and the identity of each member.

    Raises:
        LociscopeError: A file cannot be read, is empty, or has other fields than the first.
    """
    paths = as_paths(paths)
    tables = [Predictions.read(path) for path in paths]
    first, *rest = tables
    if not len(first):
        raise LociscopeError(
            f"Predictions '{paths[0]}' are empty. Pass Predictions of at least one field.", code=Code.NOTHING_FOUND
        )
    stack, expected = [np.asarray(first.probability, np.float64)], set(first.ids)
    for path, other in zip(paths[1:], rest, strict=True):
        row_of = {name: row for row, name in enumerate(other.ids)}
        difference = next(iter(sorted(expected ^ row_of.keys())), None)
        if difference is not None:
            has, lacks = (paths[0], path) if difference in expected else (path, paths[0])
            raise LociscopeError(
                f"Members predict different fields: {difference!r} is in '{has}' and not in '{lacks}'. "
                "Predict the same fields with every network.",
                code=Code.INCOMPLETE,
            )
        stack.append(np.asarray(other.probability[[row_of[name] for name in first.ids]], np.float64))
    members = [Member.from_predictions(path, table) for path, table in zip(paths, tables, strict=True)]
    return first.ids, np.stack(stack), members


def read_truth(path: AnyPath, ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Read the labels of the predicted fields, and their groups where a Catalog has any.

    Args:
        path: A Catalog (`.parquet`) or a CSV `Id,Target`.
        ids: The predicted fields.

    Returns:
        (n, 28) of uint8, and (n,) names of specimens or antibodies, or None.

    Raises:
        LociscopeError: A predicted field has no label there.
    """
    path = as_path(path)
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
            f"Truth '{path}' has no label for {len(missing)} of {len(ids)} predicted fields, the first is "
            f"{missing[0]!r}. Pass the truth of these Predictions.",
            code=Code.INVALID_LABELS,
        )
    groups = np.array([group_of.get(name) or name for name in ids])
    return to_multi_hot([labels[name] for name in ids]), groups if any(group_of.values()) else None


def _average_folds(stack: np.ndarray, folds: int) -> np.ndarray:
    """Average the log odds of the folds of each member: (members × folds, n, 28) to (members, n, 28)."""
    if folds == 1:
        return stack
    return sigmoid(logit(stack.reshape(-1, folds, *stack.shape[1:])).mean(axis=1))


def _combine(decider: Decider, ids: list[str], stack: np.ndarray) -> Predictions:
    """Return the combined Predictions of members (members, n, 28)."""
    probability = decider.predict(stack)
    decided, status = decider.decide(probability)
    locations = [tuple(np.flatnonzero(row).tolist()) for row in decided]
    return Predictions(ids, probability.astype(np.float32), locations, status, [()] * len(ids))
