"""The workflow of a plan on the simulated microscope."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lociscope.artifacts.predictions import Predictions
from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.microscope.decisions import SkipReason
from lociscope.microscope.plan import Plan
from lociscope.warnings import WarningKind
from lociscope.workflows.microscope import preview_plan, read_shipped_plan, run_microscope

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Two fields of one well, whose pixels are so coarse that they are simulated quickly."""
    values = {
        "output": str(tmp_path / "planned"),
        "microscope": {"config": "simulated", "frame": [32, 32]},
        "objectives": [{"name": "10x", "pixel_size": 5.12}, {"name": "20x", "pixel_size": 2.56}],
        "channels": {name: {"preset": name, "exposure_ms": 100} for name in CHANNEL_NAMES},
        "plate": {"a1": [0.0, 0.0], "wells": ["A1"], "sites": [1, 2], "z": 0.0},
        "rules": [{"when": "Nucleoli >= 0", "zoom": 2, "most": 1}],
        "limits": {"x": [-1000, 1000], "y": [-1000, 1000], "z": [-50, 50]},
    }
    return Plan.check(values, "Plan 'test'")


def test_a_preview_describes_the_plan_and_moves_nothing(plan: Plan, tiny_bundle: Path, tmp_path: Path) -> None:
    preview = preview_plan(plan, tiny_bundle)
    assert [position.id for position in preview.positions] == ["A1_01", "A1_02"]
    assert [warning.kind for warning in preview.warnings["20x"]] == [WarningKind.SMALL_FIELD]
    assert preview.to_dict()["notes"] == ["20x: small field: 82 µm"]
    assert "note        20x: small field: 82 µm" in preview.describe()
    assert not (tmp_path / "planned").exists()


def test_a_plan_runs_and_reports_progress(plan: Plan, tiny_bundle: Path, tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []

    def progress(fields: int, total: int, text: str = "", /) -> None:
        done.append((fields, total))

    result = run_microscope(plan, bundle=tiny_bundle, progress=progress)
    assert (result.fields, result.requested, result.error) == (3, 1, None)
    assert [each.reason for each in result.skipped] == [SkipReason.RULE_LIMIT]
    assert [fields for fields, _ in done] == [1, 2, 3]
    assert all(fields <= total for fields, total in done)
    assert done[-1] == (3, 3)
    assert len(Predictions.read(tmp_path / "planned" / "predictions.parquet")) == 3


def test_a_plan_that_cannot_run_creates_no_log(plan: Plan, tiny_bundle: Path, tmp_path: Path) -> None:
    wrong = plan.model_copy(update={"plate": plan.plate.model_copy(update={"wells": ("J1",)})})
    with pytest.raises(LociscopeError) as raised:
        run_microscope(wrong, tmp_path / "out", bundle=tiny_bundle, log=str(tmp_path / "lab.db"))
    assert raised.value.code == Code.UNKNOWN_NAME
    assert list(tmp_path.iterdir()) == []


def test_shipped_plans_are_read_by_name() -> None:
    assert 'config = "demo"' in read_shipped_plan("demo")
    with pytest.raises(UsageError) as raised:
        read_shipped_plan("simulate")
    assert raised.value.code == Code.UNKNOWN_NAME
