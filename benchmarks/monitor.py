"""How often drift is reported where nothing changed, which changes are found in 50 fields, and how they are named.

Claim: of 1,000 windows of unchanged fields of each size, at most 5 % raise an alarm. For each change of the microscope
the share of windows of 50 fields that raise an alarm is reported by strength, and how many of these name the change
among their causes, and as the first.

Unchanged windows are samples of the statistics, embeddings and locations that the shipped bundle's reference stores,
compared with a sample of the others, drawn anew each time. Windows of 5,000 fields are more than it has: there both
sides are drawn with replacement, with a fifth of the spread added as noise (a smoothed bootstrap), so that nothing
differs but chance. Changed fields are simulated, changed, measured and predicted once, each of another specimen;
windows are samples of them, compared with the shipped reference. That has no warnings about cropped cells, by which
another pixel size is named: it is compared with those of the same fields that are not in the window, unchanged.

    python benchmarks/monitor.py unchanged-20 gain --keep parts.json

measures parts, and keeps them; `python benchmarks/run.py monitor -- --keep parts.json` measures those that are missing,
and gathers all.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.bundle import read_bundle
from lociscope.artifacts.predictions import Predictions
from lociscope.images.field import Field
from lociscope.monitor import Sample, compare_samples
from lociscope.monitor.report import CauseKind
from lociscope.predict.predictor import BATCH_SIZE, Predictor, batched, open_bundle
from lociscope.prediction_log.rows import Window
from lociscope.processes.workers import map_in_order
from lociscope.simulate import simulate_field
from lociscope.simulate.field import FIELDS_PER_SPECIMEN
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    """Changes the pixels (y, x, 4) float32 of a field; the second argument is its place in the window, 0–1."""

POOL, SEED = 120, 500
UNCHANGED, CHANGED = 1000, 60
SIZES, LARGE = (20, 50, 200), 5000
SIZE = 50
SMOOTHING = 0.2
ALL = (0, 1, 2, 3)


def scale(factor: float, channels: Sequence[int] = (0,)) -> Change:
    """Multiply channels: gain."""

    def change(pixels: np.ndarray, place: float, rng: np.random.Generator) -> np.ndarray:
        pixels[..., list(channels)] *= factor
        return pixels

    return change


def expose(factor: float) -> Change:
    """Multiply all channels; with fewer photons (about 4 a grey level) their shot noise weighs more."""

    def change(pixels: np.ndarray, place: float, rng: np.random.Generator) -> np.ndarray:
        pixels *= factor
        if factor < 1:
            pixels += rng.normal(0, 1, pixels.shape) * np.sqrt(np.maximum(pixels / 4 * (1 - factor), 0))
        return pixels

    return change


def add(levels: float) -> Change:
    """Add grey levels to every pixel: offset."""
    return lambda pixels, place, rng: pixels + levels


def blur(width: float, channels: Sequence[int] = ALL) -> Change:
    """Blur by a Gaussian of so many px: defocus."""
    from scipy.ndimage import gaussian_filter

    def change(pixels: np.ndarray, place: float, rng: np.random.Generator) -> np.ndarray:
        for channel in channels:
            pixels[..., channel] = gaussian_filter(pixels[..., channel], width)
        return pixels

    return change


def add_noise(spread: float) -> Change:
    """Add Gaussian noise of so many grey levels."""
    return lambda pixels, place, rng: pixels + rng.normal(0, spread, pixels.shape)


def bleach(end: float) -> Change:
    """Let the red channel fade from the first field of the window to the last."""

    def change(pixels: np.ndarray, place: float, rng: np.random.Generator) -> np.ndarray:
        pixels[..., 0] *= 1 - (1 - end) * place
        return pixels

    return change


def reorder(order: Sequence[int]) -> Change:
    """Exchange channels."""
    return lambda pixels, place, rng: pixels[..., list(order)]


def blank(channel: int) -> Change:
    """Empty a channel."""
    return scale(0, (channel,))


def magnify(factor: float) -> Change:
    """Show the middle of the field on as many pixels, as an objective of a higher magnification does."""
    from PIL import Image

    def change(pixels: np.ndarray, place: float, rng: np.random.Generator) -> np.ndarray:
        side = len(pixels)
        edge = (side - round(side / factor)) // 2
        inner = np.moveaxis(pixels[edge : side - edge, edge : side - edge], -1, 0)
        planes = [
            Image.fromarray(np.ascontiguousarray(each)).resize((side, side), Image.Resampling.BICUBIC) for each in inner
        ]
        return np.stack([np.asarray(plane) for plane in planes], axis=-1)

    return change


CHANGES: dict[CauseKind, dict[str, Change]] = {
    CauseKind.GAIN: {f"red × {k}": scale(k) for k in (0.85, 0.7, 0.5, 1.4)} | {"blue × 0.7": scale(0.7, (2,))},
    CauseKind.EXPOSURE: {f"× {k}": expose(k) for k in (0.8, 0.65, 0.5, 1.5)},
    CauseKind.OFFSET: {f"+{o} grey levels": add(o) for o in (3, 6, 12)},
    CauseKind.DEFOCUS: {f"{s} px": blur(s) for s in (0.5, 0.8, 1.2, 2.0)} | {"red, 1.2 px": blur(1.2, (0,))},
    CauseKind.NOISE: {f"{s} grey levels": add_noise(s) for s in (1.5, 3, 6)},
    CauseKind.BLEACHING: {f"red to {e}": bleach(e) for e in (0.7, 0.4)},
    CauseKind.SWAPPED_CHANNELS: {
        "red and yellow": reorder((3, 1, 2, 0)),
        "green and blue": reorder((0, 2, 1, 3)),
        "red and blue": reorder((2, 1, 0, 3)),
    },
    CauseKind.EMPTY_CHANNEL: {"yellow": blank(3), "red": blank(0)},
    CauseKind.PIXEL_SIZE: {f"magnified × {z}": magnify(z) for z in (1.25, 1.5, 2.0)},
}


def measure(predictor: Predictor, fields: Sequence[Field], change: Change) -> Sample:
    """Prepare and predict fields as they would have come through a changed microscope."""
    rng = np.random.default_rng(0)
    places = np.linspace(0, 1, len(fields))
    shown = [
        Field(
            each.id,
            np.clip(np.rint(change(each.pixels.astype(np.float32), place, rng)), 0, 255).astype(np.uint8),
            each.pixel_size,
        )
        for each, place in zip(fields, places, strict=True)
    ]
    statistics, calls = [], []
    for some in batched(shown, BATCH_SIZE):
        prepared = [predictor.prepare(each) for each in some]
        statistics += [each.statistics for each in prepared]
        calls.append(predictor.run(prepared, embeddings=True))
    made, n = Predictions.join(calls), len(fields)
    window = Window(made, np.stack(statistics), [predictor.bundle.sha256] * n, [""] * n, ["predict"] * n)
    return Sample.from_log(window, "the pool")


def smooth(sample: Sample, n: int, rng: np.random.Generator) -> Sample:
    """Return n fields of a smoothed bootstrap of a sample."""
    made = sample.take(rng.integers(len(sample), size=n))

    def jitter(table: np.ndarray | None) -> np.ndarray | None:
        return None if table is None else table + SMOOTHING * table.std(axis=0) * rng.normal(size=table.shape)

    ids = [str(number) for number in range(n)]
    return replace(made, ids=ids, statistics=jitter(made.statistics), embedding=jitter(made.embedding))


def share(alarms: Sequence[bool]) -> dict[str, float | int]:
    """Return how many raised an alarm, with Clopper and Pearson's 95 % interval."""
    from scipy.stats import binomtest

    interval = binomtest(sum(alarms), len(alarms)).proportion_ci(0.95, method="exact")
    return {
        "share": round(sum(alarms) / len(alarms), 3),
        "low": round(float(interval.low), 3),
        "high": round(float(interval.high), 3),
        "windows": len(alarms),
    }


def count_false_alarms(pool: Sample, size: int, windows: int) -> dict[str, float | int]:
    """Compare windows of unchanged fields with others of the same kind."""
    rng = np.random.default_rng(size)
    alarms = []
    for number in range(windows):
        if size <= len(pool) // 2 + 10:
            order = rng.permutation(len(pool))
            window, reference = pool.take(order[:size]), pool.take(order[size:])
        else:
            window, reference = smooth(pool, size, rng), smooth(pool, size // 2, rng)
        alarms.append(compare_samples(window, reference, seed=number).drifted)
    return share(alarms)


def find_changes(
    changed: Sample, reference: Sample | Callable[[np.ndarray], Sample], kind: CauseKind, size: int, windows: int
) -> dict[str, float | int]:
    """Compare windows of changed fields with the reference: how many raise an alarm, and name the change.

    The reference may be a function of the rows that the window takes, for a pool that is reference and window.
    """
    rng = np.random.default_rng(1)
    found = []
    for number in range(windows):
        rows = np.sort(rng.permutation(len(changed))[:size])
        against = reference if isinstance(reference, Sample) else reference(rows)
        drift = compare_samples(changed.take(rows), against, seed=number)
        if drift.drifted:
            found.append([cause.kind for cause in drift.causes])
    named, first = sum(kind in kinds for kinds in found), sum(kinds[:1] == [kind] for kinds in found)
    alarms = max(len(found), 1)
    return {
        "alarms": round(len(found) / windows, 2),
        "named": round(named / alarms, 2) if found else 0,
        "named first": round(first / alarms, 2) if found else 0,
    }


class Measured:
    """The parts that were measured; with a file, another run measures only those that are missing.

    Args:
        path: The file; None keeps them in memory alone.
        settings: What the figures depend on; parts of other settings are not used.
    """

    def __init__(self, path: Path | None, settings: dict[str, object]) -> None:
        self.path, self.settings = path, settings
        kept = json.loads(path.read_text(encoding="utf-8")) if path is not None and path.is_file() else {}
        self.parts: dict[str, dict[str, float | int]] = kept["parts"] if kept.get("settings") == settings else {}

    def get(self, name: str, measure: Callable[[], dict[str, float | int]]) -> dict[str, float | int]:
        """Return a part, measured now if it is missing."""
        if name not in self.parts:
            self.parts[name] = measure()
            print(f"{name}: {json.dumps(self.parts[name])}", file=sys.stderr, flush=True)
            if self.path is not None:
                with atomic_write(self.path) as part:
                    part.write_text(json.dumps({"settings": self.settings, "parts": self.parts}), encoding="utf-8")
        return self.parts[name]


def find_all_changes(
    kinds: Sequence[CauseKind], given: argparse.Namespace, reference: Sample, measured: Measured
) -> dict[str, dict[str, dict[str, float | int]]]:
    """Measure the strengths of the kinds of change; the fields are simulated once, if a part is missing."""

    @cache
    def simulate() -> tuple[Predictor, list[Field]]:
        numbers = range(0, given.pool * FIELDS_PER_SPECIMEN, FIELDS_PER_SPECIMEN)
        made = map_in_order(partial(simulate_field, seed=SEED), numbers, given.workers)
        return open_bundle(), [Field(each.id, each.pixels, each.pixel_size) for each in made]

    @cache
    def measure_unchanged() -> Sample:
        return measure(*simulate(), lambda pixels, place, rng: pixels)

    def take_others(rows: np.ndarray) -> Sample:
        return measure_unchanged().take(np.setdiff1d(np.arange(given.pool), rows))

    def find(kind: CauseKind, change: Change) -> dict[str, float | int]:
        against = take_others if kind is CauseKind.PIXEL_SIZE else reference
        return find_changes(measure(*simulate(), change), against, kind, SIZE, given.changed)

    return {
        kind.value: {
            name: measured.get(f"{kind.value}, {name}", partial(find, kind, change))
            for name, change in CHANGES[kind].items()
        }
        for kind in kinds
    }


def main() -> None:
    """Measure and print JSON."""
    sizes = {f"unchanged-{size}": size for size in (*SIZES, LARGE)}
    kinds = {kind.value: kind for kind in CHANGES}
    parser = argparse.ArgumentParser(description="False alarms, found changes and named causes.")
    parser.add_argument("parts", nargs="*", help=f"parts to measure, by default all: {', '.join([*sizes, *kinds])}")
    parser.add_argument("--keep", type=Path, help="JSON file of the parts that were measured; missing ones are added")
    parser.add_argument("--pool", type=int, default=POOL, help="fields simulated")
    parser.add_argument("--unchanged", type=int, default=UNCHANGED, help="unchanged windows of each size")
    parser.add_argument("--changed", type=int, default=CHANGED, help="windows of each change")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    parts = given.parts or [*sizes, *kinds]
    if unknown := {*parts} - {*sizes, *kinds}:
        parser.error(f"{min(unknown)!r} is not a part; choose from {', '.join([*sizes, *kinds])}")
    bundle = read_bundle()
    reference = Sample.from_bundle(bundle)
    settings = {"bundle": bundle.sha256, "pool": given.pool, "unchanged": given.unchanged, "changed": given.changed}
    measured = Measured(given.keep, settings)
    false_alarms = {
        str(size): measured.get(name, partial(count_false_alarms, reference, size, given.unchanged))
        for name, size in sizes.items()
        if name in parts
    }
    changes = find_all_changes([kind for name, kind in kinds.items() if name in parts], given, reference, measured)
    print(json.dumps({"false alarms by window size": false_alarms, f"found in {SIZE} fields": changes, "most": 0.05}))


if __name__ == "__main__":
    main()
