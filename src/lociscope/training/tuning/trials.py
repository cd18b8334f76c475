"""Read the trials of a study, find and write the best recipe, and remove what need not be stored."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.artifacts.study import Study, TrialRecord, find_best_trial
from lociscope.decide.intervals import Interval, paired_bootstrap
from lociscope.decide.metrics import lrap, macro_average_precision
from lociscope.errors import Code, LociscopeError
from lociscope.labels import to_multi_hot
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    import optuna

    from lociscope.artifacts.run import Run

OWN, AP, MINUTES, WHY = "own", "macro_average_precision", "minutes", "why"
"""User attributes of a trial besides its values and its score: see `TrialRecord`."""
MIN_SCORES = 4
"""Different scores that importances need."""
STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}


def finished_trials(study: optuna.Study) -> list[TrialRecord]:
    """Return the trials that are over, by number."""
    return [_to_record(trial) for trial in study.get_trials(deepcopy=False) if trial.state.name in STATES]


def _to_record(trial: optuna.trial.FrozenTrial) -> TrialRecord:
    state, attributes = STATES[trial.state.name], trial.user_attrs
    losses = [-value for value in trial.intermediate_values.values()]
    return TrialRecord(
        trial.number,
        state,
        trial.value if state == "complete" else None,  # of a pruned trial Optuna takes the last loss as the value
        attributes.get(AP),
        len(losses),
        min(losses, default=None),
        attributes.get(MINUTES, 0.0),
        dict(trial.params),
        attributes.get(OWN, False),
        attributes.get(WHY, ""),
    )


def get_importances(study: optuna.Study) -> dict[str, float]:
    """Return how much each key decides whether a trial is among the better ones, as shares of 1, the largest first.

    PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023). Empty where fewer than four trials are complete, or all of
    them have the same score.
    """
    import optuna

    scores = {trial.lrap for trial in finished_trials(study) if trial.lrap is not None}
    if len(scores) < MIN_SCORES:
        return {}
    found: dict[str, Any] = optuna.importance.get_param_importances(study)
    return {key: float(share) for key, share in sorted(found.items(), key=lambda each: -each[1])}


def measure_gain(trials: list[TrialRecord], study: Study) -> Interval | None:
    """Return the difference in LRAP between the best trial and the recipe itself, on the same fields.

    Returns:
        With a 90 % interval, by groups of fields where they are known; None where either is missing, or both are one.
    """
    best, own = find_best_trial(trials), next((trial for trial in trials if trial.own and trial.lrap is not None), None)
    if best is None or own is None or best is own:
        return None
    run, before = study.run(best.number), study.run(own.number)
    ours, theirs = run.read_predictions(), before.read_predictions()
    groups = run.read_groups()
    return paired_bootstrap(
        lrap,
        to_multi_hot(run.find_labels(ours.ids)),
        ours.probability,
        theirs.probability,
        groups=np.array([groups[name] for name in ours.ids]) if groups else None,
    )


def score_run(run: Run) -> tuple[float, float]:
    """Return LRAP and macro-AP of a Run's predictions of its validation fields.

    Raises:
        LociscopeError: The predictions cannot be read, or no validation field has a label.
    """
    predictions = run.read_predictions()
    truth = to_multi_hot(run.find_labels(predictions.ids))
    if not truth.any():
        raise LociscopeError(
            "No validation field has a location, so no trial can be scored. Hold out others.",
            code=Code.NOT_ENOUGH_DATA,
        )
    return lrap(truth, predictions.probability), float(macro_average_precision(truth, predictions.probability))


def get_minutes(run: Run) -> float:
    """Return the duration of a Run's epochs in minutes; 0 where it has none."""
    return round(sum(row["seconds"] for row in run.read_history()) / 60, 2) if run.history_file.is_file() else 0.0


def remove_large_files(trials: list[TrialRecord], study: Study) -> None:
    """Remove the weights of all trials but the best, and every checkpoint.

    Recipe, history and predictions remain, so that trials can be compared.
    """
    best = find_best_trial(trials)
    for trial in trials:
        run = study.run(trial.number)
        large = [run.checkpoints, run.folder / "tensorboard"]
        if trial is not best:
            large += [run.best_model, run.best_features]
        for path in large:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def write_best_recipe(trials: list[TrialRecord], study: Study) -> None:
    """Write `best.toml`, which `lociscope train` takes; nothing while no trial is complete.

    Raises:
        LociscopeError: It cannot be written.
    """
    best = find_best_trial(trials)
    if best is None:
        return
    run = study.run(best.number)
    if not run.recipe_file.is_file():
        raise LociscopeError(
            f"The Run of the best trial, '{run.folder}', is missing. Begin another study with `output`.",
            code=Code.NOT_FOUND,
        )
    head = (
        f"# Trial {best.number} of the study '{study.folder.resolve().name}', the best of {len(trials)}: "
        f"LRAP {best.lrap:.4f} on the validation fields.\n"
        "# It was selected by this score, so expect a slightly lower one on new fields. Its Run is "
        f"{run.folder.relative_to(study.folder).as_posix()}.\n"
        f"#\n#   lociscope train {study.best_file.name} -o RUN\n"
    )
    with atomic_write(study.best_file) as part:
        run.read_recipe().write(part)
        part.write_text(head + part.read_text(encoding="utf-8"), encoding="utf-8")
