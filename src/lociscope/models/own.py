"""Networks that are not part of lociscope: a function in a Python file, or an entry point of an installed package.

Their code runs when a recipe names it: in training, and where a Run of it is exported or measured. A Bundle never names
code: what is exported is ONNX.
"""

from __future__ import annotations

import hashlib
import importlib.util
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lociscope.errors import Code, LociscopeError, UsageError, suggest
from lociscope.labels import N_LABELS
from lociscope.storage.file_errors import unreadable_error

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

GROUP = "lociscope.networks"
"""The group of entry points whose functions build networks."""
SEPARATOR = ".py:"


def is_file(name: str) -> bool:
    """Return whether the name of a network is that of a function in a file: `my_net.py:build`."""
    return SEPARATOR in name


def split_name(name: str) -> tuple[Path, str]:
    """Split `my_net.py:build` into the file and the name of the function."""
    path, _, function = name.rpartition(":")
    return Path(path), function


def list_installed() -> dict[str, Any]:
    """Return the entry points of installed packages that build networks, by name."""
    return {each.name: each for each in entry_points(group=GROUP)}


def find_own_builder(name: str) -> Callable[..., keras.Model]:
    """Return the function of a file or of an entry point; its code runs.

    Raises:
        UsageError: The file or the function does not exist, or importing it fails.
    """
    if not is_file(name):
        return _load_entry_point(name)
    path, function = split_name(name)
    if not path.is_file():
        raise UsageError(
            f"Network {name!r}: there is no file '{path}'. Correct network.name in the recipe; a relative path begins "
            "at the recipe's folder.",
            code=Code.NOT_FOUND,
        )
    spec = importlib.util.spec_from_file_location(f"lociscope_own_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"Network {name!r}: '{path}' is not a Python file. Name one.", code=Code.WRONG_FILE)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the file raises
        raise UsageError(
            f"Network {name!r} cannot be imported: {_describe(error)}. Correct '{path}'.", code=Code.INVALID_VALUE
        ) from error
    if not callable(getattr(module, function, None)):
        known = [each for each in vars(module) if callable(getattr(module, each)) and not each.startswith("_")]
        raise UsageError(
            f"Network {name!r}: '{path}' has no function {function!r}.{suggest(function, known) if known else ''}",
            code=Code.UNKNOWN_NAME,
        )
    builder: Callable[..., keras.Model] = getattr(module, function)
    return builder


def _load_entry_point(name: str) -> Callable[..., keras.Model]:
    try:
        builder: Callable[..., keras.Model] = list_installed()[name].load()
    except Exception as error:  # whatever its package raises
        raise UsageError(
            f"Network {name!r}, an entry point of {GROUP!r}, cannot be imported: {_describe(error)}. Correct its "
            "package.",
            code=Code.INVALID_VALUE,
        ) from error
    return builder


def build_own(name: str, size: int, options: dict[str, Any]) -> keras.Model:
    """Build a network of a file or an entry point, and complete it.

    Raises:
        UsageError: Building it fails, or it has other inputs or outputs than a network of lociscope.
    """
    builder = find_own_builder(name)
    try:
        network = builder(size, **options)
    except Exception as error:  # whatever the function raises
        raise UsageError(
            f"Network {name!r} cannot be built: {_describe(error)}. Correct it, or [network] in the recipe.",
            code=Code.INVALID_VALUE,
        ) from error
    return complete_network(network, size, name)


def complete_network(network: Any, size: int, name: str) -> keras.Model:  # noqa: ANN401 - whatever a function returned
    """Return a network with the outputs of those of lociscope, and a layer `logits`.

    Args:
        network: A Keras model from (n, size, size, 4) to logits (n, 28), or one that is complete already: a dict of
            outputs with `probabilities` and `embedding`, and a layer `logits`.
        size: Side of the input in px.
        name: What error messages call it.

    Raises:
        UsageError: It is no Keras model, or its input or output has another shape.
    """
    import keras

    if not isinstance(network, keras.Model):
        raise UsageError(
            f"Network {name!r} returned a {type(network).__name__}; expected a keras.Model.", code=Code.INVALID_VALUE
        )
    expected = (None, size, size, 4)
    shape = getattr(network, "input_shape", None)
    if shape != expected:
        raise UsageError(
            f"Network {name!r} takes {shape}; expected {expected}, the size of the recipe and the channels RGBY. Make "
            "its input keras.Input((size, size, 4)).",
            code=Code.INVALID_VALUE,
        )
    if isinstance(network.output, dict):
        _check_complete(network, name)
        return network
    return _add_outputs(network, name)


def _check_complete(network: keras.Model, name: str) -> None:
    missing = {"probabilities", "embedding"} - set(network.output)
    layers = {layer.name for layer in network.layers}
    if missing or "logits" not in layers or network.output["probabilities"].shape[1:] != (N_LABELS,):
        raise UsageError(
            f"Network {name!r} has the outputs {sorted(network.output)}; expected 'probabilities' (n, {N_LABELS}) and "
            "'embedding' (n, d), and a layer 'logits'. Or return one output: the logits.",
            code=Code.INVALID_VALUE,
        )


def _add_outputs(network: keras.Model, name: str) -> keras.Model:
    import keras
    from keras import layers

    shape = getattr(network.output, "shape", None)
    if shape is None or tuple(shape[1:]) != (N_LABELS,):
        raise UsageError(
            f"Network {name!r} gives {shape}; expected (None, {N_LABELS}), a logit for each class, without a sigmoid. "
            f"End it with keras.layers.Dense({N_LABELS}).",
            code=Code.INVALID_VALUE,
        )
    last = network.layers[-1]
    before = last.input if getattr(last, "output", None) is network.output else network.output
    flat = before if getattr(before, "shape", None) is not None and len(before.shape) == 2 else network.output
    embedding = layers.Activation("linear", name="embedding", dtype="float32")(flat)
    logits = layers.Activation("linear", name="logits", dtype="float32")(network.output)
    try:
        return keras.Model(
            network.input,
            {
                "probabilities": layers.Activation("sigmoid", name="probabilities", dtype="float32")(logits),
                "embedding": embedding,
            },
            name=network.name,
        )
    except ValueError as error:  # two layers of one name
        raise UsageError(
            f"Network {name!r} cannot be completed: {_describe(error)}. Leave the names 'logits', 'embedding' and "
            "'probabilities' to lociscope.",
            code=Code.INVALID_VALUE,
        ) from error


def hash_source(name: str) -> str | None:
    """Return the sha256 of the file of a network; None for an entry point.

    Raises:
        LociscopeError: The file cannot be read.
    """
    if not is_file(name):
        return None
    path, _ = split_name(name)
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise unreadable_error(path, error, "Network") from error


def load_own(path: Path, name: str, size: int, options: dict[str, Any], expected: str | None) -> keras.Model:
    """Build a network of a Run again, and load its weights; nothing in the archive is executed.

    Args:
        path: The archive, the Run's `best.keras`.
        name: The network of the recipe: an absolute path and a function, or an entry point.
        size: Side of the input in px.
        options: The network's own keyword arguments.
        expected: sha256 of the file when the training began.

    Raises:
        LociscopeError: The file is missing or has changed since, or the weights do not fit.
    """
    if is_file(name) and expected is None:
        raise LociscopeError(
            f"'{path.parent}' does not record the file that its network came from, so it is not run. Train again.",
            code=Code.REFUSED_CONTENT,
        )
    if expected is not None and hash_source(name) != expected:
        raise LociscopeError(
            f"'{split_name(name)[0]}' has changed since '{path.parent}' was trained with it. Restore it, or train "
            "again.",
            code=Code.ALTERED,
        )
    network = build_own(name, size, options)
    try:
        network.load_weights(path)
    except Exception as error:  # Keras raises many kinds
        raise LociscopeError(
            f"The weights of '{path}' do not fit network {name!r} ({_describe(error)}). Train it again.",
            code=Code.CORRUPT,
        ) from error
    return network


def _describe(error: BaseException) -> str:
    line = next((each for each in str(error).strip().splitlines() if each.strip()), "")
    return f"{type(error).__name__}: {line[:160]}" if line else type(error).__name__
