"""How many pictures of other things, and how many real fields, get the status `unlike-training`? A table by kind.

    python research/out_of_distribution/measure.py BUNDLE --real SRC [--real SRC …] [--number 50]

BUNDLE is a Bundle with a detector (`lociscope ood`). `--real` names folders, zips or Catalogs of real fields: false
alarms are measured on them, blurred fields and swapped channels are made of them, and some kinds are too. A false alarm
on a field with which the detector was fitted says little: pass others. Intervals are Clopper and Pearson's, 90 %.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from kinds import HELD_OUT, TUNING  # type: ignore[import-not-found] # the script beside this one
from scipy.ndimage import gaussian_filter
from scipy.stats import binomtest

from lociscope.channels import CHANNEL_NAMES
from lociscope.images.discovery.naming import Rules, parse_missing
from lociscope.images.discovery.sources import find_fields
from lociscope.images.field import Field
from lociscope.images.io.read import read_field
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.warnings import WarningKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SEED = 7
SIGMAS = (2, 4, 6, 8, 12, 20)
WARNED = (WarningKind.UNSHARP, WarningKind.NO_NUCLEI, WarningKind.REPEATED_CHANNEL)


class Row(NamedTuple):
    """What a bundle says of n fields of one kind: how many are marked, and how many are marked or warned of."""

    part: str
    kind: str
    n: int
    marked: int
    warned: int

    def format(self) -> str:
        """Return the row of a Markdown table."""
        interval = binomtest(self.marked, self.n).proportion_ci(0.9, method="exact")
        shares = f"{self.marked / self.n:.0%} ({interval.low:.0%}–{interval.high:.0%})"
        return f"| {self.part} | {self.kind} | {self.n} | {shares} | {self.warned / self.n:.0%} |"


def measure(predictor: Predictor, part: str, kind: str, fields: Iterable[Field]) -> Row:
    """Predict fields one by one and count."""
    marked, warned, n = 0, 0, 0
    for field in fields:
        row = predictor.run([predictor.prepare(field)])
        is_marked = row.status[0] == "unlike-training"
        marked += is_marked
        warned += is_marked or any(warning.kind in WARNED for warning in row.warnings[0])
        n += 1
    return Row(part, kind, n, marked, warned)


def shifted(real: list[Field]) -> Iterator[tuple[str, list[Field]]]:
    """Yield real fields with blur of several widths (px at 512 px a side), and with each pair of channels swapped."""
    for sigma in SIGMAS:
        blurred = []
        for field in real:
            width = sigma * field.pixels.shape[0] / 512
            blurred.append(Field(field.id, gaussian_filter(field.pixels, (width, width, 0)), field.pixel_size))
        yield f"blur of {sigma} px", blurred
    for one, two in combinations(range(4), 2):
        order = list(range(4))
        order[one], order[two] = two, one
        swapped = [Field(field.id, field.pixels[..., order], field.pixel_size) for field in real]
        yield f"{CHANNEL_NAMES[one]} and {CHANNEL_NAMES[two]} swapped", swapped


def measure_all(predictor: Predictor, real: dict[str, list[Field]], number: int) -> Iterator[Row]:
    """Measure real fields, shifted ones, and all kinds."""
    for name, fields in real.items():
        yield measure(predictor, "real", name, fields)
    whole = [
        field for fields in real.values() for field in fields if not field.missing and max(field.pixels.shape) <= 512
    ]
    for kind, fields in shifted(whole):
        yield measure(predictor, "shifted", kind, fields)
    for part, kinds in (("tuning", TUNING), ("held out", HELD_OUT)):
        for kind, generate in kinds.items():
            rngs = [np.random.default_rng([SEED, row, *kind.encode()]) for row in range(number)]
            made = (Field(str(row), generate(rng, whole[row % len(whole)].pixels)) for row, rng in enumerate(rngs))
            yield measure(predictor, part, kind, made)


def main() -> None:
    """Measure, and print a Markdown table and JSON."""
    parser = argparse.ArgumentParser(description="Share of fields with the status unlike-training, by kind.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--real", type=Path, action="append", required=True, help="real fields")
    parser.add_argument("--number", type=int, default=50, help="pictures of each kind")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    predictor = open_bundle(given.bundle, given.threads)
    if predictor.detector is None:
        sys.exit(f"Bundle '{given.bundle}' has no detector. Fit one with `lociscope ood`.")
    rules = Rules(allow_missing=parse_missing(["yellow"]))
    real = {path.name: [read_field(each) for each in find_fields([path], rules)[0]] for path in given.real}
    print("| part | kind | fields | `unlike-training` (90 %) | or a warning |\n|---|---|---|---|---|")
    rows = []
    for row in measure_all(predictor, real, given.number):
        print(row.format(), flush=True)
        rows.append(row._asdict())
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
