"""Training never waits for its input: fields/s beside a plain `keras.utils.PyDataset`, and the cost of augmentation.

    python benchmarks/pipeline.py [--fields 96] [--epoch-fields 512] [--rounds 3]

`read` compares, at 256 px and with the default recipe's augmentation on both sides, the stream from a packed store and
from PNG files with a PyDataset that opens the four PNGs of 512 px with Pillow and augments them with numpy: its time
per field divided by the stream's, by wall time and by processor time (which other work on the machine does not
change). Both have two workers; the PyDataset's are threads or processes, whichever is faster. `from PNGs, kept` is
every epoch but the first, with as many fields as the memory cache takes (1 GiB: 4,096 fields); the PyDataset opens the
files in every epoch. `augmentation` gives ms of processor time per field in a batch of 32. `epoch` divides an epoch of
LeNet-5 at 128 px, after the first, in which the stream is compiled, by one on a constant batch, both in turn, as the
median of the rounds: by wall and by processor time; `ms` is the latter epoch's, per field. `simulation` is the
simulator's time for a field of 256 px, beside a training step's share of it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from lociscope.artifacts.card import InputSpec
from lociscope.artifacts.recipe import Augment, Recipe
from lociscope.channels import CHANNEL_NAMES
from lociscope.data.augment import augment
from lociscope.data.augment.mixing import has_mixing_ops
from lociscope.data.cache import lazy_images as reader
from lociscope.data.cache.disk import PreparedField
from lociscope.data.cache.lazy_images import MEMORY_BYTES, LazyImageArray, open_lazily
from lociscope.data.cache.packing import pack, prepare_catalog
from lociscope.data.importing import import_kaggle
from lociscope.data.pipeline.dataset import training_batches
from lociscope.data.pipeline.sample_random import PerSampleRng
from lociscope.models import build_network
from lociscope.simulate import simulate_field, write_atlas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lociscope.artifacts.catalog import Catalog
    from lociscope.data.cache.fields import PackedFields

BATCH, WORKERS = 32, 2
DOWNSAMPLE = 2
"""Stride of C1, as in `recipes/lenet5.toml`: a step of a stride of 1 takes longer, and hides more of the stream."""
STILL: dict[str, object] = {"flip": False, "shift": 0.0, "gain": 0.0, "noise": 0.0, "channel_dropout": 0.0}
EACH: dict[str, dict[str, object]] = {
    "flip": {"flip": True},
    "shift": {"shift": 0.1},
    "rotate, scale, shear, crop": {"rotate": 180.0, "scale": 0.2, "shear": 0.1, "crop": 0.1},
    "elastic": {"elastic": 0.03},
    "gain": {"gain": 0.2},
    "offset": {"offset": 0.05},
    "gamma": {"gamma": 0.5},
    "blur": {"blur": 0.5},
    "noise": {"noise": 0.02},
    "channel_dropout": {"channel_dropout": 0.1},
    "mixup": {"mixup": 1.0},
    "cutmix": {"cutmix": 1.0},
}
CROPS: dict[str, object] = STILL | {"flip": True, "crop": 0.1}
SHIFTS = STILL | {"flip": True, "shift": 0.1}
"""Crops as they are usually made: a window of the field, continued at its edge, nothing resampled."""
EVERYTHING: dict[str, object] = {key: value for some in EACH.values() for key, value in some.items()}
EVERYTHING |= {"mixup": 0.2, "cutmix": 0.2}


class Plain(keras.utils.PyDataset):  # type: ignore[misc]
    """What one would write first: Pillow, numpy, one field after the other."""

    def __init__(self, catalog: Catalog, size: int, passes: int = 1, *, processes: bool = False) -> None:
        super().__init__(workers=WORKERS, use_multiprocessing=processes, max_queue_size=4)
        self.rows = [[catalog.folder / getattr(entry, name) for name in CHANNEL_NAMES] for entry in catalog] * passes
        self.size, self.rng = size, np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.rows) // BATCH

    def __getitem__(self, index: int) -> tuple[np.ndarray]:
        return (np.stack([self.field(planes) for planes in self.rows[index * BATCH : (index + 1) * BATCH]]),)

    def field(self, planes: list[Path]) -> np.ndarray:
        """One field, varied."""
        opened = (Image.open(path).resize((self.size, self.size), Image.Resampling.BOX) for path in planes)
        x = np.stack([np.asarray(picture, np.float32) / 255 for picture in opened], axis=-1)
        if self.rng.random() < 0.5:
            x = x[::-1]
        x = np.rot90(x, int(self.rng.integers(4)))
        most = round(0.1 * self.size)
        top, left = self.rng.integers(0, 2 * most + 1, 2)
        x = np.pad(x, ((most, most), (most, most), (0, 0)), "symmetric")[top : top + self.size, left : left + self.size]
        x = x * self.rng.uniform(0.8, 1.2, 4).astype(np.float32)
        x = x + self.rng.uniform(0, 0.02, 4).astype(np.float32) * self.rng.standard_normal(x.shape, np.float32)
        x = np.clip(x, 0, 1)
        if self.rng.random() < 0.1:
            x[..., 3] = 0
        return x


def recipe(size: int, vary: dict[str, object] | None = None) -> Recipe:
    """A recipe with other augmentation than the default's."""
    values: dict[str, Any] = {"data": {"size": size}, "train": {"batch": BATCH}, "network": {"name": "lenet5"}}
    return Recipe.from_dict(values | ({} if vary is None else {"augment": vary}), "benchmark")


def spent(batches: Callable[[], Iterator[object]], number: int) -> np.ndarray:
    """Wall and processor seconds a batch, after one to warm the stream; of all processes."""
    stream = batches()
    next(stream)
    began = clocks()
    for _ in range(number):
        next(stream)
    return np.asarray((clocks() - began) / number)


def clocks() -> np.ndarray:
    """Wall and processor time, of this process and of all that it started."""
    return np.array([time.perf_counter(), time.process_time() + children_seconds()])


def children_seconds() -> float:
    """Processor seconds of the processes that this one started and that still run, from /proc."""
    ticks, pid, total = os.sysconf("SC_CLK_TCK"), os.getpid(), 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(words[1]) == pid:
            total += (int(words[11]) + int(words[12])) / ticks
    return total


def reading(folder: Path, fields: int, rounds: int) -> dict[str, dict[str, float]]:
    """The PyDataset's seconds a field, by the faster of threads and processes, divided by the streams'."""
    atlas = write_atlas(folder / "atlas", fields=fields, size=512, seed=4)
    found_there, _ = import_kaggle(atlas, folder)
    catalog = found_there.with_column("pixel_size", [None] * fields)  # as the competition's; the PyDataset heeds none
    made, spec = recipe(256), InputSpec(height=256, width=256, low=0.5, high=99.9)
    store = pack(folder / "packed", {}, fields, partial(prepared, catalog, spec), spec)
    files = open_lazily(catalog, spec, [], workers=WORKERS)
    assert isinstance(files.x, LazyImageArray)  # noqa: S101
    batches = fields // BATCH

    def stream(source: PackedFields) -> Iterator[object]:
        return iter(training_batches(source, made, 0))

    def plain(*, processes: bool) -> Iterator[object]:
        return rival_batches(Plain(catalog, 256, 3, processes=processes))

    found: dict[str, list[np.ndarray]] = {"packed": [], "from PNGs, read each time": [], "from PNGs, kept": []}
    for _ in range(rounds):
        base = np.minimum(*(spent(partial(plain, processes=way), 2 * batches) for way in (False, True)))
        found["packed"].append(base / spent(partial(stream, store), 8 * batches))
        for name, most in (("from PNGs, read each time", 0), ("from PNGs, kept", MEMORY_BYTES)):
            reader.MEMORY_BYTES = most
            spent(partial(stream, files), batches)
            found[name].append(base / spent(partial(stream, files), 2 * batches))
            files.x.memory.clear()
    return {
        name: {
            clock: round(float(np.median(each)), 2)
            for clock, each in zip(("wall", "processor"), zip(*ratios, strict=True), strict=True)
        }
        for name, ratios in found.items()
    }


def rival_batches(plain: Plain) -> Iterator[object]:
    """Its batches as `fit` gets them, by its workers."""
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    yield from PyDatasetAdapter(plain, shuffle=False).get_numpy_iterator()


def prepared(catalog: Catalog, spec: InputSpec, start: int) -> Iterator[PreparedField]:
    """A Catalog's fields; all of them can be read."""
    for field in prepare_catalog(catalog, spec, start=start):
        assert isinstance(field, PreparedField), field  # noqa: S101
        yield field


def cost(size: int, chosen: dict[str, object], rounds: int) -> float:
    """Processor ms for a field."""
    settings = Augment.model_validate(STILL | chosen)
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, size, size, 4), np.uint8)
    labels = np.zeros((BATCH, 28), np.uint8)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator, unused-ignore]
    def varied(x: Any, y: Any, epoch: Any) -> Any:  # noqa: ANN401
        draws = PerSampleRng(0, epoch, tf.range(BATCH, dtype=tf.int64))
        return augment(x, y, draws, settings, (x[::-1], y[::-1]) if has_mixing_ops(settings) else None)

    def once(epoch: int) -> float:
        started = time.process_time()
        varied(pixels, labels, tf.constant(epoch, tf.int64))
        return time.process_time() - started

    once(0)
    return min(once(1 + number) for number in range(3 * rounds)) / BATCH * 1000


def epochs(folder: Path, fields: int, rounds: int, downsample: int) -> dict[str, dict[str, float]]:
    """Epochs of LeNet-5 on streams, divided by one on a batch that is already there."""
    spec = InputSpec(height=128, width=128, low=0.5, high=99.9)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (128, 128, 4), np.uint8)
    simulated = (PreparedField(str(row), str(row), np.roll(noise, row, 0), (row % 28,)) for row in range(fields))
    store = pack(folder / f"noise{downsample}", {}, fields, lambda start: simulated, spec)
    network = build_network("lenet5", 128, {"downsample": downsample})
    model = keras.Model(network.input, network.get_layer("logits").output)
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    steps = fields // BATCH
    constant = (np.zeros((BATCH, 128, 128, 4), np.float32), np.zeros((BATCH, 28), np.float32))

    def seconds(data: Any) -> np.ndarray:  # noqa: ANN401
        """Wall and processor time of an epoch, the median of all but the first, in which the stream is compiled."""
        clock: list[tuple[float, float]] = []
        note = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda *_: clock.append((time.perf_counter(), time.process_time()))
        )
        model.fit(data, steps_per_epoch=steps, epochs=4, verbose=0, shuffle=False, callbacks=[note])
        return np.asarray(np.median(np.diff(clock, axis=0), axis=0))

    there = tf.data.Dataset.from_tensors(constant).cache().repeat()
    seconds(there)
    ways = {"nothing": STILL, "flips and shifts": SHIFTS, "flips and crops": CROPS, "everything": EVERYTHING}
    found: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    bases = []
    for _ in range(rounds):
        for name, chosen in ways.items():
            bases.append(seconds(there))
            found[name].append(seconds(training_batches(store, recipe(128, chosen), 0)) / bases[-1])
    wall, processor = (
        {name: round(float(statistics.median(ratio[which] for ratio in ratios)), 2) for name, ratios in found.items()}
        for which in (0, 1)
    )
    ms = np.median(bases, axis=0) / steps / BATCH * 1000
    return {"wall": wall | {"ms": round(float(ms[0]), 2)}, "processor": processor | {"ms": round(float(ms[1]), 2)}}


def main() -> None:
    """Measures all of it and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=96)
    parser.add_argument("--epoch-fields", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found: dict[str, Any] = {
            "read": reading(folder, given.fields, given.rounds),
            "epoch": epochs(folder, given.epoch_fields, given.rounds, DOWNSAMPLE),
        }
    print(json.dumps(found), file=sys.stderr)
    table: dict[str, dict[str, float]] = {}
    for size in (128, 256):
        still = cost(size, {}, given.rounds)
        costs = {key: round(max(0.0, cost(size, vary, given.rounds) - still), 3) for key, vary in EACH.items()}
        table[f"{size} px, ms a field"] = {"to floats": round(still, 3), **costs}
    found["augmentation"] = table
    started = time.process_time()
    for number in range(10):
        simulate_field(number, seed=6, size=256)
    found["simulation, ms a field"] = round((time.process_time() - started) * 100, 1)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
