"""The reader of PyTorch's legacy checkpoints: tensors come out as they went in, and nothing else ever does."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import struct
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lociscope.errors import LociscopeError
from lociscope.models.torchfile import MAGIC, PROTOCOL, read_torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MACHINE = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
KINDS = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage", "i4": "IntStorage"}


class _Call:
    """An object whose pickle calls a global, as torch's tensors do."""

    def __init__(self, module: str, name: str, *arguments: object) -> None:
        self.parts = module, name, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return _Global(*self.parts[:2]), self.parts[2]


class _Global:
    """Stands for a function of a module that need not be there."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __call__(self) -> None: ...


class _Stored:
    """Stands for a storage, which is pickled by a persistent id."""

    def __init__(self, kind: object, key: str, elements: object) -> None:
        self.id = ("storage", kind, key, "cpu", elements, None)


class _Pickler(pickle._Pickler):
    """Writes what torch.save writes, without torch: globals by name, storages by persistent id."""

    def persistent_id(self, thing: object) -> object:
        return thing.id if isinstance(thing, _Stored) else None

    def save(self, thing: object, save_persistent_id: bool = True) -> None:
        if isinstance(thing, _Global):
            self.write(pickle.GLOBAL + f"{thing.module}\n{thing.name}\n".encode())  # type: ignore[attr-defined]
            return
        super().save(thing, save_persistent_id)  # type: ignore[misc]


def pickled(thing: object) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=2).dump(thing)
    return buffer.getvalue()


def tensor_of(key: str, array: np.ndarray, **changes: Any) -> _Call:
    """What stands for a tensor that lies in its storage as the array does in its memory."""
    kind = _Global("torch", KINDS[array.dtype.str[1:]])
    strides = tuple(step // array.itemsize for step in array.strides)
    parts = {"elements": array.size, "offset": 0, "shape": array.shape, "strides": strides} | changes
    storage = _Stored(kind, key, parts["elements"])
    return _Call(
        "torch._utils",
        "_rebuild_tensor_v2",
        *(storage, parts["offset"], parts["shape"], parts["strides"], False, OrderedDict()),
    )


def checkpoint(
    arrays: dict[str, np.ndarray], state: object = None, keys: object = None, machine: object = MACHINE
) -> bytes:
    """A file as torch.save writes it; `state` and `keys` replace its own."""
    names = {name: str(1000 + number) for number, name in enumerate(arrays)}
    if state is None:
        state = OrderedDict((name, tensor_of(names[name], array)) for name, array in arrays.items())
    made = b"".join(map(pickled, (MAGIC, PROTOCOL, machine, state, list(names.values()) if keys is None else keys)))
    for array in arrays.values():
        made += struct.pack("<q", array.size) + array.ravel(order="K").tobytes()
    return made


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def make(data: bytes) -> Path:
        path = tmp_path / "network.pth"
        path.write_bytes(data)
        return path

    return make


A = np.arange(24, dtype="<f4").reshape(2, 3, 4)


@settings(max_examples=40)
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=12),
        st.tuples(st.sampled_from(sorted(KINDS)), st.lists(st.integers(1, 4), max_size=4), st.randoms()),
        min_size=1,
        max_size=4,
    )
)
def test_tensors_come_out_as_they_went_in(tmp_path_factory: pytest.TempPathFactory, wanted: dict[str, Any]) -> None:
    arrays = {}
    for name, (kind, shape, random) in wanted.items():
        order = list(range(len(shape)))
        random.shuffle(order)  # a tensor that was permuted keeps its memory and has other strides
        arrays[name] = np.arange(np.prod(shape, dtype=int)).astype(f"<{kind}").reshape(shape).transpose(order)
    path = tmp_path_factory.mktemp("torch") / "network.pth"
    path.write_bytes(checkpoint(arrays))
    found = read_torch(path)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_two_tensors_may_share_a_storage(write: Callable[[bytes], Path]) -> None:
    state = {
        "row": tensor_of("1000", A, shape=(4,), strides=(1,), offset=8),
        "column": tensor_of("1000", A, shape=(6,), strides=(4,), offset=3),
    }
    found = read_torch(write(checkpoint({"a": A}, state)))
    np.testing.assert_array_equal(found["row"], A.ravel()[8:12])
    np.testing.assert_array_equal(found["column"], A.ravel()[3::4])


def test_the_hash_is_asked_for(write: Callable[[bytes], Path]) -> None:
    data = checkpoint({"a": A})
    right = hashlib.sha256(data).hexdigest()
    assert list(read_torch(write(data), right)) == ["a"]
    with pytest.raises(LociscopeError, match="not the file that was published"):
        read_torch(write(data + b" "), right)


class _Runs:
    """What an attacker would store."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("harm",)


HARM = [
    (_Runs(), r"the foreign class '(posix|nt)\.mkdir'"),
    ({"a": _Runs()}, "the foreign class"),
    ({"a": _Call("torch", "load", "x")}, "the foreign class 'torch.load'"),
    ({"a": _Call("collections", "OrderedDict", "ab")}, "a call that makes no tensor"),
    ({"a": _Call("torch", "FloatStorage", 9)}, "a call that makes no tensor"),
    ({"a": _Call("torch._utils", "_rebuild_tensor_v2")}, "a call that makes no tensor"),
    ({"a": _Call("torch._utils", "_rebuild_tensor_v2", 1, 2, (), ())}, "of something else than a storage"),
    ({"a": 7}, "a int by the name 'a'"),
    ({"a": {"b": 1}}, "a dict by the name 'a'"),
    ({1: tensor_of("1000", A)}, "keys that are no text"),
    ([1, 2], "a list of other things than names"),
    (("a",), "no state dict"),
    ({"a": 1.5}, "the pickle opcode BINFLOAT"),
    ({"a": b"raw"}, "foreign class"),
    (frozenset("ab"), "foreign class"),
]


@pytest.mark.parametrize(("state", "said"), HARM)
def test_anything_but_tensors_is_refused(
    state: object, said: str, write: Callable[[bytes], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LociscopeError, match=said):
        read_torch(write(checkpoint({"a": A}, state)))
    assert not (tmp_path / "harm").exists()


def test_the_harm_was_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same pickle does what it says when it is unpickled."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickled(_Runs()))
    assert (tmp_path / "harm").is_dir()


ABSURD = [
    ({"elements": 1 << 40}, "a storage of an absurd size"),
    ({"elements": 1 << 20}, "a storage of 24 numbers where 1048576 belong"),
    ({"elements": -1}, "a storage of an absurd size"),
    ({"elements": "24"}, "a storage of an absurd size"),
    ({"shape": (1 << 29,), "strides": (0,)}, "larger than the file can be"),
    ({"shape": (100_000,), "strides": (0,)}, "larger than its storage"),
    ({"shape": (1 << 20, 1 << 20, 1 << 20), "strides": (0, 0, 0)}, "larger than the file can be"),
    ({"shape": (25,), "strides": (1,)}, "beyond its storage"),
    ({"shape": (3,), "strides": (12,)}, "beyond its storage"),
    ({"offset": 1}, "beyond its storage"),
    ({"offset": -1}, "absurd"),
    ({"strides": (-12, 4, 1)}, "absurd"),
    ({"strides": (12, 4)}, "3 axes and 2 strides"),
    ({"shape": (1,) * 9, "strides": (1,) * 9}, "9 axes"),
    ({"shape": "abc"}, "something else than a storage"),
]


@pytest.mark.parametrize(("changes", "said"), ABSURD)
def test_absurd_sizes_are_refused_before_memory_is_taken(
    changes: dict[str, Any], said: str, write: Callable[[bytes], Path]
) -> None:
    with pytest.raises(LociscopeError, match=said):
        read_torch(write(checkpoint({"a": A}, {"a": tensor_of("1000", A, **changes)})))


def test_many_views_of_one_storage_do_not_fill_the_memory(write: Callable[[bytes], Path]) -> None:
    big = np.zeros(1 << 20, "<f4")
    state = {str(number): tensor_of("1000", big) for number in range(300)}
    with pytest.raises(LociscopeError, match="larger than the file can be"):
        read_torch(write(checkpoint({"a": big}, state)))


OTHERS = [
    (b"", "cut short"),
    (b"PK\x03\x04 and so on", "newer format"),
    (b"\x89PNG\r\n\x1a\n", "not a PyTorch checkpoint"),
    (pickled(7), "wrong magic number"),
    (pickled(MAGIC) + pickled(7), "wrong protocol"),
    (checkpoint({"a": A}, machine={**MACHINE, "little_endian": False}), "big-endian"),
    (checkpoint({"a": A}, keys=["2"]), "list of storages"),
    (checkpoint({"a": A}, keys=["1000", "1000"]), "list of storages"),
    (checkpoint({"a": A}, keys=[]), "list of storages"),
    (checkpoint({"a": A}, keys=("1000",)), "no state dict"),
    (checkpoint({"a": A}) + b"\0", "1 bytes too many"),
    (b"\x80\x02" + b"r\xff\xff\xff\x7f" + b".", "cut short"),
    (b"\x80\x02(" + b"\x85" * 50 + b".", "cut short|wrong magic"),
]


@pytest.mark.parametrize(("data", "said"), OTHERS)
def test_other_files_are_refused(data: bytes, said: str, write: Callable[[bytes], Path]) -> None:
    with pytest.raises(LociscopeError, match=said):
        read_torch(write(data))


def test_a_pickle_of_tuples_in_tuples_costs_nothing(write: Callable[[bytes], Path]) -> None:
    """Each the pair of the one before: hashing or printing the last would take 2**60 steps."""
    bomb: object = ()
    for _ in range(60):
        bomb = (bomb, bomb)
    for state in ({"a": bomb}, bomb, {"a": _Call("torch._utils", "_rebuild_tensor_v2", *[bomb] * 4)}):
        with pytest.raises(LociscopeError):
            read_torch(write(checkpoint({"a": A}, state)))


@settings(max_examples=150)
@given(st.data())
def test_any_cut_or_changed_byte_is_an_error_or_the_same_tensors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = bytearray(checkpoint({"a": A, "b": A.astype("<i8").T}))
    path = tmp_path_factory.mktemp("torch") / "network.pth"
    if data.draw(st.booleans(), "cut"):
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
        with pytest.raises(LociscopeError):
            read_torch(path)
        return
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=3)):
        whole[at] = data.draw(st.integers(0, 255))
    path.write_bytes(whole)
    try:
        found = read_torch(path)
    except LociscopeError as error:
        assert "\n" not in str(error)
        return
    assert all(isinstance(array, np.ndarray) and array.size <= len(whole) for array in found.values())


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LociscopeError, match="No such file"):
        read_torch(tmp_path / "none.pth")
