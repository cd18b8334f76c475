"""Heads over compartment features, taught by the observer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType


def test_unknown_features_count_as_the_mean_and_extremes_are_clipped(load_script: Callable[[str], ModuleType]) -> None:
    standardize = load_script("research/distillation").standardize
    found = standardize(np.array([[1.0, np.nan, 100.0]]), np.zeros(3), np.ones(3))
    assert found.tolist() == [[1.0, 0.0, 3.0]]


@pytest.mark.slow
def test_a_head_learns_soft_targets(load_script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    script = load_script("research/distillation")
    monkeypatch.setattr(script, "EPOCHS", 30)
    inputs = np.random.default_rng(0).normal(size=(256, 6)).astype(np.float32)
    targets = np.stack([np.where(inputs[:, 0] > 0, 0.8, 0.2), np.full(256, 0.5)], axis=1).astype(np.float32)
    logits = np.asarray(script.fit_head(inputs, targets, 0)(inputs))
    assert np.corrcoef(logits[:, 0], targets[:, 0])[0, 1] > 0.8
    assert np.abs(logits[:, 1]).mean() < 0.5


@pytest.mark.slow
def test_fields_are_prepared_once_and_with_the_observers_answers(
    load_script: Callable[[str], ModuleType], real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = load_script("research/distillation")
    monkeypatch.setattr(script, "REAL", real_data)
    monkeypatch.setattr(script, "PER_FILE", 1)
    script.prepare_fields(tmp_path, 1, 1)
    (path,) = tmp_path.glob("*.npz")
    before = path.stat().st_mtime_ns
    script.prepare_fields(tmp_path, 1, 1)
    assert path.stat().st_mtime_ns == before
    with np.load(path) as stored:
        assert stored["x"].shape == (1, 256, 256, 4)
        assert stored["y"].shape == (1, 28)
        assert stored["answers"].shape == (1, 12)
        assert ((stored["answers"] >= 0) & (stored["answers"] <= 1)).all()
