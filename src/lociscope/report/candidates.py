"""What is compared: Runs, and folders of folds with their out-of-fold Predictions, each read as one candidate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.artifacts.folds import Folds
from lociscope.artifacts.run import Run
from lociscope.decide.checks import check_probability
from lociscope.errors import Code, LociscopeError
from lociscope.labels import to_multi_hot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from lociscope.artifacts.recipe import Recipe
    from lociscope.models.cost import Cost

OF_NO_EFFECT = ("schema", "note")
"""Keys of a recipe that change nothing."""
NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A Run, or the folds of one recipe.

    Attributes:
        name: As it is called among the others.
        folder: Where it lies.
        runs: The Run, or one of each fold.
        recipe: Of the (first) Run.
        data: Where the fields came from, in words.
        learned: Fields that the (first) Run learned from.
        parameters: Numbers of one network; None of the features recipe, which has none.
        size: Bytes of the networks on disk.
        histories: Of each Run, one mapping an epoch.
        ids: Names of the n fields that were predicted by a network that had not seen them.
        truth: (n, 28) of uint8.
        probability: (n, 28) of float64 in 0–1.
        groups: (n,) names of specimens or antibodies; None where each field is by itself, or nothing is known.
        scores: What others measured on it, as `Run.read_scores` gives it.
        cost: What its (first) network costs; None where unknown.
    """

    name: str
    folder: Path
    runs: tuple[Run, ...]
    recipe: Recipe
    data: str
    learned: int
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
        """Of training, all folds together."""
        return sum(row.get("seconds", 0.0) for history in self.histories for row in history) / 60

    @property
    def epochs(self) -> str:
        """`14 of 20`: where the validation loss was least, and how many there were; of folds the span of both."""
        ends = sorted({len(history) for history in self.histories})
        best = sorted({int(min(history, key=lambda row: row["val_loss"])["epoch"]) for history in self.histories})
        return f"{_span(best)} of {_span(ends)}"


def _span(numbers: list[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}–{numbers[-1]}"


def read_candidate(folder: Path, name: str) -> Candidate:
    """Reads a finished Run of a network or of the features recipe, or a folder of folds.

    Args:
        folder: What to read.
        name: How to call it.

    Raises:
        LociscopeError: It is no Run, is not finished, or is damaged.
    """
    runs = _runs(folder)
    first, whole = runs[0], Run(folder)
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
        runs=runs,
        recipe=first.read_recipe(),
        data=environment.data.describe(),
        learned=environment.fields.get("train", 0),
        parameters=environment.parameters or None,
        size=sum(_size(run) for run in runs),
        histories=histories,
        ids=tuple(predictions.ids),
        truth=truth,
        probability=check_probability(np.asarray(predictions.probability, np.float64), truth),
        groups=groups if 1 < len(set(groups.tolist())) < len(groups) else None,
        scores=whole.read_scores(),
    )


def _runs(folder: Path) -> tuple[Run, ...]:
    """The one Run, or those of the folds; all finished."""
    folds = Folds.read(folder)
    if folds is None:
        return (Run.open(folder),)
    runs = tuple(folds.runs(folder))
    left = next((run for run in runs if not run.done), None)
    if left is not None:
        raise LociscopeError(
            f"'{left.folder}' is not finished. Give `lociscope train … --folds {folds.k} -o {folder}` again.",
            code=Code.INCOMPLETE,
        )
    return runs


def _size(run: Run) -> int:
    kept = (path for path in (run.best_model, run.best_features) if path.is_file())
    return sum(path.stat().st_size for path in kept)


def unique_names(folders: Sequence[Path]) -> list[str]:
    """A name for each folder: its own, with as many of its parents as tell it from the others."""
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


# === What differs ===


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted key; those of an array by the place from 1: `stages.1.epochs`."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        inner = dict(enumerate(value, start=1)) if isinstance(value, list | tuple) else value
        if isinstance(inner, dict):
            found |= flatten({str(each): inner[each] for each in inner}, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def diff_recipes(recipe: Recipe, before: Recipe) -> list[tuple[str, str, str]]:
    """What differs between two recipes: dotted key, value before, value now; a dash where there was none.

    Args:
        recipe: The later one.
        before: What it is compared with.
    """
    now, then = (flatten(each.model_dump(by_alias=True)) for each in (recipe, before))
    keys = [*now, *(key for key in then if key not in now)]
    return [
        (key, _word(then, key), _word(now, key))
        for key in keys
        if key not in OF_NO_EFFECT and _word(then, key) != _word(now, key)
    ]


def _word(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return NOTHING
    value = values[key]
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def describe_changes(differences: Iterable[tuple[str, str, str]]) -> str:
    """`train.epochs 5 → 20, train.loss bce → focal`."""
    return ", ".join(f"{key} {then} → {now}" for key, then, now in differences)
