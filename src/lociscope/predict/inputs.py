"""The Fields of whatever `Predictor.predict` accepts: arrays of any library, paths, field sources, or a mixture."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.discovery.naming import Rules
from lociscope.images.discovery.sources import FieldSource, find_fields
from lociscope.images.field import Field
from lociscope.images.io.read import read_field

if TYPE_CHECKING:
    from lociscope.storage.paths import AnyPath

_CHANNELS = len(CHANNEL_NAMES)
_AXES = f"(y, x, {_CHANNELS}) or (n, y, x, {_CHANNELS}), channels last in the order RGBY"


@runtime_checkable
class Array(Protocol):
    """An array of numpy, zarr, dask, xarray, h5py, PyTorch or TensorFlow."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    def dtype(self) -> Any:  # noqa: ANN401 - each library has its own
        """Type of the numbers."""

    def __array__(self) -> np.ndarray:
        """Return the numbers, which may be read or computed only now."""


Item: TypeAlias = "Array | Field | FieldSource | AnyPath"
FieldInput: TypeAlias = "Item | Iterable[Item]"
_ITEMS = (str, os.PathLike, Field, FieldSource, Array)


def read_fields(inputs: FieldInput, pixel_size: float | None = None) -> Iterator[Field]:
    """Yield the Fields that `Predictor.predict` received, read one after the other.

    Args:
        inputs: One item or an iterable of items. An item is an array (y, x, 4) or (n, y, x, 4), which is loaded field
            by field; a path that `find_fields` takes, where neighbouring paths are searched together; a FieldSource;
            or a Field.
        pixel_size: Side of a pixel in µm, which overrides what the items declare.

    Yields:
        The Fields. Those of arrays are called `0`, `1`, … in the order of all arrays.

    Raises:
        UsageError: `pixel_size` is not a positive number.
        LociscopeError: An item is something else, an array has other axes, or a field cannot be found or read.
    """
    check_pixel_size(pixel_size)
    items: Iterable[Any] = [inputs] if isinstance(inputs, _ITEMS) else _check_iterable(inputs)
    number = 0
    for kind, group in groupby(items, _item_type):
        if kind is Path:
            yield from map(read_field, _find_sources(group, pixel_size))
        elif kind is Array:
            for pixels in (pixels for array in group for pixels in _split_array(array)):
                yield Field(str(number), pixels, pixel_size)
                number += 1
        else:
            for each in group:
                declared = each if pixel_size is None else replace(each, pixel_size=pixel_size)
                field = declared if isinstance(declared, Field) else read_field(declared)
                _check_axes(field.pixels.shape, (3,))
                yield field


def check_pixel_size(pixel_size: object) -> None:
    """Raise a UsageError unless a pixel size is a positive number of µm, or None."""
    if pixel_size is None:
        return
    number = isinstance(pixel_size, Real) and not isinstance(pixel_size, bool)
    if not number or not 0 < float(pixel_size) < np.inf:  # type: ignore[arg-type] # a Real
        raise UsageError(
            f"`pixel_size` is {pixel_size!r} ({type(pixel_size).__name__}); expected a number of µm above 0. "
            "Pass for example `pixel_size=0.32`.",
            code=Code.PIXEL_SIZE,
        )


def _check_iterable(inputs: object) -> Iterable[Any]:
    if not isinstance(inputs, Iterable) or isinstance(inputs, Mapping | bytes):
        raise _unknown_type_error(inputs)
    return inputs


def _item_type(item: object) -> type:
    """Return the type as which an item is read."""
    if isinstance(item, str | os.PathLike):
        return Path
    for kind in (Field, FieldSource, Array):
        if isinstance(item, kind):
            return kind
    raise _unknown_type_error(item)


def _unknown_type_error(item: object) -> LociscopeError:
    return LociscopeError(
        f"Expected arrays, paths, FieldSources or Fields; received a {type(item).__name__}. Pass an array {_AXES}, "
        "or the path of a folder.",
        code=Code.INVALID_VALUE,
    )


def _find_sources(paths: Iterable[AnyPath], pixel_size: float | None) -> list[FieldSource]:
    """Find the fields of several paths at once, so that four planes make one field."""
    found, failures = find_fields(list(paths), Rules(pixel_size=pixel_size))
    if failures:
        raise LociscopeError(
            f"{len(failures)} of {len(found) + len(failures)} fields cannot be predicted; the first: "
            f"{failures[0].reason} `lociscope.images.discovery.sources.find_fields` returns the others, and "
            "`lociscope predict` predicts them and lists the failures.",
            code=Code(failures[0].code or Code.INVALID_VALUE),
        )
    return found


def _split_array(array: Array) -> Iterator[np.ndarray]:
    """Yield the fields of an array one by one, since it may be larger than the memory."""
    shape = tuple(array.shape)
    _check_axes(shape, (3, 4))
    if len(shape) == 3:
        yield np.asarray(array)
        return
    rows: Any = array
    for number in range(shape[0]):
        yield np.asarray(rows[number])


def _check_axes(shape: tuple[int, ...], numbers: tuple[int, ...]) -> None:
    """Raise a LociscopeError where an array has another number of axes, or its channels first."""
    if len(shape) not in numbers:
        remedy = "Move the axes with np.moveaxis" if len(shape) > 2 else "Join the channels with np.stack(…, axis=-1)"
        raise LociscopeError(f"Expected pixels {_AXES}; received {shape}. {remedy}.", code=Code.INVALID_VALUE)
    first = len(shape) - 3
    if shape[-1] != _CHANNELS and shape[first] == _CHANNELS:
        raise LociscopeError(
            f"Expected pixels {_AXES}; received {shape}, whose channels come first. Move them with "
            f"np.moveaxis(pixels, {first}, -1).",
            code=Code.INVALID_VALUE,
        )
