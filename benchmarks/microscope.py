"""A microscope that predictions steer: its cost for the camera, the delay of decisions, and the fields that it finds.

Claims: with the predictor beside the camera at least 0.97 of the events per second are done that are done without it
(pictures are written in both), on Micro-Manager's DemoCamera and at 0.3 s a field on the simulated microscope, whose
frames are simulated beforehand. On `PLATES` simulated plates of 24 wells (5 by default), an overview and one rule find
more wanted fields per minute than a raster scan of the whole plate in no more time, both at twice the zoom of the
overview. A field is wanted where its well's antibody has the location; five locations take turns, the rule is "its
probability reaches the bundle's own threshold", and minutes are the simulated microscope's, by the plan's timing. The
interval is a 90 % bootstrap over plates. "Degraded" adds noise to the log odds of the location, so much that under a
binormal model the area under the ROC curve would fall from the bundle's on simulated fields to that on real fields
(0.93 to 0.84, `card.json`); the curve of the five locations, whose area is printed, falls less. "Perfect" knows the
locations: its ratio is what this plate and timing allow. Autofocus finds the focus of simulated wells from 10 µm away
within 1 µm for 95 % of the trials.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import re
import statistics
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.channels import CHANNEL_NAMES, RED
from lociscope.images.field import Field
from lociscope.images.io.write import write_ome_zarr
from lociscope.labels import LABELS
from lociscope.microscope.acquire import check_plan, run_plan
from lociscope.microscope.autofocus import find_sharpest, measure_sharpness
from lociscope.microscope.describe import estimate_seconds
from lociscope.microscope.engine import StrictEngine
from lociscope.microscope.focus import FocusController
from lociscope.microscope.hardware import open_microscope
from lociscope.microscope.plan import Plan
from lociscope.microscope.positions import Position, make_events, plan_positions
from lociscope.microscope.sections import Limits
from lociscope.microscope.simulated.specimen import SimulatedPlate, View
from lociscope.predict.predictor import Predictor, open_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import useq

    from lociscope.artifacts.predictions import Predictions
    from lociscope.predict.predictor import PreparedField

ROUNDS = int(os.environ.get("ROUNDS", "3"))
WELLS = int(os.environ.get("WELLS", "6"))
PLATES = int(os.environ.get("PLATES", "5"))
WANTED = ("Nucleoli", "Mitochondria", "Golgi apparatus", "Plasma membrane", "Nuclear speckles")
AUC_SIMULATED, AUC_REAL = 0.929, 0.84
"""Macro-AUC of the shipped bundle on simulated fields and on real ones, of its card."""
FOCUS_WELLS = 4
NEVER = "Nucleoli >= 1 and status = unsure"
LIMITS = {"x": [-1000, 120000], "y": [-80000, 1000], "z": [-50, 50]}


def demo_plan() -> dict[str, Any]:
    """Two fields a well under DemoCamera, exposed for 50 ms a channel."""
    presets = dict(zip(CHANNEL_NAMES, ("Rhodamine", "FITC", "DAPI", "Cy5"), strict=True))
    return {
        "microscope": {"config": "demo", "frame": [512, 512]},
        "objectives": [{"name": "20x", "label": "Nikon 20X Plan Fluor ELWD", "pixel_size": 0.32}],
        "channels": {name: {"preset": preset, "exposure_ms": 50} for name, preset in presets.items()},
        "plate": {"a1": [0.0, 0.0], "wells": [f"A1:A{WELLS}"], "sites": [1, 2]},
        "rules": [{"when": NEVER, "most": 1}],
        "limits": LIMITS,
    }


def simulated_plan(pace: float = 0.0) -> dict[str, Any]:
    """The same under the simulated microscope, at a pace of the plan's time; 0 is as fast as it can."""
    return demo_plan() | {
        "microscope": {"config": "simulated", "frame": [256, 256], "timeout_s": 300},
        "objectives": [{"name": "10x", "pixel_size": 0.64}],
        "channels": {name: {"preset": name, "exposure_ms": 100} for name in CHANNEL_NAMES},
        "specimen": {"pace": pace},
    }


def pace_of(field_s: float) -> float:
    """Return the pace at which a field of the simulated plan takes so many seconds, with the travel to it."""
    plan = Plan.check(simulated_plan(), "the benchmark's plan")
    positions = check_plan(plan).positions
    return field_s * len(positions) / estimate_seconds(plan, positions)


@contextmanager
def simulated_beforehand() -> Iterator[None]:
    """Show the same four frames everywhere, which take no time."""
    plan = Plan.check(simulated_plan(), "the benchmark's plan")
    plate, position = SimulatedPlate(plan, 0.64), check_plan(plan).positions[0]
    view, rng = View(position.x, position.y, 0.0, 0.64, 256, 100.0), np.random.default_rng(0)
    frames = [plate.take_image(view, channel, rng) for channel in range(len(CHANNEL_NAMES))]
    take_image, count_cells = SimulatedPlate.take_image, SimulatedPlate.count_cells
    SimulatedPlate.take_image = lambda self, view, channel, rng, *, lit=True: frames[channel]  # type: ignore[method-assign]
    SimulatedPlate.count_cells = lambda self, view: 0  # type: ignore[method-assign]
    try:
        yield
    finally:
        SimulatedPlate.take_image, SimulatedPlate.count_cells = take_image, count_cells  # type: ignore[method-assign]


def without(plan: Plan, out: Path) -> float:
    """Events per second of the same pictures, taken and written without anybody looking at them."""
    checked = check_plan(plan)
    limits = plan.limits or Limits.model_validate(LIMITS)
    fields: queue.SimpleQueue[tuple[str, np.ndarray] | None] = queue.SimpleQueue()
    parts: list[np.ndarray] = []

    def add_image(image: np.ndarray, event: useq.MDAEvent, meta: object) -> None:
        parts.append(image)
        if len(parts) == len(CHANNEL_NAMES):
            fields.put((str(event.pos_name), np.moveaxis(np.stack(parts), 0, -1)))
            parts.clear()

    def keep() -> None:
        for name, pixels in iter(fields.get, None):
            write_ome_zarr(out / f"{name}.ome.zarr", Field(name, pixels, 1.0))

    with open_microscope(plan, checked.scale) as session:
        session.core.mda.set_engine(StrictEngine(session.core, limits, FocusController(session.core, plan)))
        session.core.mda.events.frameReady.connect(add_image)
        writer = threading.Thread(target=keep)
        writer.start()
        began = time.perf_counter()
        session.core.mda.run(event for position in checked.positions for event in make_events(position, plan))
        spent = time.perf_counter() - began
        fields.put(None)
        writer.join()
    return len(CHANNEL_NAMES) * len(checked.positions) / spent


def with_loop(plan: Plan, predictor: Predictor, out: Path) -> tuple[float, list[float]]:
    """Events per second with the predictor beside the camera, and how late each decision came."""
    result = run_plan(check_plan(plan), predictor, out)
    if result.error is not None:
        raise SystemExit(str(result.error))
    return len(CHANNEL_NAMES) * result.fields / result.camera_s, result.decision_seconds


def speed(values: dict[str, Any], predictor: Predictor, folder: Path) -> dict[str, Any]:
    """Both, in turn; the first round, which draws the cells and warms the caches, is left out."""
    plan = Plan.check(values, "the benchmark's plan")
    ratios, late, rates = [], [], []
    for number in range(ROUNDS + 1):
        bare = without(plan, folder / f"bare{number}")
        steered, seconds_late = with_loop(plan, predictor, folder / f"loop{number}")
        if number:
            ratios.append(steered / bare)
            rates.append(steered)
            late += seconds_late
    p50, p95 = (float(np.percentile(late, at)) for at in (50, 95))
    return {
        "events per second with the loop ÷ without": round(statistics.median(ratios), 3),
        "low": round(min(ratios), 3),
        "high": round(max(ratios), 3),
        "least": 0.97,
        "events per second": round(statistics.median(rates), 1),
        "frame to decision, ms, p50": round(1000 * p50, 1),
        "p95": round(1000 * p95, 1),
        "fields": len(late),
    }


class AlteredPredictor:
    """The bundle with the log odds of each field changed.

    Args:
        predictor: The bundle.
        change: Returns the probabilities (28,) of a field from its name.
    """

    def __init__(self, predictor: Predictor, change: Callable[[str], np.ndarray]) -> None:
        self._predictor, self._change = predictor, change

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the predictor has
        return getattr(self._predictor, name)

    def run(self, fields: Sequence[PreparedField], *, embeddings: bool = False) -> Predictions:
        """Predict prepared fields."""
        row = self._predictor.run(fields, embeddings=embeddings)
        probability = np.stack([self._change(name) for name in row.ids]).astype(np.float32)
        return replace(row, probability=probability)


@dataclass
class Screened:
    """One simulated plate: its plan, the wanted location, the truth, and the predictions of the overview."""

    plan: Plan
    location: int
    truth: SimulatedPlate
    probability: dict[str, np.ndarray]

    def is_wanted(self, well: str) -> bool:
        """Return whether the antibody of a well has the location."""
        return self.location in self.truth.target(well)


def screen(plate: int, predictor: Predictor, folder: Path) -> tuple[dict[str, float], Screened]:
    """Image one plate with the rule."""
    location = WANTED[plate % len(WANTED)]
    threshold = predictor.bundle.card.decide.thresholds[LABELS.index(location)]
    values = simulated_plan() | {
        "microscope": {"config": "simulated", "frame": [256, 256], "timeout_s": 300},
        "objectives": [{"name": "10x", "pixel_size": 0.64}, {"name": "20x", "pixel_size": 0.32}],
        "plate": {"a1": [0.0, 0.0], "wells": ["A1:D6"], "z": 0.0},
        "rules": [{"when": f"{location} >= {threshold}", "zoom": 2, "sites": 4, "most": 96}],
        "specimen": {"seed": 1000 + plate},
    }
    plan = Plan.check(values, "the benchmark's plan")
    screened = Screened(plan, LABELS.index(location), SimulatedPlate(plan, 0.32), {})
    counted = count_found(screened, predictor, folder / f"plate{plate}")
    for line in read_lines(folder / f"plate{plate}"):
        if not line["rule"]:
            screened.probability[line["field"]] = np.array(line["probability"], float)
    return counted, screened


def screen_again(
    screened: Screened, predictor: Predictor, folder: Path, change: Callable[[str], np.ndarray]
) -> dict[str, float]:
    """Image a plate with other probabilities; its frames do not matter then."""
    altered: Any = AlteredPredictor(predictor, change)
    with simulated_beforehand():
        return count_found(screened, altered, folder)


def count_found(screened: Screened, predictor: Predictor, folder: Path) -> dict[str, float]:
    """Run the plan; return wanted fields and minutes of the rule, and of a raster that has the same minutes."""
    plan = screened.plan
    result = run_plan(check_plan(plan), predictor, folder)
    if result.error is not None:
        raise SystemExit(str(result.error))
    lines = read_lines(folder)
    again = [line for line in lines if line["rule"]]
    spent = max(line["at_s"] for line in lines)
    raster, raster_s = raster_scan(plan, spent)
    wells = [line["well"] for line in lines if not line["rule"]]
    return {
        "minutes": spent / 60,
        "found": sum(screened.is_wanted(line["well"]) for line in again),
        "raster": sum(screened.is_wanted(position.well) for position in raster),
        "raster minutes": raster_s / 60,
        "again": len(again),
        "share": sum(map(screened.is_wanted, wells)) / len(wells),
    }


def read_lines(folder: Path) -> list[dict[str, Any]]:
    """Return the decisions of a run."""
    return [json.loads(line) for line in (folder / "decisions.jsonl").read_text().splitlines()]


def degrade(plates: Sequence[Screened], plate: Screened) -> Callable[[str], np.ndarray]:
    """Return the probabilities of a plate's fields with noise on the log odds of the location."""
    odds, wanted = gather_odds(plates)
    spread = np.sqrt((odds[wanted].var() * wanted.sum() + odds[~wanted].var() * (~wanted).sum()) / len(odds))
    normal = statistics.NormalDist()
    extra = (normal.inv_cdf(AUC_SIMULATED) / normal.inv_cdf(AUC_REAL)) ** 2 - 1

    def change(name: str) -> np.ndarray:
        found = plate.probability.get(name)
        changed = np.full(len(LABELS), 0.01) if found is None else found.copy()
        noise = np.random.default_rng([plate.plan.specimen.seed, *name.encode()]).normal(0, spread * np.sqrt(extra))
        odds = np.log(np.clip(changed[plate.location], 1e-6, 1 - 1e-6) ** -1 - 1) - noise
        changed[plate.location] = 1 / (1 + np.exp(odds))
        return changed

    return change


def know(plate: Screened) -> Callable[[str], np.ndarray]:
    """Return the probabilities of a perfect model."""
    return lambda name: np.isin(np.arange(len(LABELS)), plate.truth.target(re.split("[_-]", name)[0])).astype(float)


def gather_odds(plates: Sequence[Screened]) -> tuple[np.ndarray, np.ndarray]:
    """Return the log odds of the wanted location in each field of the overview, and whether the field is wanted."""
    found = [
        (row[plate.location], plate.is_wanted(name.partition("_")[0]))
        for plate in plates
        for name, row in plate.probability.items()
    ]
    probability = np.clip([each for each, _ in found], 1e-6, 1 - 1e-6)
    return np.log(probability / (1 - probability)), np.array([wanted for _, wanted in found])


def measure_auc(odds: np.ndarray, wanted: np.ndarray) -> float:
    """Return the area under the ROC curve."""
    return float((odds[wanted][:, None] > odds[~wanted]).mean())


def against_raster(predictor: Predictor, folder: Path) -> dict[str, Any]:
    """The shipped bundle, the degraded one and a perfect one on the same plates."""
    counted, plates = zip(*(screen(plate, predictor, folder) for plate in range(PLATES)), strict=True)
    found: dict[str, Any] = {"shipped": benefit(list(counted))}
    found["shipped"]["area under the ROC curve"] = round(measure_auc(*gather_odds(plates)), 3)
    changes = {"degraded": [degrade(plates, each) for each in plates], "perfect": [know(each) for each in plates]}
    for kind, changed in changes.items():
        counts = [
            screen_again(plate, predictor, folder / f"{kind}{number}", change)
            for number, (plate, change) in enumerate(zip(plates, changed, strict=True))
        ]
        found[kind] = benefit(counts)
        altered = [
            replace(plate, probability={name: change(name) for name in plate.probability})
            for plate, change in zip(plates, changed, strict=True)
        ]
        found[kind]["area under the ROC curve"] = round(measure_auc(*gather_odds(altered)), 3)
    return found


def autofocus() -> dict[str, Any]:
    """Distance from the focus, after looking for it from up to 10 µm away in simulated wells."""
    values = simulated_plan() | {"plate": {"a1": [0.0, 0.0], "wells": [f"A1:A{FOCUS_WELLS}"], "z": 0.0}}
    plan = Plan.check(values, "the benchmark's plan")
    plate, rng = SimulatedPlate(plan, 0.64), np.random.default_rng(1)
    missed: list[float] = []
    for position in check_plan(plan).positions:

        def measure(z: float, position: Position = position) -> float:
            view = View(position.x, position.y, z, 0.64, 256, 100.0)
            return measure_sharpness(plate.take_image(view, RED, rng))

        for start in rng.uniform(-10, 10, 3):
            found = find_sharpest(measure, float(start), 15.0)
            missed.append(np.inf if found is None else abs(found))
    p50, p95 = (float(np.percentile(missed, at)) for at in (50, 95))
    return {"trials": len(missed), "residual, µm, p50": round(p50, 2), "p95": round(p95, 2), "most": 1.0}


def raster_scan(plan: Plan, most: float) -> tuple[list[Position], float]:
    """Fields at twice the zoom, side by side in each well, as many a well as `most` seconds allow for every well.

    Returns:
        The fields, and the seconds that they take: the raster is not charged for time that it does not use.
    """
    fine = plan.model_copy(update={"objectives": plan.objectives[::-1]})
    scale = check_plan(plan).scale
    best: tuple[list[Position], float] = ([], 0.0)
    for columns in count(1):
        plate = fine.plate.model_copy(update={"sites": (1, columns)})
        positions = plan_positions(fine.model_copy(update={"plate": plate}), scale)
        spent = estimate_seconds(plan, positions)
        if best[0] and spent > most:
            return best
        best = (positions, spent)
    raise AssertionError


def benefit(plates: list[dict[str, float]]) -> dict[str, Any]:
    """Wanted fields a minute of both, and their ratio with a 90 % bootstrap interval over plates."""
    keys = ("found", "minutes", "raster", "raster minutes", "again", "share")
    table = np.array([[plate[key] for key in keys] for plate in plates])
    draws = table[np.random.default_rng(0).integers(0, len(table), (2000, len(table)))].sum(1)
    found, minutes, raster, raster_minutes, again, share = table.sum(0)
    ratios = draws[:, 0] / draws[:, 1] / np.maximum(draws[:, 2] / draws[:, 3], 1e-9)
    low, high = np.percentile(ratios, (5, 95))
    return {
        "plates": len(table),
        "wanted fields a minute with the rule": round(found / minutes, 2),
        "with the raster": round(raster / raster_minutes, 2),
        "ratio": round(found / minutes / max(raster / raster_minutes, 1e-9), 2),
        "low": round(float(low), 2),
        "high": round(float(high), 2),
        "precision of the rule": round(found / max(again, 1), 2),
        "share of wells that are wanted": round(share / len(table), 3),
    }


def main() -> None:
    """Measures and prints JSON."""
    logging.disable(logging.WARNING)
    predictor = open_bundle()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found["DemoCamera"] = speed(demo_plan(), predictor, folder / "demo")
        with simulated_beforehand():
            found["simulated, 0.3 s a field"] = speed(simulated_plan(pace_of(0.3)), predictor, folder / "paced")
        found["autofocus"] = autofocus()
        found["against a raster"] = against_raster(predictor, folder)
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
