"""What the atlas' test part leaves in a Run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.run import Run
from lociscope.labels import N_LABELS
from lociscope.simulate import Part, simulate_field

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType


@pytest.fixture
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("research/difficulty")


def test_scores_on_the_test_part_are_kept_in_the_run(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = [simulate_field(number, seed=1, size=64) for number in range(12)]
    parts = {Part.VALID: fields[:4], Part.TEST: fields[4:]}
    rng = np.random.default_rng(0)
    monkeypatch.setattr(script, "load_model", lambda path: lambda pixels, size: rng.random(N_LABELS))
    found, _, counted = script.simulated(tmp_path, parts, keeps=True)
    kept = Run(tmp_path).read_scores()["atlas_test"]
    assert list(kept) == ["macro_f1", "macro_average_precision", "lrap", "macro_auc"][: len(kept)]
    assert kept["macro_f1"]["value"] == pytest.approx(found.value, abs=1e-4)
    assert kept["lrap"]["n"] == len({field.specimen for field in fields[4:]})
    assert counted.sum() == sum(len(field.target) for field in fields[4:])


def test_nothing_is_kept_unasked(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = [simulate_field(number, seed=1, size=64) for number in range(4)]
    monkeypatch.setattr(script, "load_model", lambda path: lambda pixels, size: np.full(N_LABELS, 0.5))
    script.simulated(tmp_path, {Part.VALID: fields, Part.TEST: fields})
    assert not list(tmp_path.iterdir())
