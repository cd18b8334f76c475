"""Check what a Keras archive contains before Keras loads it.

Keras loads a `.keras` file by importing the modules that its configuration names, and a Lambda layer carries
code. Only Keras' own classes and lociscope's registered layers are accepted.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

from lociscope.errors import Code, LociscopeError
from lociscope.storage.schema import CORRUPT_FILE_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMBERS = frozenset({"config.json", "metadata.json", "model.weights.h5"})
MAX_CONFIG_BYTES = 16 << 20
MAX_ARCHIVE_BYTES = 2 << 30
MODULES = (
    *(f"keras.{part}" for part in ("activations", "constraints", "initializers", "layers", "losses", "metrics")),
    *(f"keras.{part}" for part in ("models", "optimizers", "regularizers", "src.models.functional")),
)
"""Modules of Keras whose classes may be named; `keras.utils` and the like hold functions that do things."""
_FROM_KERAS = frozenset({"DTypePolicy", "Functional", "Sequential"})
_FORBIDDEN_CLASSES = frozenset(
    {"Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer", "__typespec__"}
)
_DATA = frozenset({"__keras_tensor__", "__tensor__", "__numpy__", "__ellipsis__", "__slice__", "__tuple__"})
"""Names under which Keras stores plain values."""


def check_keras(archive: bytes, what: str) -> None:
    """Refuse a Keras archive that would run its own code or import foreign modules when loaded.

    Args:
        archive: The contents of a `.keras` file.
        what: The file, as the error message calls it.

    Raises:
        LociscopeError: The bytes are not a Keras archive, hold other files than Keras writes, or name a class
            that is neither Keras' own nor lociscope's.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as members:
            _check_members(members, what)
            config = json.loads(members.read("config.json"))
    except CORRUPT_FILE_ERRORS as error:
        raise LociscopeError(
            f"{what} is not a Keras archive, or is truncated ({error}). Save it again.", code=Code.CORRUPT
        ) from error
    for node in _objects(config):
        _check_class(node, what)


def _check_members(members: zipfile.ZipFile, what: str) -> None:
    sizes = {member.filename: member.file_size for member in members.infolist()}
    foreign = sorted(set(sizes) - MEMBERS)
    if foreign:
        raise LociscopeError(
            f"{what} holds the file {foreign[0]!r}, which Keras does not write. Save it again.",
            code=Code.REFUSED_CONTENT,
        )
    if len(sizes) < len(members.infolist()):
        raise LociscopeError(
            f"{what} holds two files of one name, which Keras does not write. Save it again.", code=Code.REFUSED_CONTENT
        )
    if sizes.get("config.json", 0) > MAX_CONFIG_BYTES or sum(sizes.values()) > MAX_ARCHIVE_BYTES:
        raise LociscopeError(
            f"{what} unpacks to {sum(sizes.values()) >> 20} MiB, more than lociscope loads. Save a smaller model.",
            code=Code.TOO_LARGE,
        )


def _objects(node: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any JSON value
    """Yield every object of a JSON tree, without recursion, since the tree may be deep."""
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            yield node
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)


def _check_class(node: dict[str, Any], what: str) -> None:
    name, module = node.get("class_name"), node.get("module")
    if name is None or str(name) in _DATA:
        return
    if str(name) in _FORBIDDEN_CLASSES or not (_is_ours(node) or _is_keras(name, module)):
        raise LociscopeError(
            f"{what} holds code or a foreign class: {name!r} of the module {module!r}. "
            "Only layers of Keras and of lociscope are loaded; save the model without it.",
            code=Code.REFUSED_CONTENT,
        )


def _is_ours(node: dict[str, Any]) -> bool:
    return str(node.get("registered_name")).startswith("lociscope>") and str(node.get("module")).startswith(
        "lociscope."
    )


def _is_keras(name: object, module: object) -> bool:
    if module == "builtins":  # Keras looks such a function up in its own activations, losses and the like
        return name == "function"
    return (module == "keras" and name in _FROM_KERAS) or any(
        module == known or str(module).startswith(f"{known}.") for known in MODULES
    )
