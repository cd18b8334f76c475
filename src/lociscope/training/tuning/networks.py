"""What a search space has to do with networks: their options, the usual space, whether it can be built."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any, get_args

from lociscope.models import NETWORKS, build_network
from lociscope.models.features import NAME, read_options
from lociscope.training.tuning.space import Choice, Range, Space, get_value, replace_values

if TYPE_CHECKING:
    from lociscope.artifacts.recipe import Recipe

SHAPES = ("network.", "data.size")
"""Beginnings of the keys that a network is built from."""
TENFOLD = 10


def check_models(space: Space, recipe: Recipe) -> None:
    """Builds the network at every end and choice that decides its shape, so that none fails in the middle.

    Raises:
        UsageError: A network has no such option, or cannot be built with a value.
        MissingExtraError: TensorFlow is not installed.
    """
    changes = [{key: end} for key, each in space.items() if key.startswith(SHAPES) for end in each.ends]
    for values in [{}, *changes]:
        made = replace_values(recipe, values, "The search space")
        if made.network.name == NAME:
            read_options(made.network.options)
        else:
            build_network(made.network.name, made.data.size, made.network.options)


def get_recipe_values(space: Space, recipe: Recipe) -> dict[str, Any] | None:
    """The values that the recipe itself has of what is searched, the network's defaults included.

    Args:
        space: What may vary.
        recipe: One that `check_models` has passed.

    Returns:
        By dotted key; None where a value lies outside of the space, so that the recipe itself is none of its points.
    """
    defaults = {f"network.{name}": value for name, value in _options(recipe).items()}
    values = {key: defaults.get(key) if (own := get_value(recipe, key)) is None else own for key in space}
    return values if all(value in space[key] for key, value in values.items()) else None


def default_space(recipe: Recipe) -> Space:
    """What is searched where a recipe says nothing: a few keys that often matter, around the recipe's own values.

    Returns:
        For networks the learning rates (a tenth to ten times), weight decay, brightness, noise, and the head's
        pooling and dropout where the network has them; for the features recipe the settings of its heads.

    Raises:
        UsageError: There is no such network.
        MissingExtraError: TensorFlow is not installed.
    """
    check_models({}, recipe)
    options = _options(recipe)
    if recipe.network.name == NAME:
        return {
            "network.strength": _log(0.002, 2.0, options["strength"]),
            "network.rate": _log(0.02, 0.3, options["rate"]),
            "network.leaves": Range(low=min(3, options["leaves"]), high=max(16, options["leaves"])),
        }
    rates = {f"stages.{i}.learning_rate": stage.learning_rate for i, stage in enumerate(recipe.stages, 1)}
    rates = rates or {"train.learning_rate": recipe.train.learning_rate}
    space: Space = {
        key: Range(low=rate / TENFOLD, high=min(rate * TENFOLD, 10.0), log=True) for key, rate in rates.items()
    }
    if recipe.train.weight_decay:
        space["train.weight_decay"] = _log(1e-6, 0.1, recipe.train.weight_decay)
    space["augment.gain"] = Range(low=0.0, high=max(0.5, recipe.augment.gain))
    space["augment.noise"] = Range(low=0.0, high=max(0.1, recipe.augment.noise))
    if "dropout" in options:
        space["network.dropout"] = Range(low=0.0, high=max(0.6, options["dropout"]))
    pooling = _builder(recipe).parameters.get("pooling")
    if pooling is not None and len(get_args(pooling.annotation)) > 1:
        space["network.pooling"] = Choice(values=get_args(pooling.annotation))
    return space


def _log(low: float, high: float, own: float) -> Range:
    return Range(low=min(low, own), high=max(high, own), log=True)


def _options(recipe: Recipe) -> dict[str, Any]:
    """Every option of the recipe's network that has a value, given or by default."""
    if recipe.network.name == NAME:
        return read_options(recipe.network.options).model_dump()
    defaults = {name: each.default for name, each in _builder(recipe).parameters.items()}
    return {**defaults, **recipe.network.options}


def _builder(recipe: Recipe) -> inspect.Signature:
    """How the function that builds the network is called; `check_models` has loaded its module."""
    module, function = NETWORKS[recipe.network.name].split(":")
    return inspect.signature(getattr(import_module(module), function))
