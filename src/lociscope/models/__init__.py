"""Networks; they use `keras.ops` only, so that they train on any of Keras' backends."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lociscope.errors import Code, LociscopeError, UsageError, suggest
from lociscope.models.backend import load_keras
from lociscope.models.own import build_own, find_own_builder, is_file, list_installed, load_own
from lociscope.storage.keras_files import check_keras
from lociscope.storage.schema import CORRUPT_FILE_ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    import keras

    from lociscope.artifacts.run import Run

NETWORKS: dict[str, str] = {
    "lenet5-1998": "lociscope.models.lenet5:lenet5_1998",
    "lenet5": "lociscope.models.lenet5:lenet5",
    "alexnet-2012": "lociscope.models.alexnet:alexnet_2012",
    "alexnet": "lociscope.models.alexnet:alexnet",
    "gapnet-pl": "lociscope.models.gapnet:gapnet_pl",
    "small": "lociscope.models.small:small",
    "pretrained": "lociscope.models.pretrained:pretrained",
}
"""Name in recipes → the function that builds it. A new network is one file here and one line."""

SOURCE = "network file"
"""The key of `versions` in a Run's environment with the sha256 of a network's file."""
OUTPUTS = ("probabilities", "embedding", "evidence")
"""Outputs by name: (n, 28), (n, d) and, where the head has one, (n, h, w, 28)."""


def build_network(name: str, size: int, options: dict[str, Any]) -> keras.Model:
    """Build a network by its name in recipes.

    Args:
        name: One of `NETWORKS`, `my_net.py:build` or an entry point (`lociscope.models.own`).
        size: Side of the input in px.
        options: The network's own keyword arguments.

    Returns:
        A functional model from (n, size, size, 4) in 0–1 to a dict of `OUTPUTS`, with a layer `logits`.

    Raises:
        UsageError: The network or an option is not known, or a value is out of its range.
        MissingExtraError: Keras is not installed.
    """
    builder = find_builder(name)
    parameters = inspect.signature(builder).parameters
    known = [option for option in parameters if option != "size"]
    unknown = next((option for option in options if option not in known), None)
    if unknown is not None and all(each.kind is not each.VAR_KEYWORD for each in parameters.values()):
        raise UsageError(
            f"Network {name!r} has no option {unknown!r}.{suggest(unknown, known)}", code=Code.UNKNOWN_NAME
        )
    if is_own(name):
        return build_own(name, size, options)
    try:
        return builder(size, **options)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"Network {name!r} cannot be built: {error}. Correct [network] in the recipe.", code=Code.INVALID_VALUE
        ) from error


def find_builder(name: str) -> Callable[..., keras.Model]:
    """Return the function that builds a network; its keyword arguments are the network's options.

    Raises:
        UsageError: The network is not known.
        MissingExtraError: Keras is not installed.
    """
    if is_own(name):
        load_keras()
        return find_own_builder(name)
    if name not in NETWORKS:
        known = (*NETWORKS, *list_installed(), "features")
        raise UsageError(
            f"Network {name!r} is not known.{suggest(name, known)} A network of your own is `my_net.py:build`.",
            code=Code.UNKNOWN_NAME,
        )
    module, function = NETWORKS[name].split(":")
    builder: Callable[..., keras.Model] = getattr(_import(module), function)
    return builder


def is_own(name: str) -> bool:
    """Return whether a network is not lociscope's: a function in a file, or an entry point of another package."""
    return name not in NETWORKS and (is_file(name) or name in list_installed())


def load_best(run: Run) -> keras.Model:
    """Load the best network of a Run.

    Raises:
        LociscopeError: As `load_network`; or the Run's own network is missing, has changed, or does not fit.
        MissingExtraError: Keras is not installed.
    """
    recipe = run.read_recipe()
    if not is_own(recipe.network.name):
        find_builder(recipe.network.name)  # an entry point may not be installed here
        return load_network(run.best_model)
    load_keras()
    expected = run.read_environment().versions.get(SOURCE)
    return load_own(run.best_model, recipe.network.name, recipe.data.size, recipe.network.options, expected)


def load_network(path: Path) -> keras.Model:
    """Load a network from a `.keras` archive, after checking it for code.

    Args:
        path: The archive, such as a Run's `best.keras`.

    Returns:
        The network, not compiled.

    Raises:
        LociscopeError: The archive is missing or damaged, or names foreign classes.
        MissingExtraError: Keras is not installed.
    """
    try:
        check_keras(path.read_bytes(), f"'{path}'")
    except OSError as error:
        raise LociscopeError(f"Cannot read '{path}': {error.strerror}. Check the path.", code=Code.NOT_FOUND) from error
    for network in NETWORKS.values():  # their modules register lociscope's layers with Keras
        _import(network.split(":")[0])
    import keras

    try:
        return keras.saving.load_model(path, compile=False)
    except (*CORRUPT_FILE_ERRORS, LookupError, AttributeError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise LociscopeError(f"'{path}' is damaged ({reason}). Train again.", code=Code.CORRUPT) from error


def _import(module: str) -> ModuleType:
    load_keras()
    return import_module(module)
