"""Search hyperparameters: train trial after trial with other values, until a study has as many as asked for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.errors import LociscopeError, UsageError
from lociscope.training.trainer import get_trainer
from lociscope.training.tuning.space import Range, get_value, replace_values
from lociscope.training.tuning.trials import (
    AP,
    MINUTES,
    OWN,
    WHY,
    finished_trials,
    get_minutes,
    remove_large_files,
    score_run,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import optuna

    from lociscope.artifacts.recipe import Recipe
    from lociscope.artifacts.run import Run
    from lociscope.artifacts.study import Study, TrialRecord
    from lociscope.training.trainer import EpochCallback
    from lociscope.training.tuning.space import Choice, Space

    Train = Callable[[Recipe, Path, EpochCallback], object]

MODEL_KEYS = ("network.", "data.size")
"""Prefixes of the keys that decide the shape of a model."""
STARTUP_TRIALS = 4
"""Complete trials before one can be pruned."""
WARMUP_SHARE = 0.25
"""Share of its epochs in which no trial is pruned: a high learning rate starts badly and may end well."""


class OutOfTimeError(Exception):
    """The time limit is reached; the same command resumes the trial."""


def check_models(space: Space, recipe: Recipe) -> None:
    """Build the model at every end and choice that decides its shape, so that no trial fails for it later.

    Raises:
        UsageError: The model has no such option, or cannot be built with a value.
        MissingExtraError: A library is not installed.
    """
    changes = [{key: end} for key, each in space.items() if key.startswith(MODEL_KEYS) for end in each.ends]
    for values in [{}, *changes]:
        changed = replace_values(recipe, values, "The search space")
        get_trainer(changed).check(changed)


def get_recipe_values(space: Space, recipe: Recipe) -> dict[str, Any] | None:
    """Return the recipe's own value of each key that is searched, the model's defaults included.

    Args:
        space: The search space.
        recipe: A recipe that `check_models` accepts.

    Returns:
        By dotted key; None if a value is outside the space, so that the recipe is not one of its points.
    """
    defaults = {f"network.{name}": value for name, value in get_trainer(recipe).get_options(recipe).items()}
    values = {key: defaults.get(key) if (own := get_value(recipe, key)) is None else own for key in space}
    return values if all(value in space[key] for key, value in values.items()) else None


def tune(
    study: optuna.Study,
    results: Study,
    recipe: Recipe,
    space: Space,
    trials: int,
    train: Train,
    on_trial: Callable[[list[TrialRecord]], None],
    seconds: float = float("inf"),
) -> None:
    """Run trials until the study has `trials` of them; resume one that was interrupted.

    The first trial is the recipe itself. A tree-structured Parzen estimator (Bergstra et al., *Algorithms for
    hyper-parameter optimization*, NeurIPS 2011) samples the others. Its seed follows from the recipe's seed and the
    trial's number, so that an interrupted study makes the same trials as an uninterrupted one. Trials are scored by
    LRAP on the validation fields: it needs no thresholds and rests on all fields, where macro-F1 and macro-AP mostly
    reflect chance in the rarest classes.

    Args:
        study: Opened by `lociscope.training.tuning.database.open_study`.
        results: The study's folder.
        recipe: The values that are not searched.
        space: The search space, accepted by `check_models`.
        trials: Number of complete, pruned and failed trials in all.
        train: Trains a recipe in a folder; calls its third argument after each epoch and passes on what that raises.
        on_trial: Called after each trial with all that are over.
        seconds: Time limit; an epoch that has begun is finished.

    Raises:
        LociscopeError: An error that would stop every trial: unreadable fields, a full disk.
        OutOfTimeError: The time limit is reached.
    """
    import optuna

    ends = time.monotonic() + seconds
    own = get_recipe_values(space, recipe)
    if own is not None and not study.get_trials(deepcopy=False):
        study.enqueue_trial(own, user_attrs={OWN: True})
    remove_large_files(finished_trials(study), results)
    while len(finished_trials(study)) < trials:
        if time.monotonic() >= ends:
            raise OutOfTimeError
        trial = _next_trial(study, recipe.train.seed)
        run = results.run(trial.number)
        try:
            _run_trial(study, trial, recipe, space, run, train, ends)
        except LociscopeError as error:
            if not _is_caused_by_values(error, run):
                raise
            reason = str(error).partition(". ")[0].removesuffix(".")  # without the remedy: the search is the remedy
            trial.set_user_attr(WHY, f"{reason}.")
            _end_trial(study, trial, run, None, optuna.trial.TrialState.FAIL)
        done = finished_trials(study)
        remove_large_files(done, results)
        on_trial(done)


def _next_trial(study: optuna.Study, seed: int) -> optuna.Trial:
    """Return the trial that was interrupted, or a new one."""
    import optuna

    running = [each for each in study.get_trials(deepcopy=False) if each.state == optuna.trial.TrialState.RUNNING]
    number = running[0].number if running else len(finished_trials(study))
    sampler_seed = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
    study.sampler = optuna.samplers.TPESampler(seed=sampler_seed)
    if running:
        return optuna.Trial(study, running[0]._trial_id)  # noqa: SLF001 - Optuna has no other way to resume a trial
    return study.ask()


def _run_trial(
    study: optuna.Study,
    trial: optuna.Trial,
    recipe: Recipe,
    space: Space,
    run: Run,
    train: Train,
    ends: float,
) -> None:
    """Run one trial, from its values to its score."""
    import optuna

    values = {key: _suggest_value(trial, key, each) for key, each in space.items()}
    changed = replace_values(recipe, values, "The recipe")
    words = ", ".join(
        f"{key} = {value:.4g}" if isinstance(value, float) else f"{key} = {value}" for key, value in values.items()
    )
    changed = changed.model_copy(update={"note": f"Trial {trial.number}: {words}"})
    epochs = get_trainer(changed).count_epochs(changed)
    reported = set(study.get_trials(deepcopy=False)[trial.number].intermediate_values)

    def on_epoch(row: dict[str, float]) -> None:
        epoch = int(row["epoch"])
        if epoch not in reported:  # an epoch after the last checkpoint is trained and reported again
            trial.report(-row["val_loss"], epoch)  # negated, since the study maximises
        reported.add(epoch)
        if epoch < epochs and _should_prune(study, trial, epochs):
            raise optuna.TrialPruned
        if epoch < epochs and time.monotonic() >= ends:
            raise OutOfTimeError

    try:
        train(changed, run.folder, on_epoch)
    except optuna.TrialPruned:
        _end_trial(study, trial, run, None, optuna.trial.TrialState.PRUNED)
        return
    score, precision = score_run(run)
    trial.set_user_attr(AP, precision)
    _end_trial(study, trial, run, score, optuna.trial.TrialState.COMPLETE)


def _should_prune(study: optuna.Study, trial: optuna.Trial, epochs: int) -> bool:
    """Return whether the trial's lowest loss is above the median of the complete trials at the same epoch.

    Only trials with the same `train.loss` are compared: losses of two kinds are different quantities.
    """
    import optuna

    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    comparable = optuna.create_study(direction="maximize")
    comparable.add_trials(
        [each for each in complete if each.params.get("train.loss") == trial.params.get("train.loss")]
    )
    warmup = int(WARMUP_SHARE * epochs) + 1
    pruner = optuna.pruners.MedianPruner(STARTUP_TRIALS, warmup, n_min_trials=STARTUP_TRIALS)
    return pruner.prune(comparable, study.get_trials(deepcopy=False)[trial.number])


def _end_trial(
    study: optuna.Study, trial: optuna.Trial, run: Run, score: float | None, state: optuna.trial.TrialState
) -> None:
    trial.set_user_attr(MINUTES, get_minutes(run))
    study.tell(trial, score, state)


def _suggest_value(trial: optuna.Trial, key: str, dimension: Range | Choice) -> Any:  # noqa: ANN401 - a recipe's value
    if not isinstance(dimension, Range):
        return trial.suggest_categorical(key, dimension.values)
    if dimension.is_integer:
        return trial.suggest_int(key, int(dimension.low), int(dimension.high), log=dimension.log)
    return trial.suggest_float(key, dimension.low, dimension.high, log=dimension.log)


def _is_caused_by_values(error: LociscopeError, run: Run) -> bool:
    """Return whether the trial's values caused the error; unreadable fields or a full disk would stop any trial."""
    return isinstance(error, UsageError) or (run.recipe_file.is_file() and not isinstance(error.__cause__, OSError))
