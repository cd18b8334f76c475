"""A mixed ensemble as one bundle, beside its members: the shipped network, features, and a network of others.

    python benchmarks/ensemble.py [--train 600] [--fit 400]

The features learn from `--train` simulated fields (simulator version 3, 512 px); the combination is fitted on others,
`--fit`. The third member is GapNet-PL, which knows 12 of the 28 classes, converted from published arrays. These and the
real fields are found by LOCISCOPE_REAL_DATA; without them the benchmark is skipped. No member and no weight is fitted
on a real field.

Claims: the deployed bundle gives the probabilities of `ensemble apply` to 1e-5, and needs the space and start of its
members together. `real` has the scores on the labelled real fields, and the paired gain of the ensemble over each
member, with 90 % bootstrap intervals over fields: LRAP as predicted, LRAP after each class' mean was matched to the
competition's label rates (as in `research/real_fields.py`), and macro-AUC. The member that knows some of the classes is
compared on those. `start_s` is a process that opens the bundle and predicts a field of 512 px, the best of three.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lociscope.artifacts.bundle import DEFAULT_BUNDLE
from lociscope.artifacts.predictions import Predictions
from lociscope.artifacts.recipe import Recipe
from lociscope.decide.intervals import Interval, bootstrap, paired_bootstrap
from lociscope.decide.matching import match_rates
from lociscope.decide.metrics import ClassMetric, RowMetric, lrap, macro_auc
from lociscope.decide.prior import HPA_2018
from lociscope.workflows.ensemble import apply_ensemble, fit_ensemble, read_truth
from lociscope.workflows.export import export_run
from lociscope.workflows.export_ensemble import export_ensemble
from lociscope.workflows.fetch_model import fetch_model
from lociscope.workflows.predict import predict_files
from lociscope.workflows.simulate import simulate_atlas
from lociscope.workflows.train import train_run

REAL = Path(os.environ.get("LOCISCOPE_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
SKIPPED = 77
START = """
import sys, time
begin = time.perf_counter()
import numpy as np
from lociscope import open_bundle
open_bundle(sys.argv[1]).predict(np.zeros((512, 512, 4), np.uint8))
print(time.perf_counter() - begin)
"""


def make_members(folder: Path, train: int) -> dict[str, Path]:
    """Return the bundles by name."""
    recipe = Recipe.read("features", {"data.fields": train})
    train_run(recipe, None, folder / "run", workers=2)
    export_run(folder / "run", folder / "features", reference=0)
    fetch_model("gapnet-pl", folder / "gapnet-pl", folder=REAL / "observer")
    return {"shipped": DEFAULT_BUNDLE, "features": folder / "features", "gapnet-pl": folder / "gapnet-pl"}


def predict_all(bundles: dict[str, Path], fields: Path, folder: Path) -> list[Path]:
    """Predict the fields with each bundle."""
    folder.mkdir()
    paths = [folder / f"{name}.parquet" for name in bundles]
    for path, bundle in zip(paths, bundles.values(), strict=True):
        predict_files(fields, path, bundle=bundle)
    return paths


def measure_size(bundle: Path) -> float:
    """Return the size of a folder, MB."""
    return round(sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file()) / 1e6, 2)


def measure_start(bundle: Path) -> float:
    """Return the seconds from the start of Python's code to the first prediction, best of three."""
    command = [sys.executable, "-c", START, str(bundle)]
    times = [float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(3)]
    return round(min(times), 2)


def show(found: Interval) -> str:
    """Return a value with its interval."""
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def score_real(paths: dict[str, Path]) -> dict[str, dict[str, str]]:
    """Return scores of each member and the ensemble, the last, on the real fields, and the gains of the ensemble."""
    tables = {name: Predictions.read(path) for name, path in paths.items()}
    ids = list(tables.values())[-1].ids
    truth, _ = read_truth(REAL / "hpa2018" / "fields.csv", ids)
    raw = {}
    for name, table in tables.items():
        row_of = {each: row for row, each in enumerate(table.ids)}
        raw[name] = np.asarray(table.probability, float)[[row_of[each] for each in ids]]
    *members, ensemble = raw
    scores: dict[str, dict[str, str]] = {}
    for name, values in raw.items():
        classes = np.flatnonzero(~np.isnan(values).any(axis=0))
        own, ours = values[:, classes], raw[ensemble][:, classes]
        prior, known = HPA_2018[classes], truth[:, classes]
        metrics: dict[str, tuple[RowMetric | ClassMetric, np.ndarray, np.ndarray]] = {
            "lrap": (lrap, own, ours),
            "lrap_matched": (lrap, match_rates(own, prior), match_rates(ours, prior)),
            "auc": (macro_auc, own, ours),
        }
        found = {key: show(bootstrap(metric, known, theirs)) for key, (metric, theirs, _) in metrics.items()}
        if name in members:
            found |= {
                f"{key}_gain": show(paired_bootstrap(metric, known, better, theirs))
                for key, (metric, theirs, better) in metrics.items()
            }
        scores[name if len(classes) == truth.shape[1] else f"{name}, its {len(classes)} classes"] = found
    return scores


def main() -> int:
    """Make the ensemble, and print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--train", type=int, default=600)
    parser.add_argument("--fit", type=int, default=400)
    options = parser.parse_args()
    if not (REAL / "observer" / "gapnet_pl.npz").is_file():
        print(f"There are no published weights at '{REAL / 'observer'}'. Set LOCISCOPE_REAL_DATA.", file=sys.stderr)
        return SKIPPED
    with tempfile.TemporaryDirectory() as name:
        folder, begin = Path(name), time.perf_counter()
        bundles = make_members(folder, options.train)
        atlas = simulate_atlas(folder / "atlas", options.fit, seed=20261201, balance=0.5, workers=2)
        fitted_on = predict_all(bundles, atlas / "train", folder / "fit")
        report = fit_ensemble(fitted_on, atlas / "train.csv", folder / "mixed").report
        export_ensemble(list(bundles.values()), folder / "mixed", folder / "deployed", reference=0)
        offline = predict_all(bundles, REAL / "hpa2018" / "train", folder / "real")
        apply_ensemble(folder / "mixed", offline, folder / "offline.parquet")
        predict_files(REAL / "hpa2018" / "train", folder / "deployed.parquet", bundle=folder / "deployed")
        first, second = (Predictions.read(folder / f"{each}.parquet") for each in ("offline", "deployed"))
        if first.ids != second.ids:
            raise SystemExit("the two ensembles predict other fields")
        everything = {**bundles, "ensemble": folder / "deployed"}
        paths = dict(zip(everything, [*offline, folder / "deployed.parquet"], strict=True))
        result = {
            "combiner": report.combiner,
            "fields_of_features": options.train,
            "fields_of_fit": options.fit,
            "agreement": float(np.max(np.abs(first.probability - second.probability))),
            "same_decisions": first.predicted == second.predicted,
            "mb": {name: measure_size(path) for name, path in everything.items()},
            "start_s": {name: measure_start(path) for name, path in everything.items()},
            "real_fields": len(first),
            "real": score_real(paths),
            "minutes": round((time.perf_counter() - begin) / 60, 1),
        }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
