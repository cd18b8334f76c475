"""Training: the same weights from the same seed, cut off or not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lociscope.data.pack import Packed
from lociscope.errors import LociscopeError
from lociscope.labels import N_LABELS
from lociscope.models import load_network
from lociscope.recipe import Recipe
from lociscope.run import Run
from lociscope.training.fit import fit


def packed(n: int, seed: int = 0) -> Packed:
    """Fields whose green brightness tells whether class 0 or 25 is labelled."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 100, (n, 32, 32, 4), np.uint8)
    y = np.zeros((n, N_LABELS), np.uint8)
    bright = rng.random(n) < 0.5
    x[bright, :, :, 1] += 150
    y[bright, 0] = y[~bright, 25] = 1
    names = [str(number) for number in range(n)]
    return Packed(names, names, x, y, f"hash{seed}")


def recipe(**train: object) -> Recipe:
    settings = {"epochs": 3, "batch": 8, "checkpoint_steps": 2, "learning_rate": 0.01} | train
    return Recipe.check({"data": {"size": 32}, "network": {"width": 0.2, "dropout": 0.3}, "train": settings}, "test")


def weights(run: Run) -> list[np.ndarray]:
    made: list[np.ndarray] = load_network(run.best_model).get_weights()
    return made


def train(folder: Path, progress: Callable[[int, str], None] | None = None, **changes: object) -> Run:
    fields = packed(36)
    return fit(
        recipe(**changes), fields.take(np.arange(28)), fields.take(np.arange(28, 36)), "made up", folder, progress
    )


class Cut(Exception):
    """Stands for a kill; no file is closed or removed after it that a kill would not leave so."""


def cut_at(step: int) -> Callable[[int, str], None]:
    def progress(done: int, text: str) -> None:
        if done == step:
            raise Cut

    return progress


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(tmp_path_factory.mktemp("alone") / "run")


@pytest.mark.parametrize("steps", [(1,), (2, 3), (4,), (5, 6, 8)])  # 3 steps an epoch, a checkpoint every 2
def test_cut_off_and_resumed_it_ends_with_the_same_weights(alone: Run, tmp_path: Path, steps: tuple[int, ...]) -> None:
    for step in steps:
        with pytest.raises(Cut):
            train(tmp_path / "run", cut_at(step))
        assert not Run(tmp_path / "run").done
    resumed = train(tmp_path / "run")
    for one, other in zip(weights(alone), weights(resumed), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(alone.predictions().probability, resumed.predictions().probability)
    assert [row["loss"] for row in alone.history()] == pytest.approx([row["loss"] for row in resumed.history()], abs=0)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(alone: Run, tmp_path: Path) -> None:
    again, other = train(tmp_path / "again"), train(tmp_path / "other", seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(weights(alone), weights(again), strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(weights(alone), weights(other), strict=True))


def test_trained_in_bfloat16_it_is_kept_in_float32(alone: Run, tmp_path: Path) -> None:
    with pytest.raises(Cut):
        train(tmp_path / "run", cut_at(4), precision="mixed_bfloat16")
    run = train(tmp_path / "run", precision="mixed_bfloat16")
    again = train(tmp_path / "again", precision="mixed_bfloat16")
    network = load_network(run.best_model)
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    assert all(np.array_equal(a, b) for a, b in zip(weights(run), weights(again), strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(weights(run), weights(alone), strict=True))
    assert run.history()[-1]["val_loss"] == pytest.approx(alone.history()[-1]["val_loss"], rel=0.2)


def test_a_run_holds_what_the_design_says(alone: Run) -> None:
    run = Run.open(alone.folder)
    assert run.recipe() == recipe()
    assert run.environment().data_hash == "hash0"
    assert run.environment().fields == {"train": 28, "valid": 8}
    assert "tensorflow" in run.environment().versions
    assert [row["epoch"] for row in run.history()] == [1, 2, 3]
    assert run.truth().keys() == set(run.predictions().ids)
    assert list((run.folder / "tensorboard").rglob("events.*"))
    assert len(list(run.checkpoints.iterdir())) <= 2


def test_it_learns(tmp_path: Path) -> None:
    run = train(tmp_path / "run", epochs=12, batch=4)
    losses = [row["val_loss"] for row in run.history()]
    assert min(losses) < 0.6 * losses[0]


def test_the_best_epoch_is_kept(alone: Run) -> None:
    """The stored predictions have the lowest validation loss of the history."""
    truth = packed(36).y[28:]
    p = np.clip(alone.predictions().probability.astype(np.float64), 1e-7, 1 - 1e-7)
    loss = -(truth * np.log(p) + (1 - truth) * np.log(1 - p)).mean()
    assert loss == pytest.approx(min(row["val_loss"] for row in alone.history()), abs=1e-4)


def test_another_recipe_or_other_fields_are_refused(alone: Run) -> None:
    with pytest.raises(LociscopeError, match="another recipe"):
        train(alone.folder, learning_rate=0.5)
    fields = packed(36, seed=5)
    with pytest.raises(LociscopeError, match="other fields"):
        fit(recipe(), fields.take(np.arange(28)), fields.take(np.arange(28, 36)), "made up", alone.folder)


def test_a_loss_that_is_no_number_stops_with_advice(tmp_path: Path) -> None:
    with pytest.raises(LociscopeError, match=r"diverged.*learning_rate"):
        train(tmp_path / "run", learning_rate=10.0, optimizer="sgd", epochs=40, weight_decay=1.0, warmup=0.0)
    assert not Run(tmp_path / "run").done


def test_an_unfinished_run_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(Cut):
        train(tmp_path / "run", cut_at(3))
    with pytest.raises(LociscopeError, match="not finished"):
        Run.open(tmp_path / "run")
