"""What models say of every set, each set opened once per model.

    python research/outputs.py NAME/SEED=RUN… --out DIR [--catalog CATALOG]

Each Run sees every set once, and DIR keeps its probabilities with truth and groups, as `NAME/SEED.npz` of plain
arrays; a Run whose file is there is not asked again. `research/finalists.py` reads them. The sets:

- `valid`: the Run's own validation fields, by which epochs and iterations were chosen;
- `atlas_valid`, `atlas_test`, `atlas_lines`: parts of `lociscope.simulate.REFERENCE`, at real frequencies; `lines` is
  of three cell lines that no training saw;
- `strangers`: the fields of the split `test` of the Catalog that the Runs learned from: the same three cell lines, rare
  locations lifted as in training;
- `fields`, `dictionary`: the real data (`LOCISCOPE_REAL_DATA`), as in `research/real_fields.py`.
"""

from __future__ import annotations

import argparse
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from experiments import REAL  # type: ignore[import-not-found] # the scripts beside this one
from real_fields import load_model, read_dictionary, read_fields  # type: ignore[import-not-found]

from lociscope.artifacts.catalog import Catalog, read_labels
from lociscope.artifacts.run import Run
from lociscope.errors import LociscopeError, UsageError
from lociscope.images.discovery.sources import read_catalog_sources
from lociscope.images.io.read import read_field
from lociscope.labels import to_multi_hot
from lociscope.simulate import REFERENCE, Part, SimulatedField
from lociscope.splits.groups import group_ids
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterable


class Said(NamedTuple):
    """What a model says of a set: truth (n, 28), probabilities (n, 28), a group for each field."""

    truth: np.ndarray
    probability: np.ndarray
    groups: np.ndarray


def ask(run: Path, catalog: Path | None) -> dict[str, Said]:
    """Lets a Run see every set."""
    predict, found = load_model(run), {"valid": own(Run.open(run))}
    for part in (Part.VALID, Part.TEST, Part.LINES):
        rows = [(field.target, predict(field.pixels, None), field.specimen) for field in simulated(part)]
        found[f"atlas_{part}"] = said(rows)
    if catalog is not None:
        table = Catalog.read(catalog).select_labelled().filter("split", "test")
        found["strangers"] = said(
            (entry.target, predict(read_field(source).pixels, None), group)
            for entry, source, group in zip(table, read_catalog_sources(table), group_ids(table), strict=True)
        )
    if (REAL / "hpa2018").is_dir():
        labels = read_labels(REAL / "hpa2018/fields.csv")
        fields = read_fields(REAL / "hpa2018/train", labels, predict)
        dictionary = read_dictionary(REAL / "hpa_dictionary", predict)
        for name, real in (("fields", fields), ("dictionary", dictionary)):
            found[name] = Said(real.truth, real.raw, np.asarray(real.names))
    return found


@cache
def simulated(part: Part) -> list[SimulatedField]:
    """A part of the frozen atlas, simulated once for all Runs of a call."""
    return list(REFERENCE.simulate_part(part, workers=2))


def own(run: Run) -> Said:
    """What a Run said of its validation fields when it was trained."""
    predictions, truth, groups = run.read_predictions(), run.read_truth(), run.read_groups()
    order = sorted(range(len(predictions)), key=lambda row: predictions.ids[row])
    names = [predictions.ids[row] for row in order]
    return said(
        (truth[name], predictions.probability[row], groups.get(name, name))
        for name, row in zip(names, order, strict=True)
    )


def said(rows: Iterable[tuple[tuple[int, ...] | None, np.ndarray, str]]) -> Said:
    """Labels, probabilities and group of each field as arrays."""
    targets, probabilities, groups = zip(*rows, strict=True)
    return Said(to_multi_hot([target or () for target in targets]), np.array(probabilities), np.asarray(groups))


def write(path: Path, found: dict[str, Said]) -> None:
    """Keeps what was said, as plain arrays."""
    arrays = {f"{name}/{key}": value for name, each in found.items() for key, value in each._asdict().items()}
    with atomic_write(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read(path: Path) -> dict[str, Said]:
    """What was kept."""
    with np.load(path, allow_pickle=False) as arrays:
        names = dict.fromkeys(name.rpartition("/")[0] for name in arrays.files)
        return {name: Said(*(arrays[f"{name}/{key}"] for key in Said._fields)) for name in names}


def main(words: list[str]) -> int:
    """Asks what was not asked yet."""
    parser = argparse.ArgumentParser(prog="outputs.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("runs", nargs="+", metavar="NAME/SEED=RUN")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--catalog", type=Path, help="what the Runs learned from, for its split `test`")
    given = parser.parse_args(words)
    for word in given.runs:
        name, _, run = word.partition("=")
        if name.count("/") != 1 or not run:
            raise UsageError(f"Expected NAME/SEED=RUN, received {word!r}. For example small/0=runs/small.")
        path = given.out / f"{name}.npz"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, ask(Path(run), given.catalog))
            print(f"{name} has spoken", flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LociscopeError as error:
        print(f"outputs: {error}", file=sys.stderr)
        sys.exit(int(error.exit_code))
