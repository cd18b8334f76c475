r"""What it costs a network to meet a cell line that it never saw: folds that leave lines out beside folds that do not.

    python research/left_out.py OTHERS LEFT_OUT --catalog CATALOG [--json FILE]

OTHERS and LEFT_OUT are folders of `lociscope train --folds` with one recipe over the same fields: the folds of OTHERS
are bound by specimen, those of LEFT_OUT by cell line, which CATALOG tells. Both should learn from about as many fields:
where three lines hold most of them, five folds by specimen learn from as many as the folds by line do, field by field.
The figures of the logbook, over 15 lines of the catalog that `research/experiments.py` makes:

    lociscope split simulated.parquet --group specimen --folds 5 -o specimens.parquet
    lociscope split simulated.parquet --group cell_line --folds 15 -o lines.parquet
    lociscope train lenet5 --set train.epochs=5 --set train.repeat_threshold=0.05 --set train.precision=mixed_bfloat16 \
        --catalog specimens.parquet --folds 5 -o runs/specimens
    lociscope train lenet5 … --catalog lines.parquet --folds 15 -o runs/lines
    python research/left_out.py runs/specimens runs/lines --catalog lines.parquet

Scores are out-of-fold, as in `lociscope compare`: macro-F1 at one cross-fitted threshold; 90 % bootstrap intervals,
whole specimens resampled; gains are paired.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from lociscope.artifacts.catalog import Catalog
from lociscope.decide.intervals import bootstrap, paired_bootstrap
from lociscope.decide.metrics import lrap
from lociscope.errors import LociscopeError, UsageError
from lociscope.report.candidates import Candidate, read_candidate
from lociscope.report.comparison_rows import interval_to_dict
from lociscope.report.ranking import LEVEL, compare_candidates
from lociscope.storage.atomic import atomic_write


def report(others: Path, left_out: Path, lines: dict[str, str]) -> dict[str, Any]:
    """All scores: of both folders, of each line, and what leaving out changes.

    Args:
        others: Folds that leave out no line.
        left_out: Folds that do.
        lines: The cell line of each field.

    Raises:
        UsageError: The two were not trained over the same fields, or the line of one is unknown.
    """
    pair = [read_candidate(others, "others"), read_candidate(left_out, "left out")]
    comparison_groups = compare_candidates(pair)
    if len(comparison_groups) > 1:
        raise UsageError(f"'{others}' and '{left_out}' speak of different fields. Train both from one Catalog.")
    unknown = next((each for each in pair[0].ids if not lines.get(each)), None)
    if unknown is not None:
        raise UsageError(f"The Catalog has no line of the field '{unknown}'. Give the one that the folds learned from.")
    base, other = comparison_groups[0].models
    of_field = np.array([lines[each] for each in pair[0].ids])
    return {
        "fields": comparison_groups[0].fields,
        "folds": [len(each.runs) for each in pair],
        "learned": [learned(each) for each in pair],
        "others": base.figures,
        "left_out": other.figures,
        "gains": other.gains,
        "lines": {str(line): by_line(pair, of_field == line) for line in np.unique(of_field)},
    }


def learned(folds: Candidate) -> int:
    """Fields that a network learned from, on average over the fields that it speaks of."""
    counted = [run.read_environment().fields for run in folds.runs]
    return round(sum(each["train"] * each["valid"] for each in counted) / sum(each["valid"] for each in counted))


def by_line(pair: list[Candidate], rows: np.ndarray) -> dict[str, Any]:
    """LRAP of both on the fields of one line, and the gain."""
    truth, groups = pair[0].truth[rows], None if pair[0].groups is None else pair[0].groups[rows]
    theirs, ours = (each.probability[rows] for each in pair)
    return {
        "fields": int(rows.sum()),
        "others": bootstrap(lrap, truth, theirs, groups=groups, level=LEVEL),
        "left_out": bootstrap(lrap, truth, ours, groups=groups, level=LEVEL),
        "gain": paired_bootstrap(lrap, truth, ours, theirs, groups=groups, level=LEVEL),
    }


def table(found: dict[str, Any]) -> str:
    """The figures, for the terminal."""
    folds, learned_from = (" and ".join(map(str, found[key])) for key in ("folds", "learned"))
    lines = [f"{found['fields']} fields, {folds} folds, which learned from {learned_from} fields on average"]
    rows = [(name, found["others"][name], found["left_out"][name], found["gains"][name]) for name in found["gains"]]
    rows += [
        (f"lrap, {line} ({each['fields']})", each["others"], each["left_out"], each["gain"])
        for line, each in found["lines"].items()
    ]
    lines += [f"  {name:30} {theirs}  {ours}  {gain}" for name, theirs, ours, gain in rows]
    return "\n".join(lines)


def main(words: list[str]) -> int:
    """Scores, prints, and keeps the figures."""
    parser = argparse.ArgumentParser(prog="left_out.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("others", type=Path, help="folds bound by specimen")
    parser.add_argument("left_out", type=Path, help="folds bound by cell line")
    parser.add_argument("--catalog", type=Path, required=True, help="says which line a field is of")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to keep the figures")
    given = parser.parse_args(words)
    lines = {entry.id: entry.cell_line or "" for entry in Catalog.read(given.catalog)}
    found = report(given.others, given.left_out, lines)
    if given.json:
        with atomic_write(given.json) as part:
            part.write_text(json.dumps(found, indent=1, default=interval_to_dict) + "\n", encoding="utf-8")
    print(table(found))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LociscopeError as error:
        print(f"left_out: {error}", file=sys.stderr)
        sys.exit(int(error.exit_code))
