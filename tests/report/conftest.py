"""Runs made by hand, so that comparing them needs no training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lociscope.labels import N_LABELS, format_target
from lociscope.predictions import Predictions
from lociscope.recipe import Recipe
from lociscope.run import Environment, Run

FIELDS = 60
Make = Callable[..., Path]


def truth_of(seed: int, fields: int = FIELDS) -> np.ndarray:
    """(fields, 28): places 0 to 5 in a third of the fields each."""
    truth = np.zeros((fields, N_LABELS), np.uint8)
    truth[:, :6] = np.random.default_rng(seed).random((fields, 6)) < 1 / 3
    return truth


def write_run(
    folder: Path,
    changes: dict[str, Any] | None = None,
    *,
    noise: float = 1.0,
    seed: int = 0,
    fields: int = FIELDS,
    validation: int = 0,
    specimens: int = 0,
    scores: dict[str, Any] | None = None,
) -> Path:
    """A finished Run whose predictions are the truth in noise.

    Args:
        folder: Where to make it.
        changes: Of the recipe `lenet5`, by dotted key.
        noise: Its standard deviation, in log odds; the truth is ±1.
        seed: Of the noise.
        fields: Validation fields.
        validation: Seed of their truth: another one is another set.
        specimens: How many they come from; 0 keeps no groups.
        scores: `scores/real.json`.
    """
    run = Run(folder)
    folder.mkdir(parents=True)
    recipe = Recipe.read("lenet5", {"train.epochs": 3, **(changes or {})})
    recipe.write(run.recipe_file)
    environment = Environment(
        schema=1, created="2026-01-01T00:00:00+00:00", seed=0, git=None, versions={}, machine="here",
        data="600 simulated fields of seed 0", data_hash="0" * 64, fields={"train": 540, "valid": fields},
        parameters=60_000,
    )  # fmt: skip
    run.environment_file.write_text(environment.model_dump_json(by_alias=True))
    losses = [f"{epoch},{0.3 / epoch:.4f},{0.32 / epoch:.4f},0.001,60\n" for epoch in (1, 2, 3)]
    run.history_file.write_text("epoch,loss,val_loss,learning_rate,seconds\n" + "".join(losses))
    truth, rng = truth_of(validation, fields), np.random.default_rng(seed)
    odds = 2.0 * truth - 1 + noise * rng.standard_normal(truth.shape)
    probability = (1 / (1 + np.exp(-odds))).astype(np.float32)
    names = [f"v{validation}-{number:03d}" for number in range(fields)]
    shuffled = rng.permutation(fields).tolist()
    predictions = Predictions(names, probability, [()] * fields, ["ok"] * fields, [()] * fields)
    predictions.take(shuffled).write(run.predictions_file)
    rows = [f"{name},{format_target(np.flatnonzero(row))}\n" for name, row in zip(names, truth, strict=True)]
    run.truth_file.write_text("Id,Target\n" + "".join(rows))
    if specimens:
        rows = [f"{name},s{number % specimens}\n" for number, name in enumerate(names)]
        (folder / "groups.csv").write_text("Id,Group\n" + "".join(rows))
    if scores is not None:
        (folder / "scores").mkdir()
        (folder / "scores" / "real.json").write_text(json.dumps(scores))
    run.mark_done()
    return folder


@pytest.fixture
def make_run(tmp_path: Path) -> Make:
    """`make_run("name", {...}, noise=…)` writes a Run into `tmp_path`."""

    def make(name: str, changes: dict[str, Any] | None = None, **more: Any) -> Path:
        return write_run(tmp_path / name, changes, **more)

    return make
