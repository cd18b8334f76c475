"""Tune a recipe: search its hyperparameters in a study of many Runs, and write the best recipe."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lociscope.artifacts.catalog import hash_catalog
from lociscope.artifacts.recipe import Recipe
from lociscope.artifacts.study import Study, TrialRecord, find_best_trial
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import Failure, write_failures
from lociscope.processes.progress import show_nothing
from lociscope.report.page import link_files
from lociscope.report.study import write_study
from lociscope.storage.paths import as_path
from lociscope.training.trainer import get_trainer
from lociscope.training.tuning.database import Subject, import_optuna, open_study
from lociscope.training.tuning.search import OutOfTimeError, check_models, tune
from lociscope.training.tuning.space import Range, check_space, read_space
from lociscope.training.tuning.trials import finished_trials, get_importances, measure_gain, write_best_recipe
from lociscope.workflows.train import FAILURES, fit_run

if TYPE_CHECKING:
    from collections.abc import Callable

    import optuna

    from lociscope.decide.intervals import Interval
    from lociscope.processes.progress import ProgressDisplay
    from lociscope.storage.paths import AnyPath
    from lociscope.training.trainer import Device, EpochCallback
    from lociscope.training.tuning.space import Space


@dataclass(frozen=True, slots=True)
class TuningResult:
    """The result of `tune_recipe`.

    Attributes:
        study: The study's folder.
        trials: The trials that are over, by number.
        gain: LRAP of the best trial minus LRAP of the recipe itself, where both are known and differ.
        failures: The fields that the last trial could not read.
        out_of_time: Whether the time limit ended the search.
    """

    study: Study
    trials: list[TrialRecord]
    gain: Interval | None
    failures: list[Failure]
    out_of_time: bool

    def get_best(self) -> TrialRecord:
        """Return the trial with the highest LRAP.

        Raises:
            LociscopeError: No trial is complete.
        """
        best = find_best_trial(self.trials)
        if best is not None:
            return best
        why = next(
            (f"the last one failed. {trial.why}" for trial in reversed(self.trials) if trial.why), "none is over yet."
        )
        remedy = "Allow more time."
        if self.trials:
            remedy = "Correct the recipe, or narrow the search space, and name another folder with `output`."
        raise LociscopeError(
            f"No trial in '{self.study.folder}' has a score: {why} {remedy}",
            code=Code.TRAINING if self.trials else Code.INCOMPLETE,
        )


def tune_recipe(
    name: str,
    trials: int,
    folder: AnyPath,
    *,
    changes: dict[str, Any] | None = None,
    catalog: AnyPath | None = None,
    store: AnyPath | None = None,
    workers: int = 1,
    seconds: float = float("inf"),
    device: Device = "auto",
    progress: ProgressDisplay = show_nothing,
    on_trial: Callable[[TrialRecord, TrialRecord | None], None] | None = None,
) -> TuningResult:
    """Search the hyperparameters of a recipe, or continue a search.

    Args:
        name: A shipped recipe's name, or a path; its `[tune]` table is the search space.
        trials: Number of trials in all, those of earlier calls included.
        folder: The study's folder.
        changes: Values of the recipe by dotted key; these keys are not searched.
        catalog: Labelled fields; None to simulate them.
        store: Where prepared fields are kept for other trainings; None to remove them after the last trial.
        workers: Number of processes that simulate or read fields.
        seconds: Time limit, after which no other epoch begins.
        device: Device on which networks are trained.
        progress: Shows the progress of each step.
        on_trial: Called after each trial with (its record, the best so far), and once for the last trial of an
            earlier call.

    Raises:
        LociscopeError: The recipe, the search space or the fields cannot be used, or the folder holds another study.
        MissingExtraError: Optuna is not installed.
    """
    folder, catalog, store = as_path(folder), as_path(catalog), as_path(store)
    import_optuna()
    recipe, space = _read_recipe(name, changes or {}, device, progress)
    results, failures, out_of_time = Study(folder), list[Failure](), False
    fields = "simulated" if catalog is None else hash_catalog(catalog)

    def train(changed: Recipe, run: Path, on_epoch: EpochCallback) -> None:
        fitted = fit_run(
            changed, catalog, run, workers=workers, store=store or results.fields, progress=progress, on_epoch=on_epoch
        )
        failures[:] = fitted.failures

    with open_study(results, Subject.from_recipe(recipe, space, fields)) as study:
        write = partial(_write_results, study, results, space, name, on_trial)
        write(finished_trials(study))
        try:
            tune(study, results, recipe, space, trials, train, write, seconds)
        except OutOfTimeError:
            out_of_time = True
        else:
            shutil.rmtree(results.fields, ignore_errors=True)
        done = finished_trials(study)
    if failures:
        write_failures(failures, results.folder / FAILURES)
    return TuningResult(results, done, measure_gain(done, results), failures, out_of_time)


def _read_recipe(name: str, changes: dict[str, Any], device: Device, progress: ProgressDisplay) -> tuple[Recipe, Space]:
    """Read and check a recipe and its search space: its `[tune]` table or the default, without the changed keys."""
    recipe = Recipe.read(name, changes)
    trainer = get_trainer(recipe)
    with progress(f"loading {trainer.LIBRARY}"):
        trainer.check(recipe, device)
        written = read_space(name) or trainer.get_default_space(recipe)
        searched = {key: each for key, each in written.items() if key not in changes}
        space = check_space(searched, recipe, f"The search space of '{name}'")
        check_models(space, recipe)
    return recipe, space


def _write_results(
    study: optuna.Study,
    results: Study,
    space: Space,
    name: str,
    on_trial: Callable[[TrialRecord, TrialRecord | None], None] | None,
    trials: list[TrialRecord],
) -> None:
    """Write the best recipe, the table of trials and the report, and report the last trial; nothing without trials."""
    if not trials:
        return
    write_best_recipe(trials, results)
    results.write_table(trials, list(space))
    ranges = {key: str(each) for key, each in space.items()}
    log = [key for key, each in space.items() if isinstance(each, Range) and each.log]
    importance, gain = get_importances(study), measure_gain(trials, results)
    files = [(results.table_file, "all trials"), (results.best_file, "the recipe of the best trial")]
    links = link_files(results.page_file, files)
    write_study(results.page_file, Path(name).stem, trials, ranges, log, importance, gain, links)
    if on_trial is not None:
        on_trial(trials[-1], find_best_trial(trials))
