"""A microscope that predictions steer: its cost for the camera, the delay of decisions, and the fields that it finds.

Claims: with the predictor beside the camera at least 0.9 of the events per second are done that are done without it
(pictures are written in both), on Micro-Manager's DemoCamera and on the simulated microscope whose cells are simulated
beforehand. On 5 simulated plates of 24 wells (`PLATES=20` measures more), an overview and one rule find more wanted
fields per minute than a raster scan of the whole plate in no more time, both at twice the zoom of the overview. A
field is wanted where its well's antibody has the location; five locations take turns, the rule is "its probability
reaches the bundle's own threshold", and minutes are the simulated microscope's, by the plan's timing. The interval is
a 90 % bootstrap over plates.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import statistics
import tempfile
import threading
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.channels import CHANNEL_NAMES
from lociscope.images.field import Field
from lociscope.images.io.write import write_ome_tiff
from lociscope.labels import LABELS
from lociscope.microscope.acquire import check_plan, run_plan
from lociscope.microscope.describe import estimate_seconds
from lociscope.microscope.engine import StrictEngine
from lociscope.microscope.focus import FocusController
from lociscope.microscope.hardware import open_microscope
from lociscope.microscope.plan import Plan
from lociscope.microscope.positions import Position, make_events, plan_positions
from lociscope.microscope.sections import Limits
from lociscope.microscope.simulated import mosaic
from lociscope.microscope.simulated.specimen import SimulatedPlate
from lociscope.predict.predictor import Predictor, open_bundle

if TYPE_CHECKING:
    import useq

    from lociscope.simulate.specimen import Specimen

ROUNDS = int(os.environ.get("ROUNDS", "3"))
WELLS = int(os.environ.get("WELLS", "6"))
PLATES = int(os.environ.get("PLATES", "5"))
WANTED = ("Nucleoli", "Mitochondria", "Golgi apparatus", "Plasma membrane", "Nuclear speckles")
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
        "microscope": {"config": "simulated", "frame": [256, 256]},
        "objectives": [{"name": "10x", "pixel_size": 0.64}],
        "channels": {name: {"preset": name, "exposure_ms": 100} for name in CHANNEL_NAMES},
        "specimen": {"pace": pace},
    }


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
            write_ome_tiff(out / f"{name}.ome.tif", Field(name, pixels, 1.0))

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
        "least": 0.9,
        "events per second": round(statistics.median(rates), 1),
        "frame to decision, ms, p50": round(1000 * p50, 1),
        "p95": round(1000 * p95, 1),
        "fields": len(late),
    }


def screen(plate: int, predictor: Predictor, folder: Path) -> dict[str, float]:
    """One plate: wanted fields and minutes of the rule, and of a raster that has the same minutes."""
    location = WANTED[plate % len(WANTED)]
    threshold = predictor.bundle.card.decide.thresholds[LABELS.index(location)]
    values = simulated_plan() | {
        "microscope": {"config": "simulated", "frame": [256, 256]},
        "objectives": [{"name": "10x", "pixel_size": 0.64}, {"name": "20x", "pixel_size": 0.32}],
        "plate": {"a1": [0.0, 0.0], "wells": ["A1:D6"], "z": 0.0},
        "rules": [{"when": f"{location} >= {threshold}", "zoom": 2, "sites": 4, "most": 96}],
        "specimen": {"seed": 1000 + plate},
    }
    plan = Plan.check(values, "the benchmark's plan")
    run_plan(check_plan(plan), predictor, folder / f"plate{plate}")
    lines = [json.loads(line) for line in (folder / f"plate{plate}" / "decisions.jsonl").read_text().splitlines()]
    truth = SimulatedPlate(plan, 0.32)
    number = LABELS.index(location)
    again = [line for line in lines if line["rule"]]
    spent = max(line["at_s"] for line in lines)
    found = sum(number in truth.target(line["well"]) for line in again)
    raster, raster_s = raster_scan(plan, spent)
    hits = sum(number in truth.target(position.well) for position in raster)
    wells = [line["well"] for line in lines if not line["rule"]]
    return {
        "minutes": spent / 60,
        "found": found,
        "raster": hits,
        "raster minutes": raster_s / 60,
        "again": len(again),
        "share": sum(number in truth.target(well) for well in wells) / len(wells),
    }


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
    render = mosaic.render_tile
    tiles: dict[object, mosaic.Tile] = {}

    def render_cached(key: tuple[int, ...], specimen: Specimen, pixel_size: float) -> mosaic.Tile:
        if (key, pixel_size) not in tiles:
            tiles[key, pixel_size] = render(key, specimen, pixel_size)
        return tiles[key, pixel_size]

    predictor = open_bundle()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found["DemoCamera"] = speed(demo_plan(), predictor, folder / "demo")
        mosaic.render_tile = render_cached
        found["simulated, four times as fast as its plan says"] = speed(
            simulated_plan(0.25), predictor, folder / "paced"
        )
        found["simulated, as fast as it renders"] = speed(simulated_plan(), predictor, folder / "simulated")
        mosaic.render_tile = render
        found["against a raster"] = benefit([screen(plate, predictor, folder) for plate in range(PLATES)])
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
