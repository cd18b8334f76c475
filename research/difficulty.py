"""Is what is hard in life hard in the simulated atlas? F1 by class of named models on its frozen test part.

    python research/difficulty.py MODEL… [--real NPZ] [--json] [--keep]

MODEL is a Run, also of the features recipe, or a Bundle. Fields are those of `lociscope.simulate.REFERENCE`; one
threshold for all classes is chosen on its part `valid` (best macro-F1) and applied to `test`. Beside them stands the
mean of ten real networks on 3,107 real fields (`predictions/validation.npz` of the real data, or `--real`), its
threshold chosen on one half of the fields and applied to the other, and the other way round. Intervals of macro-F1
are 90 % bootstrap, over specimens and over fields. `--keep` leaves macro-F1, macro average precision, LRAP and
macro-AUC of the part `test` in each Run, as `scores/atlas_test.json`, where `lociscope compare` finds them. Nothing of
the atlas is tuned to these figures.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np
from real_fields import check_keeps, keep, load_model  # type: ignore[import-not-found] # the script beside this one

from lociscope.decide.intervals import Interval, bootstrap
from lociscope.decide.metrics import f1_per_class, lrap, macro_auc, macro_average_precision, macro_f1
from lociscope.errors import LociscopeError
from lociscope.labels import LABELS, to_multi_hot
from lociscope.simulate import REFERENCE, Part, SimulatedField

REAL = Path(os.environ.get("LOCISCOPE_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
CUTS = np.arange(0.05, 0.75, 0.05)
LEVEL = 0.9

Scored = tuple[Interval, np.ndarray, np.ndarray]
"""Macro-F1; F1 by class, NaN where nothing is labelled; labelled fields by class."""


def best_cut(truth: np.ndarray, probability: np.ndarray) -> float:
    """The threshold of the best macro-F1."""
    return float(CUTS[int(np.argmax([float(macro_f1(truth, probability >= cut)) for cut in CUTS]))])


def scored(truth: np.ndarray, decided: np.ndarray, groups: np.ndarray | None) -> Scored:
    """What the benchmark tells of one model."""
    found = bootstrap(macro_f1, truth, decided, groups=groups, n=1000, level=LEVEL)
    by_class = f1_per_class(truth, decided)
    return found, np.where(truth.any(axis=0), by_class, np.nan), truth.sum(axis=0)


def simulated(path: Path, parts: dict[Part, list[SimulatedField]], keeps: bool = False) -> Scored:
    """One model on the atlas; its Run keeps the scores if it is to."""
    predict = load_model(path)
    truth = {part: to_multi_hot([field.target for field in fields]) for part, fields in parts.items()}
    said = {part: np.array([predict(field.pixels, None) for field in fields]) for part, fields in parts.items()}
    groups = np.array([field.specimen for field in parts[Part.TEST]])
    decided = said[Part.TEST] >= best_cut(truth[Part.VALID], said[Part.VALID])
    found = scored(truth[Part.TEST], decided, groups)
    if keeps:
        ranked = {
            metric.name: bootstrap(metric, truth[Part.TEST], said[Part.TEST], groups=groups, n=1000, level=LEVEL)
            for metric in (macro_average_precision, lrap, macro_auc)
        }
        keep(path, "atlas_test", {"macro_f1": found[0], **ranked})
    return found


def real(path: Path) -> Scored:
    """The ten real networks' mean on real fields."""
    with np.load(path, allow_pickle=False) as arrays:
        truth = arrays["truth"].astype(np.uint8)
        mean = np.mean([arrays[name] for name in arrays.files if name != "truth"], axis=0)
    half = np.arange(len(truth)) % 2 == 0
    decided = np.zeros(truth.shape, bool)
    for here in (half, ~half):
        decided[here] = mean[here] >= best_cut(truth[~here], mean[~here])
    return scored(truth, decided, None)


def table(found: dict[str, Scored]) -> str:
    """Macro-F1, then F1 and number of fields by class."""
    lines = [f"{name}: macro-F1 {score}" for name, (score, _, _) in found.items()]
    lines += ["", f"{'class':32}" + "".join(f"{name[-18:]:>24}" for name in found)]
    for number, label in enumerate(LABELS):
        cells = [f"{f1[number]:.2f} ({n[number]})" if n[number] else "–" for _, f1, n in found.values()]
        lines.append(f"{label:32}" + "".join(f"{each:>24}" for each in cells))
    return "\n".join(lines)


def as_json(found: dict[str, Scored]) -> str:
    """The same as one object; a class without fields is null."""
    return json.dumps(
        {
            name: {
                "macro_f1": round(score.value, 4), "low": round(score.low, 4), "high": round(score.high, 4),
                "n": score.n,
                "f1": {
                    label: round(float(value), 3) if np.isfinite(value) else None
                    for label, value in zip(LABELS, f1, strict=True)
                },
            }
            for name, (score, f1, _) in found.items()
        }
    )  # fmt: skip


def main(words: list[str]) -> int:
    """Simulate the two parts, score the models, and print."""
    parser = argparse.ArgumentParser(prog="difficulty.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL", help="a Run or a Bundle")
    parser.add_argument("--real", type=Path, default=REAL / "predictions" / "validation.npz")
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    parser.add_argument("--keep", action="store_true", help="leave the scores in the Runs, too")
    given = parser.parse_args(words)
    try:
        for path in given.models if given.keep else ():
            check_keeps(path)
        parts = {part: list(REFERENCE.simulate_part(part, workers=2)) for part in (Part.VALID, Part.TEST)}
        found = {str(path): simulated(path, parts, given.keep) for path in given.models}
    except LociscopeError as error:
        print(f"difficulty: {error}", file=sys.stderr)
        return int(error.exit_code)
    if given.real.is_file():
        found["ten real networks"] = real(given.real)
    else:
        print(f"difficulty: no real networks' outputs in '{given.real}'; left out.", file=sys.stderr)
    print(as_json(found) if given.json else table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
