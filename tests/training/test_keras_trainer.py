"""Training: the same weights from the same seed, cut off or not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from lociscope.artifacts.provenance import Provenance
from lociscope.artifacts.recipe import Recipe
from lociscope.artifacts.run import Run
from lociscope.data.cache.fields import PackedFields
from lociscope.data.datasets import TrainingData
from lociscope.errors import LociscopeError
from lociscope.labels import N_LABELS
from lociscope.models import build_network, load_network
from lociscope.processes.progress import ignore_progress
from lociscope.training import callbacks
from lociscope.training import keras_trainer as fitting
from lociscope.training.keras_trainer import fit

if TYPE_CHECKING:
    from collections.abc import Callable

    from lociscope.processes.progress import ProgressCallback

TINY = f"{Path(__file__).parents[1] / 'fixtures' / 'tiny_network.py'}:build"
LENET5 = {"width": 0.2, "dropout": 0.3}
STILL: dict[str, Any] = {"flip": False, "shift": 0.0, "gain": 0.0, "noise": 0.0, "channel_dropout": 0.0}
"""No augmentation: TensorFlow traces it in a second."""
SOURCE = Provenance("simulated", fields=36, seed=0)


def packed(n: int, seed: int = 0) -> PackedFields:
    """Fields whose green brightness decides whether class 0 or 25 is labelled."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 100, (n, 32, 32, 4), np.uint8)
    y = np.zeros((n, N_LABELS), np.uint8)
    bright = rng.random(n) < 0.5
    x[bright, :, :, 1] += 150
    y[bright, 0] = y[~bright, 25] = 1
    names = [str(number) for number in range(n)]
    return PackedFields(names, names, x, y, f"hash{seed}")


def recipe(**train: object) -> Recipe:
    settings = {"epochs": 3, "batch": 8, "checkpoint_steps": 2, "learning_rate": 0.01} | train
    network, stages = settings.pop("network", {"name": TINY}), settings.pop("stages", [])
    augment = settings.pop("augment", {})
    tables = {"data": {"size": 32}, "network": network, "train": settings, "stages": stages, "augment": augment}
    return Recipe.from_dict(tables, "test")


def weights(run: Run) -> list[np.ndarray]:
    made: list[np.ndarray] = load_network(run.best_model).get_weights()
    return made


def split(fields: PackedFields) -> TrainingData:
    return TrainingData(fields.take(np.arange(28)), fields.take(np.arange(28, 36)), SOURCE)


def train(
    folder: Path,
    progress: ProgressCallback = ignore_progress,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    **changes: object,
) -> Run:
    fields = packed(36)
    return fit(recipe(**changes), split(fields), folder, progress, on_epoch)


def same(one: Run, other: Run) -> bool:
    """Whether two Runs kept the same network, to the bit, and saw the same losses on the way."""
    losses = [[(row["loss"], row["val_loss"], row["stage"]) for row in run.read_history()] for run in (one, other)]
    agree = all(np.array_equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))
    return agree and losses[0] == losses[1]


def best_loss(run: Run) -> float:
    """Of the stored predictions."""
    truth = packed(36).y[28:]
    p = np.clip(run.read_predictions().probability.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(-(truth * np.log(p) + (1 - truth) * np.log(1 - p)).mean())


class Cut(Exception):
    """Stands for a kill; no file is closed or removed after it that a kill would not leave so."""


def cut_at(step: int) -> ProgressCallback:
    def progress(done: int, total: int, text: str = "", /) -> None:
        if done == step:
            raise Cut

    return progress


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(tmp_path_factory.mktemp("alone") / "run")


# 3 steps an epoch, a checkpoint every 2: before the first checkpoint, in the middle of an epoch, and at its end
@pytest.mark.parametrize(
    "steps", [(4,), *(pytest.param(steps, marks=pytest.mark.slow) for steps in ((1,), (2, 3), (1, 4, 6), (5, 6, 8)))]
)
def test_cut_off_and_resumed_it_ends_with_the_same_weights(alone: Run, tmp_path: Path, steps: tuple[int, ...]) -> None:
    for step in steps:
        with pytest.raises(Cut):
            train(tmp_path / "run", cut_at(step))
        assert not Run(tmp_path / "run").done
    resumed = train(tmp_path / "run")
    for one, other in zip(weights(alone), weights(resumed), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(alone.read_predictions().probability, resumed.read_predictions().probability)
    assert [row["loss"] for row in alone.read_history()] == pytest.approx(
        [row["loss"] for row in resumed.read_history()], abs=0
    )


@pytest.mark.slow
def test_another_seed_gives_other_weights(alone: Run, tmp_path: Path) -> None:
    other = train(tmp_path / "other", seed=1)
    assert not all(np.array_equal(a, b) for a, b in zip(weights(alone), weights(other), strict=True))


@pytest.fixture(scope="module")
def bfloat16(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(tmp_path_factory.mktemp("bfloat16") / "run", precision="mixed_bfloat16")


@pytest.mark.slow
def test_trained_in_bfloat16_it_is_saved_in_float32(alone: Run, bfloat16: Run) -> None:
    run = bfloat16
    network = load_network(run.best_model)
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    assert not all(np.array_equal(a, b) for a, b in zip(weights(run), weights(alone), strict=True))
    assert run.read_history()[-1]["val_loss"] == pytest.approx(alone.read_history()[-1]["val_loss"], rel=0.2)


@pytest.mark.slow
def test_cut_off_in_bfloat16_it_ends_with_the_same_weights(bfloat16: Run, tmp_path: Path) -> None:
    with pytest.raises(Cut):
        train(tmp_path / "run", cut_at(4), precision="mixed_bfloat16")
    assert same(bfloat16, train(tmp_path / "run", precision="mixed_bfloat16"))


def test_a_run_holds_what_the_design_says(alone: Run) -> None:
    run = Run.open(alone.folder)
    assert run.read_recipe() == recipe()
    assert run.read_environment().data_hash == "hash0"
    assert run.read_environment().fields == {"train": 28, "valid": 8}
    assert "tensorflow" in run.read_environment().versions
    assert [row["epoch"] for row in run.read_history()] == [1, 2, 3]
    assert run.read_truth().keys() == set(run.read_predictions().ids)
    assert run.read_groups() == {name: name for name in run.read_predictions().ids}
    assert list((run.folder / "tensorboard" / "validation").glob("events.*"))
    assert list((run.folder / "tensorboard" / "examples").glob("events.*"))
    assert len(list(run.checkpoints.iterdir())) <= 2


def test_it_learns(tmp_path: Path) -> None:
    run = train(tmp_path / "run", epochs=8, batch=4, learning_rate=0.05, augment=STILL)
    losses = [row["val_loss"] for row in run.read_history()]
    assert min(losses) < 0.6 * losses[0]


def test_the_best_epoch_is_saved(alone: Run) -> None:
    """The stored predictions have the lowest validation loss of the history."""
    assert best_loss(alone) == pytest.approx(min(row["val_loss"] for row in alone.read_history()), abs=1e-4)


def test_another_recipe_or_other_fields_are_refused(alone: Run) -> None:
    with pytest.raises(LociscopeError, match="another recipe"):
        train(alone.folder, learning_rate=0.5)
    fields = packed(36, seed=5)
    with pytest.raises(LociscopeError, match="other fields"):
        fit(recipe(), split(fields), alone.folder)


STAGED: dict[str, Any] = {
    "network": LENET5,
    "ema": 0.9,
    "stages": [
        {"unfreeze_from": "head", "epochs": 1, "learning_rate": 0.02},
        {"unfreeze_from": "C5", "epochs": 2, "learning_rate": 0.01},
        {"unfreeze_from": "all", "epochs": 1, "learning_rate": 0.002},
    ],
}
"""Three steps an epoch: the stages begin after steps 0, 3 and 9."""


@pytest.mark.slow
def test_stages_and_averages_resume_from_any_step_to_the_same_weights(tmp_path: Path) -> None:
    reports: list[tuple[int, int, str]] = []
    alone = train(tmp_path / "alone", lambda *report: reports.append(report), **STAGED)
    assert [row["stage"] for row in alone.read_history()] == [1, 2, 2, 3]
    assert reports[-1][:2] == (12, 12)
    assert reports[-1][2].startswith("epoch 4 of 4, loss 0.")
    assert "fields/s" in reports[-1][2]
    for step in (2, 3, 4, 8, 10):  # within each stage, and as one ends
        with pytest.raises(Cut):
            train(tmp_path / "run", cut_at(step), **STAGED)
    assert same(alone, train(tmp_path / "run", **STAGED))
    network = load_network(alone.best_model)
    assert all(layer.trainable for layer in network.layers)


HEAD_ONLY = [{"unfreeze_from": "head", "epochs": 2, "learning_rate": 0.1}]


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(tmp_path_factory.mktemp("frozen") / "run", stages=HEAD_ONLY, checkpoint_steps=1, augment=STILL)


@pytest.mark.slow
def test_the_number_of_checkpoints_does_not_change_a_frozen_stage(frozen: Run, tmp_path: Path) -> None:
    assert same(frozen, train(tmp_path / "run", stages=HEAD_ONLY, checkpoint_steps=100, augment=STILL))


def test_a_frozen_stage_leaves_the_first_layers_as_they_were(frozen: Run) -> None:
    keras.utils.set_random_seed(0)
    fresh = build_network(TINY, 32, {})
    trained = load_network(frozen.best_model)
    changed = {
        variable.path.split("/")[0]
        for variable, start in zip(trained.weights, fresh.get_weights(), strict=True)
        if not np.array_equal(variable, start)
    }
    assert changed == {"evidence"}


@pytest.mark.slow
def test_the_average_is_what_is_validated_and_saved(alone: Run, tmp_path: Path) -> None:
    averaged = train(tmp_path / "run", ema=0.5)
    assert [row["loss"] for row in averaged.read_history()] == [row["loss"] for row in alone.read_history()]
    assert [row["val_loss"] for row in averaged.read_history()] != [row["val_loss"] for row in alone.read_history()]
    assert best_loss(averaged) == pytest.approx(min(row["val_loss"] for row in averaged.read_history()), abs=1e-4)


@pytest.mark.slow
def test_patience_ends_a_training_also_after_a_cut(tmp_path: Path) -> None:
    still = [{"unfreeze_from": "head", "epochs": 30, "learning_rate": 1e-12}]
    stuck: dict[str, Any] = {"stages": still, "patience": 2, "checkpoint_steps": 100}

    def cut(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise Cut

    with pytest.raises(Cut):
        train(tmp_path / "run", on_epoch=cut, **stuck)
    assert len(Run(tmp_path / "run").read_history()) == 2  # the row is stored before on_epoch is called
    losses = [row["val_loss"] for row in train(tmp_path / "run", **stuck).read_history()]
    assert len(losses) < 30
    assert len(losses) - (int(np.argmin(losses)) + 1) == 2


@pytest.mark.slow
def test_a_loss_that_is_nan_stops_with_advice(tmp_path: Path) -> None:
    with pytest.raises(LociscopeError, match=r"diverged\. Try another Run with a tenth of the learning_rate, 1[.;]"):
        train(
            tmp_path / "run",
            network=LENET5,
            learning_rate=10.0,
            optimizer="sgd",
            epochs=40,
            weight_decay=1.0,
            warmup=0.0,
            augment=STILL,
        )
    assert not Run(tmp_path / "run").done


@pytest.mark.slow
def test_what_was_best_before_the_loss_diverged_stays_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = callbacks.RunCallback.on_train_batch_end

    def broken(self: Any, batch: int, logs: dict[str, Any] | None = None) -> None:
        real(self, batch, {"loss": float("nan")} if self.state.step == 7 else logs)

    monkeypatch.setattr(callbacks.RunCallback, "on_train_batch_end", broken)
    with pytest.raises(LociscopeError, match=r"is nan after step 8.* of epoch [12], are in '.*best\.keras'\.$"):
        train(tmp_path / "run")
    run = Run(tmp_path / "run")
    assert load_network(run.best_model).count_params() > 0
    assert not run.done
    assert max(int(path.name) for path in run.checkpoints.glob("[0-9]*")) == 6  # not step 8, where the loss was NaN


def test_weights_that_are_nan_are_not_saved(tmp_path: Path) -> None:
    model = build_network("lenet5", 32, {"width": 0.2})
    callback = callbacks.RunCallback(Run(tmp_path), recipe(), model, 3, 8, lambda _: 0.5)
    model.get_layer("C1").kernel.assign(np.full((5, 5, 4, 3), np.nan))
    with pytest.raises(callbacks.DivergenceError, match="is nan"):
        callback._save(model)
    assert not Run(tmp_path).checkpoints.exists()


@pytest.mark.parametrize(("batch", "remedy"), [(8, r"train\.batch=4"), (1, r"data\.size=16")])
def test_too_little_memory_says_what_to_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, remedy: str
) -> None:
    def full(*_: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(fitting, "_train", full)
    with pytest.raises(LociscopeError, match=rf"for a batch of {batch} fields of 32 px\. Try {remedy} in"):
        train(tmp_path / "run", batch=batch)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["soft_f1", "asymmetric"])
def test_every_loss_teaches(tmp_path: Path, loss: str) -> None:
    run = train(tmp_path / "run", loss=loss, epochs=8, batch=4, learning_rate=0.05, schedule="constant", augment=STILL)
    losses = [row["val_loss"] for row in run.read_history()]
    assert min(losses) < 0.9 * losses[0]


def test_an_unfinished_run_is_not_opened(alone: Run, tmp_path: Path) -> None:
    (shutil.copytree(alone.folder, tmp_path / "run") / "DONE").unlink()
    with pytest.raises(LociscopeError, match="not finished"):
        Run.open(tmp_path / "run")
