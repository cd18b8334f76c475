"""Options and default search space of the networks in `lociscope.models`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, get_args

from lociscope.models import find_builder
from lociscope.training.tuning.space import Choice, Range, Space

if TYPE_CHECKING:
    from lociscope.artifacts.recipe import Recipe

TENFOLD = 10


def default_space(recipe: Recipe) -> Space:
    """Return a few hyperparameters that often matter, each with a range around the recipe's value.

    Returns:
        The learning rates (a tenth to ten times), weight decay, brightness, noise, and the head's pooling and dropout
        where the network has them.

    Raises:
        UsageError: The network is not known.
        MissingExtraError: TensorFlow is not installed.
    """
    options = network_options(recipe)
    rates = {f"stages.{i}.learning_rate": stage.learning_rate for i, stage in enumerate(recipe.stages, 1)}
    rates = rates or {"train.learning_rate": recipe.train.learning_rate}
    space: Space = {
        key: Range(low=rate / TENFOLD, high=min(rate * TENFOLD, 10.0), log=True) for key, rate in rates.items()
    }
    if recipe.train.weight_decay:
        space["train.weight_decay"] = Range.around(recipe.train.weight_decay, 1e-6, 0.1, log=True)
    space["augment.gain"] = Range.around(recipe.augment.gain, 0.0, 0.5)
    space["augment.noise"] = Range.around(recipe.augment.noise, 0.0, 0.1)
    if "dropout" in options:
        space["network.dropout"] = Range.around(options["dropout"], 0.0, 0.6)
    pooling = _signature(recipe).parameters.get("pooling")
    if pooling is not None and len(get_args(pooling.annotation)) > 1:
        space["network.pooling"] = Choice(values=get_args(pooling.annotation))
    return space


def network_options(recipe: Recipe) -> dict[str, Any]:
    """Return the network's options by name, with defaults for those that the recipe leaves out.

    Raises:
        UsageError: The network is not known.
        MissingExtraError: TensorFlow is not installed.
    """
    defaults = {name: each.default for name, each in _signature(recipe).parameters.items()}
    return {**defaults, **recipe.network.options}


def _signature(recipe: Recipe) -> inspect.Signature:
    """Return the signature of the function that builds the network, with its annotations evaluated."""
    return inspect.signature(find_builder(recipe.network.name), eval_str=True)
