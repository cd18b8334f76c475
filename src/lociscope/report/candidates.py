"""Read the candidates of a comparison: Runs, and folders of folds with their out-of-fold Predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.artifacts.folds import open_training
from lociscope.decide.checks import check_probability
from lociscope.errors import Code, LociscopeError
from lociscope.labels import to_multi_hot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from lociscope.artifacts.recipe import Recipe
    from lociscope.artifacts.run import Run
    from lociscope.models.cost import Cost

IGNORED_KEYS = ("schema", "note")
"""Keys of a recipe that have no effect on the training."""
NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A Run, or the folds of one recipe.

    Attributes:
        name: Its unique name in the comparison.
        folder: The folder of the Run or of the folds.
        runs: The Run, or one Run per fold.
        recipe: The recipe of the (first) Run.
        data: Source of the fields, as text.
        train_fields: Number of training fields of the (first) Run.
        parameters: Number of parameters of one network; None for the features recipe, which has no network.
        size: Bytes of the networks on disk.
        histories: For each Run, one mapping per epoch.
        ids: Names of the n fields that were predicted by a network that was not trained on them.
        truth: (n, 28) of uint8.
        probability: (n, 28) of float64 in 0–1.
        groups: (n,) names of specimens or antibodies; None where each field is its own group, or groups are unknown.
        scores: Scores measured by other scripts, from `Run.read_scores`.
        cost: The cost of the (first) network; None where unknown.
    """

    name: str
    folder: Path
    runs: tuple[Run, ...]
    recipe: Recipe
    data: str
    train_fields: int
    parameters: int | None
    size: int
    histories: tuple[list[dict[str, float]], ...]
    ids: tuple[str, ...]
    truth: np.ndarray
    probability: np.ndarray
    groups: np.ndarray | None
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    cost: Cost | None = None

    @property
    def minutes(self) -> float:
        """Minutes of training, all folds together."""
        return sum(row.get("seconds", 0.0) for history in self.histories for row in history) / 60

    @property
    def epochs(self) -> str:
        """The epoch with the lowest validation loss and the number of epochs, `14 of 20`; for folds the ranges."""
        ends = sorted({len(history) for history in self.histories})
        best = sorted({int(min(history, key=lambda row: row["val_loss"])["epoch"]) for history in self.histories})
        return f"{_format_range(best)} of {_format_range(ends)}"


def _format_range(numbers: list[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}–{numbers[-1]}"


def read_candidate(folder: Path, name: str) -> Candidate:
    """Read a finished Run, or a folder of folds, as a candidate.

    Args:
        folder: A Run, or the folder of `train --folds`.
        name: The name in the comparison.

    Raises:
        LociscopeError: The folder is not a Run, is not finished, or is damaged.
    """
    whole, runs = open_training(folder)
    first = runs[0]
    predictions, group_of = whole.read_predictions(), whole.read_groups()
    if len(predictions) < 2:
        raise LociscopeError(
            f"Run '{folder}' has {len(predictions)} validation field(s), so it cannot be scored. "
            "Train again with more fields.",
            code=Code.NOT_ENOUGH_DATA,
        )
    order = sorted(range(len(predictions)), key=lambda row: predictions.ids[row])
    predictions = predictions.take(order)
    groups = np.array([group_of.get(field, field) for field in predictions.ids])
    truth = to_multi_hot(whole.find_labels(predictions.ids))
    environment, histories = first.read_environment(), tuple(run.read_history() for run in runs)
    if not all(histories):
        raise LociscopeError(f"Run '{folder}' has a history without an epoch. Train again.", code=Code.INVALID_VALUE)
    return Candidate(
        name=name,
        folder=folder,
        runs=tuple(runs),
        recipe=first.read_recipe(),
        data=environment.data.describe(),
        train_fields=environment.fields.get("train", 0),
        parameters=environment.parameters or None,
        size=sum(_size(run) for run in runs),
        histories=histories,
        ids=tuple(predictions.ids),
        truth=truth,
        probability=check_probability(np.asarray(predictions.probability, np.float64), truth),
        groups=groups if 1 < len(set(groups.tolist())) < len(groups) else None,
        scores=whole.read_scores(),
    )


def _size(run: Run) -> int:
    models = (path for path in (run.best_model, run.best_features) if path.is_file())
    return sum(path.stat().st_size for path in models)


def unique_names(folders: Sequence[Path]) -> list[str]:
    """Return a unique name for each folder: its own name, with as many parents as distinguish it from the others."""
    parts = [folder.resolve().parts for folder in folders]
    return [
        next(
            (
                "/".join(own[-depth:])
                for depth in range(1, len(own))
                if sum(other[-depth:] == own[-depth:] for other in parts) == 1
            ),
            "/".join(own[1:]),
        )
        for own in parts
    ]


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values by dotted key; those of an array by their position from 1: `stages.1.epochs`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        inner = dict(enumerate(value, start=1)) if isinstance(value, list | tuple) else value
        if isinstance(inner, dict):
            flat |= flatten({str(each): inner[each] for each in inner}, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def diff_recipes(recipe: Recipe, before: Recipe) -> list[tuple[str, str, str]]:
    """Return the differences between two recipes: dotted key, value before, value now; a dash where there is none.

    Args:
        recipe: The later recipe.
        before: The recipe to compare it with.
    """
    now, then = (flatten(each.model_dump(by_alias=True)) for each in (recipe, before))
    keys = [*now, *(key for key in then if key not in now)]
    return [
        (key, _format_value(then, key), _format_value(now, key))
        for key in keys
        if key not in IGNORED_KEYS and _format_value(then, key) != _format_value(now, key)
    ]


def _format_value(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return NOTHING
    value = values[key]
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def describe_changes(differences: Iterable[tuple[str, str, str]]) -> str:
    """Format differences: `train.epochs 5 → 20, train.loss bce → focal`."""
    return ", ".join(f"{key} {then} → {now}" for key, then, now in differences)
