"""`lociscope tune`: a Recipe becomes a study of many Runs, and a better Recipe."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.cli.train import FAILURES, CatalogPath, DeviceOption, RecipeName, Workers, check, fit_run
from lociscope.errors import Code, Exit, LociscopeError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import optuna

    from lociscope.artifacts.recipe import Recipe
    from lociscope.artifacts.study import Study, TrialRecord
    from lociscope.images.discovery.sources import Failure
    from lociscope.training.tuning.space import Space

    OnEpoch = Callable[[dict[str, float]], None]


def tune(
    recipe: RecipeName,
    trials: Annotated[int, typer.Option("--trials", "-n", min=1, help="How many in all, those of before included.")],
    catalog: CatalogPath = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="Change a value, which is then not searched: train.epochs=3. Repeatable."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The study to make or to go on with; studies/<recipe>.")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store",
            metavar="DIR",
            envvar="LOCISCOPE_STORE",
            help="Keep prepared fields here, for others too; without it they are removed when the trials are done.",
        ),
    ] = None,
    workers: Workers = 2,
    timeout: Annotated[
        float | None, typer.Option(metavar="MIN", min=0.01, help="Minutes after which no other epoch begins.")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Search for better values of a recipe. Given again it goes on, to as many trials in all as --trials says."""
    from lociscope.artifacts.catalog import hash_catalog
    from lociscope.artifacts.recipe import Recipe
    from lociscope.artifacts.recipe_changes import parse_changes
    from lociscope.artifacts.study import Study
    from lociscope.training.tuning.database import Subject, import_optuna, open_study
    from lociscope.training.tuning.networks import check_models
    from lociscope.training.tuning.search import OutOfTimeError
    from lociscope.training.tuning.search import tune as search
    from lociscope.training.tuning.trials import finished_trials

    import_optuna()
    changes = parse_changes(settings or [])
    resolved = Recipe.read(recipe, changes)
    check(resolved, device)
    space = _space(recipe, resolved, changes.keys())
    place = Study(output or Path("studies") / Path(recipe).stem)
    if output is None:
        console.note(f"Study '{place.folder}'")
    check_models(space, resolved)
    failures: list[Failure] = []
    fields = "simulated" if catalog is None else hash_catalog(catalog)
    with open_study(place, Subject.of(resolved, space, fields)) as study:
        tell_all = partial(_tell, study, place, space, recipe)

        def fit(made: Recipe, folder: Path, on_epoch: OnEpoch) -> None:
            failures[:] = fit_run(made, catalog, folder, workers, store or place.fields, on_epoch)

        tell_all(finished_trials(study))
        try:
            search(study, place, resolved, space, trials, fit, tell_all, 60 * (timeout or float("inf")))
        except OutOfTimeError:
            console.note(f"The {timeout:g} minutes are over. Give the same command again to go on.")
        else:
            shutil.rmtree(place.fields, ignore_errors=True)
        done = finished_trials(study)
    _leave(done, place, failures)


def _space(name: str, recipe: Recipe, fixed: Collection[str]) -> Space:
    """What is searched: the recipe's own `[tune]` or the usual keys, but for those that `--set` decides."""
    from lociscope.training.tuning.networks import default_space
    from lociscope.training.tuning.space import check_space, read_space

    written = read_space(name)
    space = {key: each for key, each in (written or default_space(recipe)).items() if key not in fixed}
    return check_space(space, recipe, f"The search space of '{name}'")


def _tell(study: optuna.Study, place: Study, space: Space, name: str, trials: list[TrialRecord]) -> None:
    """Writes what is known by now, and says how the last trial ended."""
    from lociscope.artifacts.study import find_best_trial
    from lociscope.report.study import write_study
    from lociscope.training.tuning.space import Range
    from lociscope.training.tuning.trials import get_importances, measure_gain, write_best

    if not trials:
        return
    write_best(trials, place)
    place.write_table(trials, list(space))
    words = {key: str(each) for key, each in space.items()}
    log = [key for key, each in space.items() if isinstance(each, Range) and each.log]
    write_study(
        place.page_file, Path(name).stem, trials, words, log, get_importances(study), measure_gain(trials, place)
    )
    last, best = trials[-1], find_best_trial(trials)
    how = last.why if last.state == "failed" else last.state if last.lrap is None else f"LRAP {last.lrap:.4f}"
    known = f"; best {best.lrap:.4f}, trial {best.number}" if best else ""
    console.note(f"trial {last.number}: {how}{known}")


def _leave(trials: list[TrialRecord], place: Study, failures: list[Failure]) -> None:
    """Says where the best recipe is.

    Raises:
        LociscopeError: There is none.
    """
    from lociscope.artifacts.study import find_best_trial
    from lociscope.images.discovery.sources import write_failures

    if find_best_trial(trials) is None:
        why = next(
            (f"the last one failed. {trial.why}" for trial in reversed(trials) if trial.why), "none is over yet."
        )
        remedy = "Mend the recipe, or narrow what is searched, and name another -o." if trials else "Give it more time."
        raise LociscopeError(f"No trial in '{place.folder}' has a score: {why} {remedy}", code=Code.INVALID_VALUE)
    print(place.best_file)
    if failures:
        write_failures(failures, place.folder / FAILURES)
        console.tell_failures(failures, place.folder / FAILURES)
        raise typer.Exit(Exit.SOME_FAILED)
