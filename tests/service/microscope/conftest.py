"""A run whose images the tests take, and its live page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.microscope.acquire import check_plan
from lociscope.microscope.board import Board
from lociscope.microscope.hardware import import_core
from lociscope.microscope.journal import Journal
from lociscope.microscope.loop import SteeringLoop
from lociscope.microscope.plan import Plan
from lociscope.microscope.rule_evaluator import RuleEvaluator
from lociscope.predict.predictor import open_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLAN: dict[str, Any] = {
    "mode": "propose",
    "microscope": {"config": "simulated", "frame": [32, 32]},
    "objectives": [{"name": "10x", "pixel_size": 5.12}],
    "channels": {name: {"preset": name, "exposure_ms": 100} for name in ("red", "green", "blue", "yellow")},
    "plate": {"a1": [0.0, 0.0], "wells": ["A1"], "sites": [1, 2], "z": 0.0},
    "rules": [{"when": "Nucleoli >= 0", "most": 6}],
    "limits": {"x": [-1000, 10000], "y": [-1000, 1000], "z": [-50, 50]},
}


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def loop(board: Board, tiny_bundle: Path, tmp_path: Path) -> Iterator[SteeringLoop]:
    """Two fields are imaged; each has a proposal."""
    import_core()
    plan = Plan.check(PLAN, "Plan 'test'")
    checked = check_plan(plan)
    predictor = open_bundle(tiny_bundle, threads=1)
    journal = Journal.open(tmp_path / "out", plan, predictor.bundle.sha256)
    assert plan.limits is not None
    rules = RuleEvaluator(plan, checked.scale, plan.limits)
    made = SteeringLoop(
        plan, checked.scale, checked.positions, predictor, rules, journal, lambda: 0.0, observers=[board]
    )
    rng = np.random.default_rng(0)
    with made:
        for number, event in enumerate(made.events()):
            made.add_image(rng.integers(0, 900, (32, 32)).astype(np.uint16), event, {})
            if number == 7:
                break
        made.worker.close()
        yield made
        made.stop()
