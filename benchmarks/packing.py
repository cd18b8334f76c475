"""What packing costs, and that streaming needs as much memory from a large store as from a small one.

    python benchmarks/packing.py [--fields 64] [--rows 20000]

`size` is the store's bytes divided by those of the four PNG files of 512 px; `minutes_for_1000` is the processor time
of one core for packing 1,000 of them. Both are given for the simulated atlas, and for the real fields where they are
present. `memory` is the largest resident set of a process that streams one epoch of a store of 128 px, with 2,000 and
with 20,000 fields.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.card import InputSpec
from lociscope.data.cache.disk import PreparedField
from lociscope.data.cache.packing import pack, prepare_catalog
from lociscope.data.importing import import_folder, import_kaggle
from lociscope.images.discovery.sources import read_catalog_sources
from lociscope.simulate import write_atlas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lociscope.artifacts.catalog import Catalog

REAL = Path(os.environ.get("LOCISCOPE_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
SIZES = (128, 256, 512)
CHILD = """
import resource, sys
from pathlib import Path
import numpy as np
from lociscope.artifacts.card import InputSpec
from lociscope.data.cache.packing import pack
from lociscope.data.pipeline.dataset import steps_per_epoch, training_batches
from lociscope.artifacts.recipe import Recipe
folder, rows = Path(sys.argv[1]), int(sys.argv[2])
spec = InputSpec(height=128, width=128, low=0.5, high=99.9)
store = pack(folder, {"rows": rows}, rows, lambda start: [], spec)
recipe = Recipe()
for x, y in training_batches(store, recipe, 0).take(steps_per_epoch(store, recipe)):
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def spec_of(size: int) -> InputSpec:
    """What a network of that input size wants."""
    return InputSpec(height=size, width=size, low=0.5, high=99.9)


def packing(catalog: Catalog, folder: Path) -> dict[str, float]:
    """Size and time for each size of input."""
    pngs = sum(ref.file.stat().st_size for source in read_catalog_sources(catalog) for ref in source.refs)
    found = {}
    for size in SIZES:
        spec, target = spec_of(size), folder / f"{catalog.folder.name}{size}"
        started = time.process_time()
        pack(target, {}, len(catalog), lambda start, spec=spec: prepare_catalog(catalog, spec, start=start), spec)  # type: ignore[misc]
        seconds = (time.process_time() - started) / len(catalog) * 1000
        stored = sum(path.stat().st_size for path in target.iterdir())
        found[f"size at {size} px"] = round(stored / pngs, 3)
        found[f"minutes for 1000 at {size} px"] = round(seconds / 60, 2)
    return found


def noise(rows: int, start: int) -> Iterator[PreparedField]:
    """Fields of noise, each another turn of one."""
    pixels = np.random.default_rng(0).integers(0, 256, (128, 128, 4), np.uint8)
    for row in range(start, rows):
        yield PreparedField(f"f{row}", f"f{row}", np.roll(pixels, row, row % 2), (row % 28,))


def peak_mib(folder: Path, rows: int) -> float:
    """Largest resident set of a process that streams an epoch of so many fields."""
    pack(folder / str(rows), {"rows": rows}, rows, partial(noise, rows), spec_of(128))
    words = [sys.executable, "-c", CHILD, str(folder / str(rows)), str(rows)]
    said = subprocess.run(words, check=True, capture_output=True, text=True)
    return round(int(said.stdout.split()[-1]) / 1024, 1)


def main() -> None:
    """Measures both and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=64)
    parser.add_argument("--rows", type=int, default=20_000)
    given = parser.parse_args()
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        atlas = write_atlas(folder / "atlas", fields=given.fields, size=512, seed=4)
        found["simulated"] = packing(import_kaggle(atlas, atlas)[0], folder)
        real = REAL / "hpa2018"
        if real.is_dir():
            found["real"] = packing(import_folder(real / "train", real / "fields.csv", real)[0], folder)
        few, many = (peak_mib(folder, rows) for rows in (given.rows // 10, given.rows))
        sizes = {f"MiB, {given.rows // 10} fields": few, f"MiB, {given.rows} fields": many}
        found["memory"] = {**sizes, "ratio": round(many / few, 3), "most": 1.1}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
