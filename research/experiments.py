"""Runs the iterations of an experiment, one after another, and scores each on real fields; resumes where it stopped.

    python research/experiments.py EXPERIMENT… --catalog CATALOG --runs DIR [--store DIR] [--only NAME…]

EXPERIMENT is a file of `research/experiments/`, by its name: it names a recipe, the settings that all iterations
share, and the iterations in order, each with what it changes and why; one with `seeds` stands for as many. Every
iteration is one call of `lociscope train` with the recipe so changed; its Run is `DIR/EXPERIMENT/NAME`. Where the real
data lie (`LOCISCOPE_REAL_DATA`, by default `../shared/data`), `research/real_fields.py` leaves its scores in the Run.
`lociscope compare` and `docs/_generate/experiments_page.py` make the logbook of the Runs.

The catalog of the logbook: 12,000 fields simulated at 256 px, rare places lifted half-way, three cell lines left out as
strangers (split `test`), a tenth of the rest held out by specimen:

    lociscope simulate atlas ATLAS --fields 12000 --size 256 --balance 0.5
    lociscope import kaggle ATLAS -o simulated.parquet
    python research/experiments.py --split simulated.parquet
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from lociscope.artifacts.catalog import Catalog
from lociscope.artifacts.recipe import Recipe
from lociscope.artifacts.run import Run
from lociscope.errors import LociscopeError
from lociscope.simulate import REFERENCE

HERE = Path(__file__).parent
REAL = Path(os.environ.get("LOCISCOPE_REAL_DATA", HERE.parents[1] / "shared" / "data"))
SCORES = "scores/real_fields.json"
VALID_OF_10 = 9
"""Of ten specimens the last is for validation."""


def read_experiment(name: str) -> dict[str, Any]:
    """The experiment of one name.

    Raises:
        LociscopeError: There is none.
    """
    path = HERE / "experiments" / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.toml")))
        raise LociscopeError(f"No experiment {name!r}; there are {known}.")
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    return found | {"iteration": [each for one in found["iteration"] for each in seeded(one)]}


def seeded(iteration: dict[str, Any]) -> list[dict[str, Any]]:
    """An iteration once for each of its `seeds`, which end the names; itself where it has none."""
    if "seeds" not in iteration:
        return [iteration]
    name, changed = iteration["name"], iteration.get("set", {})
    return [
        iteration | {"name": f"{name}-{seed}", "set": changed | {"train.seed": seed}}
        for seed in range(iteration["seeds"])
    ]


def recipe_of(experiment: dict[str, Any], iteration: dict[str, Any]) -> Recipe:
    """The recipe of one iteration: the experiment's, with what all share and what this one changes.

    An iteration may name another recipe, whose network has other options: then those that all share are left out.
    """
    name = iteration.get("recipe", experiment["recipe"])
    shared = experiment.get("set", {})
    if name != experiment["recipe"]:
        shared = {key: value for key, value in shared.items() if not key.startswith("network.")}
    return Recipe.read(name, shared | iteration.get("set", {}) | {"note": iteration["note"]})


def train(recipe: Recipe, run: Path, catalog: Path, store: Path | None) -> bool:
    """Train, or resume what was interrupted; return whether it finished."""
    if Run(run).done:
        return True
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.toml"
        recipe.write(path)
        words = [sys.executable, "-m", "lociscope", "train", str(path), "--catalog", str(catalog), "-o", str(run)]
        return subprocess.run([*words, *(["--store", str(store)] if store else [])]).returncode == 0


def score(run: Path) -> None:
    """Leaves the scores on real fields in the Run, where there are real fields."""
    if (run / SCORES).is_file() or not (REAL / "hpa2018").is_dir():
        return
    words = [
        sys.executable, str(HERE / "real_fields.py"), str(run), "--fields", str(REAL / "hpa2018/train"),
        "--labels", str(REAL / "hpa2018/fields.csv"), "--dictionary", str(REAL / "hpa_dictionary"), "--keep",
    ]  # fmt: skip
    subprocess.run(words, check=True)


def split(path: Path) -> None:
    """Marks a Catalog's fields: strangers' cell lines `test`, a tenth of the other specimens `valid`.

    Their scale is left out, as it is by the competition's files.
    """
    catalog = Catalog.read(path)
    specimens = sorted({str(entry.specimen) for entry in catalog})
    held = {specimen for number, specimen in enumerate(specimens) if number % 10 == VALID_OF_10}

    def part(cell_line: str | None, specimen: str | None) -> str:
        if cell_line in REFERENCE.held_out:
            return "test"
        return "valid" if str(specimen) in held else "train"

    marked = catalog.with_column("split", [part(entry.cell_line, entry.specimen) for entry in catalog])
    marked.with_column("pixel_size", [None] * len(catalog)).write(path)


def main(words: list[str]) -> int:
    """Trains and scores what is left."""
    parser = argparse.ArgumentParser(prog="experiments.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT")
    parser.add_argument("--split", type=Path, metavar="CATALOG", help="mark the parts of a Catalog, and end")
    parser.add_argument("--catalog", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--store", type=Path)
    parser.add_argument("--only", nargs="+", metavar="NAME")
    given = parser.parse_args(words)
    if given.split:
        split(given.split)
        return 0
    failed = 0
    for name in given.experiments:
        experiment = read_experiment(name)
        for iteration in experiment["iteration"]:
            if given.only and iteration["name"] not in given.only:
                continue
            run = given.runs / name / iteration["name"]
            if train(recipe_of(experiment, iteration), run, given.catalog, given.store):
                score(run)
            else:
                failed += 1
    return int(failed > 0)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LociscopeError as error:
        print(f"experiments: {error}", file=sys.stderr)
        sys.exit(int(error.exit_code))
