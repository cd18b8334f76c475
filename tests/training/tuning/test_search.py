"""Tuning with a training that takes no time: which trials are made, pruned, failed and resumed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.artifacts.predictions import Predictions
from lociscope.artifacts.recipe import Recipe
from lociscope.artifacts.run import Run
from lociscope.artifacts.study import Study, TrialRecord, find_best_trial
from lociscope.errors import LociscopeError, UsageError
from lociscope.training import feature_trainer
from lociscope.training.tuning.search import STARTUP_TRIALS, OutOfTimeError, check_models, tune
from lociscope.training.tuning.space import Choice, Range, Space
from lociscope.training.tuning.trials import (
    finished_trials,
    get_importances,
    measure_gain,
    score_run,
    write_best_recipe,
)

optuna = pytest.importorskip("optuna")

from lociscope.training.tuning.database import Subject, open_study  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RECIPE = Recipe.from_dict({"network": {"name": "features"}, "train": {"epochs": 4}}, "Mine")
SPACE: Space = {"network.strength": Range(low=0.002, high=2.0, log=True), "network.leaves": Range(low=3, high=16)}
FIELDS = 12
Made = dict[int, dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def epochs() -> Iterator[None]:
    """Let the features recipe have as many epochs as `train.epochs` says, as the pretended training has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_trainer, "count_epochs", lambda recipe: recipe.train.epochs)
        yield


@contextmanager
def study_in(folder: Path, recipe: Recipe = RECIPE, space: Space = SPACE) -> Iterator[tuple[Any, Study]]:
    place = Study(folder)
    with open_study(place, Subject.from_recipe(recipe, space, "simulated")) as study:
        yield study, place


def pretended(recipe: Recipe, folder: Path, on_epoch: Callable[[dict[str, float]], None]) -> None:
    """Leaves a Run whose score says how near `strength` is to 0.1: a field is right where it is near enough."""
    run = Run(folder)
    folder.mkdir(parents=True, exist_ok=True)
    recipe.write(run.recipe_file)
    far = abs(np.log10(recipe.network.options["strength"]) + 1)
    rows = ["epoch,loss,val_loss,learning_rate,seconds"]
    for epoch in range(1, recipe.train.epochs + 1):
        rows.append(f"{epoch},1,{far + 1 / epoch},0,6")
        run.history_file.write_text("\n".join(rows))
        run.checkpoints.mkdir(exist_ok=True)
        on_epoch({"epoch": float(epoch), "loss": 1.0, "val_loss": far + 1 / epoch})
    truth = np.arange(FIELDS) % 28
    probability = np.full((FIELDS, 28), 0.1, np.float32)
    right = np.arange(FIELDS) >= 5 * far
    probability[np.arange(FIELDS), np.where(right, truth, (truth + 1) % 28)] = 0.9
    ids = [f"f{i}" for i in range(FIELDS)]
    Predictions(ids, probability, [()] * FIELDS, ["ok"] * FIELDS, [()] * FIELDS).write(run.predictions_file)
    run.truth_file.write_text(
        "Id,Target\n" + "".join(f"{name},{place}\n" for name, place in zip(ids, truth, strict=True))
    )
    run.best_model.write_text("weights")
    run.mark_done()


def values_of(trials: list[TrialRecord]) -> list[tuple[int, str, dict[str, Any]]]:
    return [(trial.number, trial.state, trial.values) for trial in trials]


def made(folder: Path, trials: int, train: Any = pretended, seed: int = 0) -> list[TrialRecord]:
    recipe = RECIPE.model_copy(update={"train": RECIPE.train.model_copy(update={"seed": seed})})
    with study_in(folder, recipe) as (study, place):
        tune(study, place, recipe, SPACE, trials, train, lambda done: None)
        return finished_trials(study)


@pytest.fixture(scope="module")
def thirteen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[TrialRecord]]:
    folder = tmp_path_factory.mktemp("study")
    return folder, made(folder, 13)


def test_the_first_trial_is_the_recipe_as_it_stands(thirteen: tuple[Path, list[TrialRecord]]) -> None:
    first = thirteen[1][0]
    assert first.own
    assert first.values == {"network.strength": 0.02, "network.leaves": 6}
    assert not any(trial.own for trial in thirteen[1][1:])


def test_every_trial_keeps_within_the_space_and_says_what_it_is(thirteen: tuple[Path, list[TrialRecord]]) -> None:
    folder, trials = thirteen
    assert [trial.number for trial in trials] == list(range(13))
    for trial in trials:
        recipe = Study(folder).run(trial.number).read_recipe()
        assert recipe.network.options == {key.split(".")[1]: value for key, value in trial.values.items()}
        assert recipe.note.startswith(f"Trial {trial.number}: network.strength = ")
        assert all(value in SPACE[key] for key, value in trial.values.items())


def test_trials_above_the_median_loss_are_pruned(thirteen: tuple[Path, list[TrialRecord]]) -> None:
    trials = thirteen[1]
    states = [trial.state for trial in trials]
    assert set(states) == {"complete", "pruned"}
    assert "pruned" not in states[:STARTUP_TRIALS]
    for trial in trials:
        assert (trial.lrap is not None) == (trial.macro_average_precision is not None) == (trial.state == "complete")
        assert (trial.epochs == 4) == (trial.state == "complete")
        assert trial.epochs > 1, "the first quarter is spared"
        assert trial.minutes == pytest.approx(trial.epochs * 0.1)


def test_only_the_best_keeps_its_weights(thirteen: tuple[Path, list[TrialRecord]]) -> None:
    folder, trials = thirteen
    best = find_best_trial(trials)
    assert best is not None
    assert best.lrap == max(trial.lrap or 0 for trial in trials)
    kept = [trial.number for trial in trials if Study(folder).run(trial.number).best_model.exists()]
    assert kept == [best.number]
    assert not list(folder.rglob("checkpoints"))
    assert all(Study(folder).run(trial.number).predictions_file.exists() for trial in trials if trial.lrap is not None)


def test_the_search_finds_what_matters(thirteen: tuple[Path, list[TrialRecord]]) -> None:
    folder, trials = thirteen
    best = find_best_trial(trials)
    assert best is not None
    assert abs(np.log10(best.values["network.strength"]) + 1) < 0.3
    with study_in(folder) as (study, place):
        importance = get_importances(study)
        gain = measure_gain(trials, place)
    assert list(importance) == ["network.strength", "network.leaves"]
    assert sum(importance.values()) == pytest.approx(1)
    assert gain is not None
    assert trials[0].lrap is not None
    assert gain.value == pytest.approx((best.lrap or 0) - trials[0].lrap)
    assert gain.low <= gain.value <= gain.high


def test_another_seed_makes_other_trials(thirteen: tuple[Path, list[TrialRecord]], tmp_path: Path) -> None:
    assert values_of(made(tmp_path / "other", 3, seed=1))[1:] != values_of(thirteen[1][1:3])


def test_cut_off_anywhere_it_makes_the_same_trials(thirteen: tuple[Path, list[TrialRecord]], tmp_path: Path) -> None:
    calls = 0

    def cut(recipe: Recipe, folder: Path, on_epoch: Callable[[dict[str, float]], None]) -> None:
        def counted(row: dict[str, float]) -> None:
            nonlocal calls
            calls += 1
            if calls % 7 == 0:
                raise KeyboardInterrupt
            on_epoch(row)

        pretended(recipe, folder, counted)

    for _ in range(40):
        try:
            trials = made(tmp_path / "study", 11, cut)
            break
        except KeyboardInterrupt:
            pass
    assert calls > 30
    assert values_of(trials) == values_of(thirteen[1][:11])
    assert sorted(path.name for path in (tmp_path / "study" / "trials").iterdir()) == [f"{i:04d}" for i in range(11)]


def test_more_trials_are_added_and_fewer_change_nothing(tmp_path: Path) -> None:
    three = made(tmp_path, 3)
    assert values_of(made(tmp_path, 5))[:3] == values_of(three)
    assert len(made(tmp_path, 2)) == 5


def test_a_trial_that_diverges_fails_and_the_study_continues(tmp_path: Path) -> None:
    def diverging(recipe: Recipe, folder: Path, on_epoch: Callable[[dict[str, float]], None]) -> None:
        pretended(recipe, folder, on_epoch) if recipe.network.options["leaves"] == 6 else claim_and_fail(recipe, folder)

    trials = made(tmp_path, 4, diverging)
    assert [trial.state for trial in trials] == ["complete", "failed", "failed", "failed"]
    assert trials[1].why == "The loss is nan."
    assert trials[1].lrap is None


def claim_and_fail(recipe: Recipe, folder: Path, error: Exception | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    recipe.write(folder / "recipe.toml")
    raise LociscopeError("The loss is nan.") from error


def test_a_combination_that_no_recipe_can_have_is_a_failed_trial(tmp_path: Path) -> None:
    space: Space = {"augment.mixup": Range(low=0.5, high=1.0), "augment.cutmix": Range(low=0.51, high=1.0)}
    with study_in(tmp_path, space=space) as (study, place):
        tune(study, place, RECIPE, space, 2, pretended, lambda done: None)
        assert [trial.state for trial in finished_trials(study)] == ["failed", "failed"]
        assert "augment.mixup + augment.cutmix must not exceed 1" in finished_trials(study)[0].why
        assert get_importances(study) == {}
        write_best_recipe(finished_trials(study), place)
    assert not (tmp_path / "best.toml").exists()


@pytest.mark.parametrize("begun", [True, False])
def test_what_would_stop_every_trial_stops_the_study_and_costs_no_trial(tmp_path: Path, begun: bool) -> None:
    def full(recipe: Recipe, folder: Path, on_epoch: Any) -> None:
        if begun:
            claim_and_fail(recipe, folder, OSError("no space"))
        raise LociscopeError("No field can be read.")

    with pytest.raises(LociscopeError, match=r"No field can be read|The loss is nan"):
        made(tmp_path, 3, full)
    assert [trial.state for trial in made(tmp_path, 3)] == ["complete"] * 3


def test_a_study_resumes_after_its_time_limit(tmp_path: Path) -> None:
    with study_in(tmp_path) as (study, place):
        with pytest.raises(OutOfTimeError):
            tune(study, place, RECIPE, SPACE, 3, pretended, lambda done: None, seconds=0)
        assert finished_trials(study) == []
    assert [trial.number for trial in made(tmp_path, 3)] == [0, 1, 2]


# === Pruning ===


@pytest.mark.slow
def test_losses_of_another_kind_are_not_compared_with(tmp_path: Path) -> None:
    choices: Space = {"train.loss": Choice(values=("bce", "focal"))}

    def train(recipe: Recipe, folder: Path, on_epoch: Callable[[dict[str, float]], None]) -> None:
        low = recipe.train.loss == "focal"

        def scaled(row: dict[str, float]) -> None:
            on_epoch({**row, "val_loss": row["val_loss"] * (0.1 if low else 1.0)})

        named = recipe.model_copy(update={"network": RECIPE.network.model_copy(update={"strength": 0.1})})
        pretended(named, folder, scaled)

    with study_in(tmp_path, space=choices) as (study, place):
        tune(study, place, RECIPE, choices, 11, train, lambda done: None)
        trials = finished_trials(study)
    assert {trial.values["train.loss"] for trial in trials} == {"bce", "focal"}
    assert all(trial.state == "complete" for trial in trials)


def test_a_wrong_option_of_the_network_is_refused_before_any_trial() -> None:
    with pytest.raises(UsageError, match=r"no option 'leafs'\. Did you mean 'leaves'"):
        check_models({"network.leafs": Range(low=3, high=6)}, RECIPE)
    with pytest.raises(UsageError, match="leaves: Input should be less than or equal to 64, received 99"):
        check_models({"network.leaves": Range(low=3, high=99)}, RECIPE)


def test_fields_without_a_location_cannot_score_a_trial(make_run: Callable[..., Path]) -> None:
    run = Run(make_run("a"))
    assert 0 < score_run(run)[0] < 1
    rows = "".join(f"{name},\n" for name in run.read_truth())
    run.truth_file.write_text("Id,Target\n" + rows)
    with pytest.raises(LociscopeError, match=r"No validation field has a location"):
        score_run(run)
