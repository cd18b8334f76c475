"""The interface of a trainer, and the registry of the kinds of model that a recipe can train."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from lociscope.errors import Code, UsageError, suggest

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.artifacts.bundle import Bundle, Reference
    from lociscope.artifacts.recipe import Recipe
    from lociscope.artifacts.run import Run
    from lociscope.data.datasets import LabelledFields, TrainingData
    from lociscope.images.discovery.sources import Failure
    from lociscope.processes.progress import ProgressCallback
    from lociscope.training.tuning.space import Space

Device = Literal["auto", "cpu", "gpu"]
EpochCallback = Callable[[dict[str, float]], None]
"""Called with each row of the history once it is stored; an error that it raises leaves the Run unfinished."""

TRAINERS = {
    "network": "lociscope.training.keras_trainer",
    "features": "lociscope.training.feature_trainer",
}
"""`network.kind` of a recipe → the module that implements `Trainer`. A new kind is one file and one line here."""


class Trainer(Protocol):
    """The functions that a module in `TRAINERS` defines.

    Attributes:
        LIBRARY: The library that `check` loads, as shown to a user who waits for it.
    """

    LIBRARY: str

    def check(self, recipe: Recipe, device: Device = "auto") -> None:
        """Raise an error now for whatever `fit` would refuse later: options, layers, devices, missing libraries.

        Raises:
            UsageError: The recipe has an unknown option or a value out of its range.
            LociscopeError: A device is not available.
            MissingExtraError: A library is not installed.
        """

    def count_epochs(self, recipe: Recipe) -> int:
        """Return the largest number of epochs, which is also that of the calls of `on_epoch`."""

    def get_options(self, recipe: Recipe) -> dict[str, Any]:
        """Return the model's options by name, with defaults for those that the recipe leaves out."""

    def get_default_space(self, recipe: Recipe) -> Space:
        """Return the hyperparameters that `lociscope tune` searches where a recipe has no `[tune]` table."""

    def prepare(
        self,
        recipe: Recipe,
        catalog: Path | None,
        folder: Path,
        failures: list[Failure],
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
        store: Path | None = None,
    ) -> LabelledFields:
        """Return all labelled fields of a Catalog, or simulated ones, in the form that `fit` takes.

        Args:
            recipe: The recipe.
            catalog: The Catalog's path; None to simulate fields.
            folder: Where the prepared fields are kept if `store` is None.
            failures: Extended by the fields that cannot be read.
            workers: Number of processes.
            progress: Called with (done, total).
            store: Keeps the prepared fields for other trainings, too.
        """

    def prepare_datasets(
        self,
        recipe: Recipe,
        catalog: Path | None,
        folder: Path,
        failures: list[Failure],
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
        store: Path | None = None,
    ) -> TrainingData:
        """Return the fields of `prepare`, split into training and validation."""

    def fit(
        self,
        recipe: Recipe,
        datasets: TrainingData,
        folder: Path,
        progress: ProgressCallback = ...,
        on_epoch: EpochCallback | None = None,
    ) -> Run:
        """Train, or resume a training that was interrupted, and return the finished Run.

        Args:
            recipe: The recipe.
            datasets: Fields of `prepare_datasets`, or one fold of those of `prepare`.
            folder: The Run's folder.
            progress: Called with (steps done, steps in all, text).
            on_epoch: Called after each epoch.
        """

    def export(
        self,
        run: Run,
        folder: Path,
        name: str,
        licence: str,
        limits: str = ...,
        refer: Callable[[Bundle], tuple[Reference, dict[str, Any]]] | None = None,
    ) -> float:
        """Write a Run, or the average of its folds, as a Bundle.

        Returns:
            The largest difference of a probability between the trained and the exported model.
        """


def get_trainer(recipe: Recipe) -> Trainer:
    """Return the trainer of a recipe's `network.kind`.

    Raises:
        UsageError: The kind is not known.
    """
    kind = recipe.network.kind
    if kind not in TRAINERS:
        raise UsageError(f"network.kind is {kind!r}.{suggest(kind, TRAINERS)}", code=Code.UNKNOWN_NAME)
    return cast("Trainer", import_module(TRAINERS[kind]))
