"""Thresholds and ensembles of ten real networks on 3,107 real validation fields, scored by nested cross-validation.

Claims: the combination that `lociscope ensemble fit` chooses beats the mean of all members and the best single
one, its expected score is measured and not the one it was fitted for, cuts of half the expected F1 beat searched
ones where positives are few, and a fit is linear in rows. The table goes to stderr, JSON to stdout.

    python research/ensemble_real.py            # the table, about a minute on one core
    python research/ensemble_real.py --thinned  # and the cuts of classes thinned to few positives
    python research/ensemble_real.py --large    # and time and memory of 31,072 rows
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lociscope.decide.decider import predict_out_of_fold
from lociscope.decide.ensemble_scoring import build_ensemble_report
from lociscope.decide.logistic import logit, sigmoid
from lociscope.decide.metrics import f1_per_class, macro_average_precision
from lociscope.decide.nested import nested_cross_validate
from lociscope.decide.selection import SelectionResult, select_combiner
from lociscope.decide.thresholds import Policy, Thresholds, best_expected_f1
from lociscope.splits.folds import stratified_folds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lociscope.decide.ensemble_report import EnsembleReport

DATA = Path(os.environ.get("LOCISCOPE_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
NUMBERS = (1, 2, 4, 8, 16, 32)
DRAWS = 40
TRIED: tuple[Policy, ...] = ("expected", "shrunk", "ratio", "searched", "constant")


def load() -> tuple[np.ndarray, np.ndarray]:
    """Truth (n, 28) and members (10, n, 28)."""
    with np.load(DATA / "predictions" / "validation.npz") as file:
        names = [name for name in file if name != "truth"]
        return file["truth"].astype(bool), np.stack([file[name].astype(np.float64) for name in names])


def measure(truth: np.ndarray, members: np.ndarray) -> tuple[EnsembleReport, SelectionResult, float]:
    """What `lociscope ensemble fit` does, and its seconds."""
    begun = time.perf_counter()
    selected = select_combiner(truth, members)
    report = build_ensemble_report(truth, members, selected, nested_cross_validate(truth, members))
    return report, selected, time.perf_counter() - begun


def table(report: EnsembleReport) -> Iterator[str]:
    """Lines of the nested table, best first."""
    yield f"{'combiner':10s}{'thresholds':12s}{'fitted':>8s}{'nested':>8s}{'n >= 20':>9s}"
    for each in sorted(report.trials, key=lambda trial: -trial.macro_f1):
        frequent = each.macro_f1_frequent or float("nan")
        yield f"{each.combiner:10s}{each.policy:12s}{each.fitted:8.3f}{each.macro_f1:8.3f}{frequent:9.3f}"


def thinned(truth: np.ndarray, out_of_fold: np.ndarray, seed: int = 0) -> dict[int, dict[str, float]]:
    """Mean F1 of each policy on classes thinned to few positives: cuts of one half, scored on the other.

    The ranking is that of the combined networks; log odds are shifted to the thinned prior, as calibration would.

    Args:
        truth: (n, 28).
        out_of_fold: (n, 28) cross-fitted probabilities.
        seed: Decides the draws.

    Returns:
        For each number of positives the mean F1 of each policy.
    """
    rng = np.random.default_rng(seed)
    result = {}
    for wanted in NUMBERS:
        scores: dict[str, list[float]] = {policy: [] for policy in TRIED}
        for label in np.flatnonzero(truth.sum(axis=0) >= 50):
            positives, others = np.flatnonzero(truth[:, label]), np.flatnonzero(~truth[:, label])
            shift = np.log(wanted / (len(others) / 2)) - np.log(len(positives) / len(others))
            p = sigmoid(logit(out_of_fold[:, label]) + shift)[:, None]
            for _ in range(DRAWS):
                first, second = np.maximum(rng.poisson(wanted, 2), 1)
                if first + second > len(positives):
                    continue
                some, rest = rng.permutation(positives), rng.permutation(others)
                half = len(rest) // 2
                fit = np.concatenate([some[:first], rest[:half]])
                new = np.concatenate([some[first : first + second], rest[half:]])
                for policy in TRIED:
                    prior = np.array([wanted / half])
                    cuts = Thresholds(policy, prior=prior, bags=0).fit(truth[fit, label, None], p[fit])
                    scores[policy].append(float(f1_per_class(truth[new, label, None], p[new] >= cuts.thresholds_)[0]))
        result[wanted] = {policy: round(float(np.mean(each)), 3) for policy, each in scores.items()}
    return result


def large(truth: np.ndarray, members: np.ndarray, rows: int = 31_072) -> dict[str, float]:
    """Seconds and peak memory of a fit on as many rows as the competition has: the same ones, slightly shaken."""
    rng = np.random.default_rng(0)
    pick = rng.integers(len(truth), size=rows)
    shaken = sigmoid(logit(members[:, pick], 1e-4) + rng.normal(scale=0.3, size=(len(members), rows, truth.shape[1])))
    _, _, seconds = measure(truth[pick], shaken)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": rows, "seconds": round(seconds, 1), "peak MiB": round(peak)}


def main() -> None:
    """Measures what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--thinned", action="store_true")
    parser.add_argument("--large", action="store_true")
    asked = parser.parse_args()
    if not DATA.is_dir():
        print(json.dumps({"skipped": f"no real predictions at {DATA}; set LOCISCOPE_REAL_DATA"}))
        return
    truth, members = load()
    report, selected, seconds = measure(truth, members)
    print("\n".join([*table(report), report.why]), file=sys.stderr)
    out_of_fold = predict_out_of_fold(truth, members, selected.combiner, stratified_folds(truth))
    found: dict[str, object] = {
        "fields": report.fields,
        "members": report.members,
        "kept": f"{report.combiner}, {report.policy}",
        "expected macro-F1": report.expected.model_dump(),
        "macro-F1, n >= 20": report.scores["macro_f1_frequent"].model_dump(),
        "macro-AP": report.scores["macro_average_precision"].model_dump(),
        "macro-AP of the best member": round(max(macro_average_precision(truth, each).value for each in members), 4),
        "gain over the mean of all": report.over_mean.model_dump() if report.over_mean else None,
        "gain over the best member": report.over_best.model_dump() if report.over_best else None,
        "coverage": {"promised": report.coverage_promised, "measured": round(report.coverage, 4)},
        "seconds": round(seconds, 1),
        "best expected F1, mean over classes": round(float(best_expected_f1(out_of_fold).mean()), 4),
    }
    if asked.thinned:
        found["thinned"] = thinned(truth, out_of_fold)
    if asked.large:
        found["large"] = large(truth, members)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
