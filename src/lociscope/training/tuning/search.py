"""Tuning: trial after trial, each a Run with other values, until a study has as many as were asked for."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.errors import LociscopeError, UsageError
from lociscope.training.stages import max_epochs
from lociscope.training.tuning.networks import get_recipe_values
from lociscope.training.tuning.space import Range, replace_values
from lociscope.training.tuning.trials import (
    AP,
    MINUTES,
    OWN,
    WHY,
    finished_trials,
    get_minutes,
    remove_large_files,
    score_run,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import optuna

    from lociscope.artifacts.recipe import Recipe
    from lociscope.artifacts.run import Run
    from lociscope.artifacts.study import Study, TrialRecord
    from lociscope.training.tuning.space import Choice, Space

    OnEpoch = Callable[[dict[str, float]], None]
    Train = Callable[[Recipe, Path, OnEpoch], object]

FIRST = 4
"""Trials that must have finished before one is cut short."""
SPARED = 0.25
"""Share of its epochs that every trial may take: a high learning rate starts badly and may end well."""


class OutOfTimeError(Exception):
    """The time is over; the trial goes on when the command is given again."""


def tune(
    study: optuna.Study,
    place: Study,
    recipe: Recipe,
    space: Space,
    trials: int,
    train: Train,
    told: Callable[[list[TrialRecord]], None],
    seconds: float = float("inf"),
) -> None:
    """Makes trials until there are so many, going on with one that was cut off.

    The first is the recipe as it stands. The others are drawn by a tree-structured Parzen estimator (Bergstra et al.,
    *Algorithms for hyper-parameter optimization*, NeurIPS 2011) whose seed is that of the recipe and the trial's
    number, so that a study that was interrupted makes the same trials as one that was not. They are judged by LRAP on
    the validation fields: it needs no thresholds, and rests on all fields where macro-F1 and macro-AP mostly tell the
    luck of the rarest classes.

    Args:
        study: Opened by `lociscope.training.tuning.database.opened`.
        place: Where it lies.
        recipe: What does not vary.
        space: What does; passed by `check_models`.
        trials: Finished, pruned and failed ones in all.
        train: Makes a Run of a recipe in a folder; calls with the row of each epoch, and passes on what that raises.
        told: Called after each trial, with all that are over.
        seconds: How long to go on; an epoch that has begun is finished.

    Raises:
        LociscopeError: What keeps any trial from working: unreadable fields, a full disk.
        OutOfTimeError: The time is over.
    """
    import optuna

    ends = time.monotonic() + seconds
    own = get_recipe_values(space, recipe)
    if own is not None and not study.get_trials(deepcopy=False):
        study.enqueue_trial(own, user_attrs={OWN: True})
    remove_large_files(finished_trials(study), place)
    while len(finished_trials(study)) < trials:
        if time.monotonic() >= ends:
            raise OutOfTimeError
        trial = _next(study, recipe.train.seed)
        run = place.run(trial.number)
        try:
            _train(study, trial, recipe, space, run, train, ends)
        except LociscopeError as error:
            if not _to_blame(error, run):
                raise
            trial.set_user_attr(WHY, str(error).partition(". ")[0].removesuffix(".") + ".")  # the remedy is the search
            _end(study, trial, run, None, optuna.trial.TrialState.FAIL)
        done = finished_trials(study)
        remove_large_files(done, place)
        told(done)


def _next(study: optuna.Study, seed: int) -> optuna.Trial:
    """The trial that was cut off, or a new one."""
    import optuna

    cut_off = [each for each in study.get_trials(deepcopy=False) if each.state == optuna.trial.TrialState.RUNNING]
    number = cut_off[0].number if cut_off else len(finished_trials(study))
    seeded = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
    study.sampler = optuna.samplers.TPESampler(seed=seeded)
    if cut_off:
        return optuna.Trial(study, cut_off[0]._trial_id)  # noqa: SLF001 - Optuna has no other way to go on with one
    return study.ask()


def _train(
    study: optuna.Study,
    trial: optuna.Trial,
    recipe: Recipe,
    space: Space,
    run: Run,
    train: Train,
    ends: float,
) -> None:
    """One trial, from its values to its score."""
    import optuna

    values = {key: _suggested(trial, key, each) for key, each in space.items()}
    made = replace_values(recipe, values, "The recipe")
    said = ", ".join(
        f"{key} = {value:.4g}" if isinstance(value, float) else f"{key} = {value}" for key, value in values.items()
    )
    made = made.model_copy(update={"note": f"Trial {trial.number}: {said}"})
    epochs = max_epochs(made)
    losses = _losses(study.get_trials(deepcopy=False)[trial.number])

    def on_epoch(row: dict[str, float]) -> None:
        epoch = int(row["epoch"])
        if epoch not in losses:  # one that a checkpoint repeats is known
            trial.report(-row["val_loss"], epoch)  # negated: the study's values are the larger the better
        losses[epoch] = row["val_loss"]
        if SPARED * epochs < epoch < epochs and falls_behind(losses, _rivals(study, trial)):
            raise optuna.TrialPruned
        if epoch < epochs and time.monotonic() >= ends:
            raise OutOfTimeError

    try:
        train(made, run.folder, on_epoch)
    except optuna.TrialPruned:
        _end(study, trial, run, None, optuna.trial.TrialState.PRUNED)
        return
    score, precision = score_run(run)
    trial.set_user_attr(AP, precision)
    _end(study, trial, run, score, optuna.trial.TrialState.COMPLETE)


def _end(
    study: optuna.Study, trial: optuna.Trial, run: Run, score: float | None, state: optuna.trial.TrialState
) -> None:
    trial.set_user_attr(MINUTES, get_minutes(run))
    study.tell(trial, score, state)


def _suggested(trial: optuna.Trial, key: str, dimension: Range | Choice) -> Any:  # noqa: ANN401 - a recipe's value
    if not isinstance(dimension, Range):
        return trial.suggest_categorical(key, dimension.values)
    if dimension.whole:
        return trial.suggest_int(key, int(dimension.low), int(dimension.high), log=dimension.log)
    return trial.suggest_float(key, dimension.low, dimension.high, log=dimension.log)


def _rivals(study: optuna.Study, trial: optuna.Trial) -> list[dict[int, float]]:
    """Validation losses by epoch of the trials that came to their end with the same kind of loss."""
    import optuna

    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    alike = [each for each in complete if each.params.get("train.loss") == trial.params.get("train.loss")]
    return [_losses(each) for each in alike]


def _losses(trial: optuna.trial.FrozenTrial) -> dict[int, float]:
    """Validation losses by epoch."""
    return {epoch: -value for epoch, value in trial.intermediate_values.items()}


def falls_behind(losses: Mapping[int, float], rivals: Sequence[Mapping[int, float]]) -> bool:
    """The median rule: is the best loss so far above the median of what others had reached by the same epoch?

    After Golovin et al., *Google Vizier: a service for black-box optimization*, KDD 2017, section 3.2.2.

    Args:
        losses: By epoch.
        rivals: The same of trials that came to their end.

    Returns:
        Whether to stop; never before there are `FIRST` rivals.
    """
    reached = [
        min(by_then) for each in rivals if (by_then := [loss for epoch, loss in each.items() if epoch <= max(losses)])
    ]
    return len(reached) >= FIRST and not min(losses.values()) <= median(reached)


def _to_blame(error: LociscopeError, run: Run) -> bool:
    """Whether the trial's values brought the error about; unreadable fields or a full disk would stop any trial."""
    return isinstance(error, UsageError) or (run.recipe_file.is_file() and not isinstance(error.__cause__, OSError))
