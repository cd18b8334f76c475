"""What a Keras archive may contain, read from its bytes before Keras sees them.

Keras loads a `.keras` file by importing the modules that its configuration names, and a Lambda layer carries
code. Only Keras' own classes and lociscope's registered layers are let through.
"""

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

from lociscope.errors import LociscopeError

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMBERS = frozenset({"config.json", "metadata.json", "model.weights.h5"})
MAX_CONFIG_BYTES = 16 << 20
MAX_ARCHIVE_BYTES = 2 << 30
_FORBIDDEN_CLASSES = frozenset({"Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"})


def check_keras(archive: bytes, what: str) -> None:
    """Refuses a Keras archive that would run code of its own or import foreign modules when loaded.

    Args:
        archive: The contents of a `.keras` file.
        what: What the sentence of an error calls it.

    Raises:
        LociscopeError: The bytes are no Keras archive, hold other files than Keras writes, or name a class
            that is neither Keras' own nor lociscope's.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as members:
            _check_members(members, what)
            config = json.loads(members.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError) as error:
        raise LociscopeError(f"{what} is no Keras archive, or is cut short ({error}). Save it again.") from error
    for node in _objects(config):
        _check_class(node, what)


def _check_members(members: zipfile.ZipFile, what: str) -> None:
    sizes = {member.filename: member.file_size for member in members.infolist()}
    foreign = sorted(set(sizes) - MEMBERS)
    if foreign:
        raise LociscopeError(f"{what} holds the file {foreign[0]!r}, which Keras does not write. Save it again.")
    if sizes.get("config.json", 0) > MAX_CONFIG_BYTES or sum(sizes.values()) > MAX_ARCHIVE_BYTES:
        raise LociscopeError(f"{what} unpacks to {sum(sizes.values()) >> 20} MiB, more than lociscope loads.")


def _objects(node: Any) -> "Iterator[dict[str, Any]]":  # noqa: ANN401 - any JSON value
    """Gives every object of a JSON tree, without recursion: the tree is not trusted to be shallow."""
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            yield node
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)


def _check_class(node: dict[str, Any], what: str) -> None:
    name = node.get("class_name")
    if name is None:
        return
    module, registered = node.get("module"), node.get("registered_name")
    own = isinstance(registered, str) and registered.startswith("lociscope>")
    keras = (isinstance(module, str) and (module == "keras" or module.startswith("keras."))) or module == "builtins"
    if name in _FORBIDDEN_CLASSES or not (own or (keras and module is not None)):
        raise LociscopeError(
            f"{what} holds code or a foreign class: {name!r} of the module {module!r}. "
            "Only layers of Keras and of lociscope are loaded; save the model without it."
        )
