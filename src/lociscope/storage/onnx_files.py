"""Check what an ONNX file contains before any runtime loads it.

ONNX Runtime follows external data even for a model given as bytes, and a foreign operator domain may load
code. This walks protobuf's wire format (https://protobuf.dev/programming-guides/encoding), so that the base
install needs no onnx package; field numbers are those of onnx.proto, IR version 14.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from collections.abc import Iterator

DOMAINS = frozenset({b"", b"ai.onnx"})
_MAX_DEPTH = 32
_MAX_KEY = (1 << 32) - 1
"""protobuf truncates a longer key to 32 bits: it would be one field to ONNX Runtime and another one here."""
_ORT_MAGIC = slice(4, 8), b"ORTM"
"""ONNX Runtime reads bytes with this mark as its own flatbuffer format, whatever else they are."""
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5

# Which fields of a message hold a message to check, and which must be absent.
_NESTED: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "opset"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
    "opset": {},
}
_FORBIDDEN: dict[str, dict[int, str]] = {
    "model": {20: "training steps", 25: "functions"},
    "tensor": {13: "external data"},
}
_DOMAIN_FIELD = {"node": 7, "opset": 1}
_DATA_LOCATION = 14


def check_onnx(model: bytes, what: str) -> None:
    """Refuse a model that reaches outside its own bytes or uses other operators than those of ONNX.

    Args:
        model: The file's contents.
        what: The file, as the error message calls it.

    Raises:
        LociscopeError: The bytes are not an ONNX model, or hold external data, functions, training steps, or an
            operator of a foreign domain.
    """
    if not model:
        raise LociscopeError(f"{what} is empty. Export it again.", code=Code.CORRUPT)
    position, magic = _ORT_MAGIC
    if model[position] == magic:
        raise _refused(what, "ONNX Runtime's own format")
    seen = _check_message(memoryview(model), "model", what, 0)
    if 7 not in seen:
        raise LociscopeError(f"{what} is not an ONNX model: it holds no graph. Export it again.", code=Code.CORRUPT)


def _check_message(data: memoryview, kind: str, what: str, depth: int) -> set[int]:
    if depth > _MAX_DEPTH:
        raise LociscopeError(f"{what} nests messages more than {_MAX_DEPTH} deep. Export it again.", code=Code.CORRUPT)
    seen = set()
    for field, value in _fields(data, what):
        seen.add(field)
        if field in _FORBIDDEN.get(kind, {}):
            raise _refused(what, _FORBIDDEN[kind][field])
        if kind == "tensor" and field == _DATA_LOCATION and value != 0:
            raise _refused(what, "external data")
        if field == _DOMAIN_FIELD.get(kind) and not (isinstance(value, memoryview) and bytes(value) in DOMAINS):
            name = bytes(value).decode(errors="replace") if isinstance(value, memoryview) else str(value)
            raise _refused(what, f"operators of the domain {name!r}")
        inner = _NESTED[kind].get(field)
        if inner is not None:
            if not isinstance(value, memoryview):
                raise _malformed(what)
            _check_message(value, inner, what, depth + 1)
    return seen


def _fields(data: memoryview, what: str) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number and the value of each field: an int for a varint, else the bytes."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at, what)
        if key > _MAX_KEY or key >> 3 == 0:
            raise _malformed(what)
        field, wire = key >> 3, key & 7
        if wire == _VARINT:
            number, at = _varint(data, at, what)
            yield field, number
            continue
        if wire == _LENGTH:
            size, at = _varint(data, at, what)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise _malformed(what)
        if at + size > end:
            raise _malformed(what)
        yield field, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int, what: str) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise _malformed(what)
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _malformed(what: str) -> LociscopeError:
    return LociscopeError(f"{what} is not an ONNX model, or is truncated. Copy or export it again.", code=Code.CORRUPT)


def _refused(what: str, thing: str) -> LociscopeError:
    return LociscopeError(
        f"{what} holds {thing}, which lociscope never loads. Export the model as one file of ONNX's own operators.",
        code=Code.REFUSED_CONTENT,
    )
