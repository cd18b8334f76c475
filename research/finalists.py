"""Finalists on fields that nothing was chosen by: each seed, their ensemble, and where all of them fail.

    python research/finalists.py OUTPUTS [--ensemble NAME…]… [--json FILE]

OUTPUTS is a folder of `research/outputs.py`, which says what the sets are. Macro-F1 is at one threshold for all
classes, that of the best macro-F1 on `atlas_valid` for the two frozen parts, whose locations are as frequent, and on
`valid` for the strangers. An ensemble is fitted on `valid` as `lociscope ensemble fit` does it, one of each seed that
all NAMEs have, where one with a single seed stands in each; the best single one of its members is chosen there, too,
by macro average precision, before any other set is looked at. The label prior says of every field how frequent each
location is where its threshold comes from. Intervals are 90 % bootstrap, whole specimens resampled; a gain is paired.
In FILE,
models that OUTPUTS does not have keep their figures, and so do ensembles that are not named.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from difficulty import best_cut  # type: ignore[import-not-found] # the scripts beside this one
from outputs import Said, read  # type: ignore[import-not-found]
from real_fields import MEASURED, PRIORS  # type: ignore[import-not-found]

from lociscope.decide.intervals import Interval, bootstrap, paired_bootstrap
from lociscope.decide.matching import match_rates
from lociscope.decide.metrics import ClassMetric, RowMetric, lrap, macro_auc, macro_average_precision, macro_f1
from lociscope.decide.selection import select_combiner
from lociscope.errors import LociscopeError, UsageError
from lociscope.report.comparison_rows import interval_to_dict
from lociscope.report.page import interval, number
from lociscope.storage.atomic import atomic_write

LEVEL = 0.9
RESAMPLES = 1000
CUT_FROM = {"atlas_test": "atlas_valid", "atlas_lines": "atlas_valid", "strangers": "valid"}
"""Which set's best threshold a test set is decided by."""
RANKED: dict[str, ClassMetric | RowMetric] = {
    "macro_average_precision": macro_average_precision,
    "lrap": lrap,
    "macro_auc": macro_auc,
}

Measured = dict[str, tuple[ClassMetric | RowMetric, np.ndarray]]
"""By the score's name: the metric, and what it takes beside the truth, (n, 28)."""


# === Scoring ===


def measured(sets: dict[str, Said]) -> dict[str, Measured]:
    """What is measured of one model, by set."""
    found: dict[str, Measured] = {}
    for name, cut in CUT_FROM.items():
        if name in sets:
            probability = sets[name].probability
            found[name] = {"macro_f1": (macro_f1, probability >= cut_of(sets[cut]))}
            found[name] |= {key: (metric, probability) for key, metric in RANKED.items()}
    for name, metrics in MEASURED.items():
        if name in sets:
            matched = match_rates(sets[name].probability, PRIORS[name])
            found[name] = {key: (metric, matched) for key, metric in metrics.items()}
    return found


def scores(sets: dict[str, Said]) -> dict[str, dict[str, Interval]]:
    """Every score of one model, by set."""
    return {
        name: {
            key: bootstrap(metric, sets[name].truth, given, groups=sets[name].groups, n=RESAMPLES, level=LEVEL)
            for key, (metric, given) in of.items()
        }
        for name, of in measured(sets).items()
    }


def gains(ours: dict[str, Said], theirs: dict[str, Said]) -> dict[str, dict[str, Interval]]:
    """What the first adds to the second, paired, on each test set."""
    beside = measured(theirs)
    return {
        name: {
            key: paired_bootstrap(
                metric,
                ours[name].truth,
                given,
                beside[name][key][1],
                groups=ours[name].groups,
                n=RESAMPLES,
                level=LEVEL,
            )
            for key, (metric, given) in of.items()
        }
        for name, of in measured(ours).items()
    }


def cut_of(chosen_by: Said) -> float:
    """The one threshold of the best macro-F1."""
    return float(best_cut(chosen_by.truth, chosen_by.probability))


def combined(members: list[dict[str, Said]]) -> tuple[str, dict[str, Said]]:
    """The ensemble of decide/, fitted on `valid` and applied to every set; how it combines.

    What it says of `valid` is cross-fitted, so that the threshold from there is honest.
    """
    fitted = [each["valid"] for each in members]
    truth, _, groups = fitted[0]
    chosen = select_combiner(truth, np.stack([each.probability for each in fitted]).astype(float), groups=groups)
    made = {"valid": fitted[0]._replace(probability=chosen.out_of_fold[chosen.combiner])}
    for name in members[0]:
        if name != "valid":
            stack = np.stack([each[name].probability for each in members]).astype(float)
            made[name] = members[0][name]._replace(probability=chosen.decider.predict(stack))
    return chosen.combiner, made


def label_prior(sets: dict[str, Said]) -> dict[str, Said]:
    """Return the label prior: every location as likely as it is frequent in the set that gives the threshold."""
    return {
        name: sets[name]._replace(probability=np.broadcast_to(sets[cut].truth.mean(axis=0), sets[name].truth.shape))
        for name, cut in (CUT_FROM | {cut: cut for cut in CUT_FROM.values()}).items()
        if name in sets
    }


def best_single(members: dict[str, dict[str, Said]]) -> str:
    """The member of the best macro average precision on the validation fields."""
    return max(members, key=lambda name: float(macro_average_precision(*(members[name]["valid"][:2]))))


# === Telling ===


def report(folder: Path, shortlists: list[list[str]]) -> dict[str, Any]:
    """All figures: of each model and seed, of each shortlist's ensemble of each seed, and what it gains."""
    known: dict[str, dict[str, dict[str, Said]]] = {}
    for path in sorted(folder.glob("*/*.npz")):
        known.setdefault(path.parent.name, {})[path.stem] = read(path)
    unknown = [name for names in shortlists for name in names if name not in known]
    if unknown:
        raise UsageError(
            f"Nothing was said by {unknown[0]!r}. Let research/outputs.py ask it first; there are {', '.join(known)}."
        )
    some = next(iter(next(iter(known.values())).values()))
    models = {"label prior": {"": _figures(scores(label_prior(some)))}}
    models |= {name: {seed: _figures(scores(sets)) for seed, sets in seeds.items()} for name, seeds in known.items()}
    ensembles = {
        "+".join(names): {seed: together(members) for seed, members in by_seed(known, names).items()}
        for names in shortlists
    }
    return {"models": models, "ensembles": ensembles}


def by_seed(known: dict[str, dict[str, dict[str, Said]]], names: list[str]) -> dict[str, dict[str, dict[str, Said]]]:
    """The members of each seed that all have; one that has a single seed stands in each."""
    several = [set(known[name]) for name in names if len(known[name]) > 1] or [set(known[name]) for name in names]
    return {
        seed: {name: known[name].get(seed) or next(iter(known[name].values())) for name in names}
        for seed in sorted(set.intersection(*several))
    }


def together(members: dict[str, dict[str, Said]]) -> dict[str, Any]:
    """The figures of an ensemble, and what it gains over the best of its members."""
    combiner, ensemble = combined(list(members.values()))
    best = best_single(members)
    return {
        "members": list(members),
        "combiner": combiner,
        "scores": _figures(scores(ensemble)),
        "best": best,
        "gains": _figures(gains(ensemble, members[best])),
    }


def _figures(found: dict[str, dict[str, Interval]]) -> dict[str, Any]:
    return {name: {key: interval_to_dict(each) for key, each in of.items()} for name, of in found.items()}


def table(found: dict[str, Any]) -> str:
    """The values, for the terminal."""
    lines = []
    rows = [(f"{name}/{seed}", of) for name, seeds in found["models"].items() for seed, of in seeds.items()]
    for name, seeds in found["ensembles"].items():
        for seed, ensemble in seeds.items():
            rows += [(f"{name}/{seed}", ensemble["scores"]), (f"  gain over {ensemble['best']}", ensemble["gains"])]
    for title, of in rows:
        lines.append(title)
        for name, scored in of.items():
            cells = [
                f"{key} {number(each['value'], 3)} ({interval(each['low'], each['high'], 3)})"
                for key, each in scored.items()
            ]
            lines.append(f"  {name:12} {'  '.join(cells)}")
    return "\n".join(lines)


def main(words: list[str]) -> int:
    """Scores, prints, and keeps the figures."""
    parser = argparse.ArgumentParser(prog="finalists.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("outputs", type=Path, help="what `research/outputs.py` made")
    parser.add_argument("--ensemble", nargs="+", action="append", default=[], metavar="NAME", help="a shortlist")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to keep the figures")
    given = parser.parse_args(words)
    found = report(given.outputs, given.ensemble)
    if given.json:
        if given.json.is_file():
            earlier = json.loads(given.json.read_text(encoding="utf-8"))
            found = {key: earlier[key] | figures for key, figures in found.items()}
        with atomic_write(given.json) as part:
            part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(found))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LociscopeError as error:
        print(f"finalists: {error}", file=sys.stderr)
        sys.exit(int(error.exit_code))
