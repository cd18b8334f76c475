"""Fields whose image is bad are imaged again; rules look at the new image."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.microscope.acquire import check_plan, run_plan
from lociscope.microscope.corrections import find_correction
from lociscope.microscope.simulated.specimen import SimulatedPlate, View
from lociscope.predict.predictor import open_bundle
from lociscope.warnings import FieldWarning, WarningKind

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.microscope.positions import Position

BRIGHT = (FieldWarning(WarningKind.SATURATED, ("green",)), FieldWarning(WarningKind.SATURATED, ("yellow",)))
BLURRED = (FieldWarning(WarningKind.UNSHARP, ("red",)),)


def correct(position: Position, warnings: tuple[FieldWarning, ...], plan: Any) -> Position | None:
    decision = find_correction(position, warnings, plan)
    return None if decision is None else decision.requests[0].position


@pytest.fixture
def plan(make_plan: Any) -> Any:
    return make_plan({"quality.shorten": 3, "quality.shortest_ms": 20.0, "quality.autofocus_um": 5.0})


def test_only_saturated_channels_get_half_the_exposure_until_the_shortest(plan: Any) -> None:
    position: Position | None = check_plan(plan).positions[0]
    exposures, names = [], []
    while position is not None:
        position = correct(position, BRIGHT, plan)
        if position is not None:
            names.append(position.id)
            exposures.append(position.exposures)
            assert (position.of, position.is_judged) == ("A1_01", True)
    assert names == ["A1_01-short1", "A1_01-short2", "A1_01-short3"]
    assert exposures == [(100, 50, 100, 50), (100, 25, 100, 25), (100, 20, 100, 20)]


def test_both_corrections_are_bounded_together(plan: Any) -> None:
    position: Position | None = check_plan(plan).positions[0]
    names = []
    for warnings in (BRIGHT, BLURRED, BRIGHT, BRIGHT + BLURRED, BRIGHT + BLURRED):
        position = correct(position, warnings, plan) if position is not None else None
        names.append(position and position.id)
    assert names == [
        "A1_01-short1", "A1_01-short1-focus", "A1_01-short1-focus-short2", "A1_01-short1-focus-short3", None,
    ]  # fmt: skip


def test_without_keys_nothing_is_imaged_again(make_plan: Any) -> None:
    position = check_plan(make_plan()).positions[0]
    assert find_correction(position, BRIGHT + BLURRED, make_plan()) is None


def test_an_exposure_below_the_shortest_is_not_made_longer(make_plan: Any) -> None:
    plan = make_plan({"quality.shorten": 3, "quality.shortest_ms": 400.0})
    assert find_correction(check_plan(plan).positions[0], BRIGHT, plan) is None


def test_a_run_shortens_the_exposure_and_resumes(
    make_plan: Any, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The protein is several times too bright; the first call allows one attempt, the second three."""

    def take_image(plate: SimulatedPlate, view: View, channel: int, rng: Any, *, lit: bool) -> np.ndarray:
        levels = (
            np.random.default_rng(channel).uniform(0, 1, (32, 32)) * 500 * view.exposure * (6 if channel == 1 else 1)
        )
        return np.minimum(levels, 65535).astype(np.uint16)

    predictor = open_bundle(tiny_bundle, threads=1)
    prepare = predictor.prepare

    def judge(field: Any) -> Any:
        saturated = (field.pixels[..., 1] == 65535).mean() > 0.03
        return replace(prepare(field), warnings=BRIGHT[:1] if saturated else ())

    monkeypatch.setattr(SimulatedPlate, "take_image", take_image)
    monkeypatch.setattr(SimulatedPlate, "count_cells", lambda *_: 0)
    monkeypatch.setattr(predictor, "prepare", judge)
    changes = {
        "plate.wells": ["A1"],
        "plate.sites": [1, 1],
        "rules.0.sites": 1,
        "rules.0.most": 9,
        "quality.shorten": 1,
    }
    out = tmp_path / "out"
    run_plan(check_plan(make_plan(changes | {"mode": "observe"})), predictor, out)
    run_plan(check_plan(make_plan(changes | {"quality.shorten": 3})), predictor, out)
    lines = {line["field"]: line for line in map(json.loads, (out / "decisions.jsonl").read_text().splitlines())}
    assert lines["A1_01"]["rules"] == [
        {"rule": 0, "verdict": "shorter", "because": {"green ms": 50.0}, "urgency": 1.0, "fields": ["A1_01-short1"],
         "outside": []}
    ]  # fmt: skip
    assert lines["A1_01-short1"]["exposures"] == [100, 50, 100, 100]
    assert lines["A1_01-short1"]["rules"][0]["verdict"] == "again"  # one attempt: the rules judge it, saturated
    requested = [lines[f"A1_01-short1-1-20x-1{tail}"] for tail in ("", "-short2", "-short3")]
    assert [line["exposures"][1] for line in requested] == [50, 25, 12.5]
    assert [line["rules"][0]["verdict"] for line in requested] == ["shorter", "shorter", "confirmed"]
    assert {line["of"] for line in requested} == {"A1_01"}
