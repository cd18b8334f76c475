"""How often drift is reported where nothing changed, and how often where something did.

Claim: of 1,000 windows of unchanged simulated fields, 250 of each size, at most 5 % raise an alarm. For three shifts
(the green channel at 0.7 of its gain, all channels blurred by 0.32 µm, red and yellow swapped) the detection rate is
reported by window size, without a claim.

Fields are simulated, shifted, measured and predicted once, each of another specimen; every window is a random sample
of them without replacement. Unchanged windows are compared twice: with fields of the same pool that are not in the
window, sampled anew each time, and with the shipped bundle's reference, which is the same for all of them, so that
those alarms occur together or not at all.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.predictions import Predictions
from lociscope.images.field import Field
from lociscope.monitor import Sample, compare_samples
from lociscope.predict.predictor import BATCH_SIZE, Predictor, batched, open_bundle
from lociscope.prediction_log.log import Window
from lociscope.processes.workers import map_in_order
from lociscope.simulate import simulate_field
from lociscope.simulate.field import FIELDS_PER_SPECIMEN

if TYPE_CHECKING:
    from collections.abc import Callable

POOL, REFERENCE, SEED = 480, 300, 500
SIZES = (10, 20, 50, 100)
WINDOWS, SHIFTED = 250, 100


def dimmer(pixels: np.ndarray) -> np.ndarray:
    """The green channel at 0.7 of its gain."""
    made = pixels.copy()
    made[..., 1] = np.rint(0.7 * made[..., 1])
    return made


def blurred(pixels: np.ndarray) -> np.ndarray:
    """Every channel blurred by a Gaussian of 1 px, 0.32 µm."""
    from scipy.ndimage import gaussian_filter

    return np.asarray(np.rint(gaussian_filter(pixels.astype(np.float32), (1, 1, 0))), pixels.dtype)


def swapped(pixels: np.ndarray) -> np.ndarray:
    """Red and yellow in each other's place."""
    return pixels[..., [3, 1, 2, 0]]


SHIFTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "green at 0.7": dimmer,
    "blurred by 0.32 µm": blurred,
    "red and yellow swapped": swapped,
}


def measured(predictor: Predictor, fields: list[Field], shift: Callable[[np.ndarray], np.ndarray] | None) -> Sample:
    """Prepares and predicts fields as they would have come through a shifted microscope."""
    statistics, calls = [], []
    for some in batched(fields, BATCH_SIZE):
        shown = [each if shift is None else Field(each.id, shift(each.pixels), each.pixel_size) for each in some]
        prepared = [predictor.prepare(each) for each in shown]
        statistics += [each.statistics for each in prepared]
        calls.append(predictor.run(prepared, embeddings=True))
    made = Predictions.join(calls)
    n = len(made)
    window = Window(made, np.stack(statistics), [predictor.bundle.sha256] * n, [""] * n, ["predict"] * n)
    return Sample.from_log(window, "the pool")


def some_of(sample: Sample, rows: np.ndarray) -> Sample:
    """The given rows."""
    if sample.statistics is None or sample.embedding is None:
        raise AssertionError("the pool has both")
    ids = [sample.ids[row] for row in rows]
    return Sample(
        sample.name, ids, sample.locations[rows], sample.statistics[rows], sample.embedding[rows], sample.bundle
    )


def share(alarms: list[bool]) -> dict[str, float | int]:
    """How many raised an alarm, with Clopper and Pearson's 95 % interval."""
    from scipy.stats import binomtest

    interval = binomtest(sum(alarms), len(alarms)).proportion_ci(0.95, method="exact")
    return {
        "share": round(sum(alarms) / len(alarms), 3),
        "low": round(float(interval.low), 3),
        "high": round(float(interval.high), 3),
        "windows": len(alarms),
    }


def main() -> None:
    """Measures and prints JSON."""
    parser = argparse.ArgumentParser(description="Share of windows that raise an alarm.")
    parser.add_argument("--pool", type=int, default=POOL, help="fields simulated")
    parser.add_argument("--windows", type=int, default=WINDOWS, help="unchanged windows of each size")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    numbers = range(0, given.pool * FIELDS_PER_SPECIMEN, FIELDS_PER_SPECIMEN)
    simulated = map_in_order(partial(simulate_field, seed=SEED), numbers, given.workers)
    fields = [Field(made.id, made.pixels, made.pixel_size) for made in simulated]
    predictor = open_bundle()
    pool = measured(predictor, fields, None)
    shipped = Sample.from_bundle(predictor.bundle)
    rng = np.random.default_rng(0)
    most = given.pool * REFERENCE // POOL

    sizes = [size for size in SIZES if size + most <= given.pool]

    def alarms(window: Sample, windows: int, reference: Sample | None = None) -> dict[str, dict[str, float | int]]:
        raised: dict[int, list[bool]] = {size: [] for size in sizes}
        for size, found in raised.items():
            for number in range(windows):
                order = rng.permutation(given.pool)
                against = some_of(pool, order[size : size + most]) if reference is None else reference
                found.append(compare_samples(some_of(window, order[:size]), against, seed=number).drifted)
        every = [alarm for found in raised.values() for alarm in found]
        return {"all": share(every)} | {str(size): share(found) for size, found in raised.items()}

    found = {
        "unchanged": alarms(pool, given.windows),
        "unchanged, against the shipped reference": alarms(pool, given.windows, shipped),
    }
    for name, shift in SHIFTS.items():
        by_size = alarms(measured(predictor, fields, shift), min(given.windows, SHIFTED))
        found[name] = {size: alarm for size, alarm in by_size.items() if size != "all"}
    print(json.dumps({"share of windows with an alarm": found, "reference": most, "pool": given.pool, "most": 0.05}))


if __name__ == "__main__":
    main()
