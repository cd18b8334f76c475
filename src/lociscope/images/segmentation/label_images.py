"""Read label images, the results of a segmentation by another program: Cellpose, StarDist, QuPath.

A label image has the size of its field; each pixel has the number of its cell, or 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from glob import escape, glob
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lociscope.errors import Code, LociscopeError, MissingExtraError, UsageError, suggest
from lociscope.images.io.read import read_plane

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lociscope.images.discovery.field_source import FieldSource

PLACEHOLDERS = ("id", "plate", "well", "site")
"""What a pattern of label images may name."""
MAX_CELLS = 100_000
"""Maximum number of cells in a field; more are not a segmentation."""
MIN_PIECES = 3
"""Separate areas per number from which on an image is a mask of the foreground or of classes, not of cells."""

_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_PICKLED = (
    "a NumPy file with Python objects, which is never loaded. Save the masks as PNG or TIFF (Cellpose: --save_png)"
)


@dataclass(frozen=True, slots=True)
class LabelPattern:
    """The form of the paths of label images, such as `masks/{id}_cp_masks.png`.

    Attributes:
        text: The path, with `{id}`, `{plate}`, `{well}` or `{site}` for those of a field, `*` and `?` as wildcards.

    Raises:
        UsageError: It names nothing that distinguishes fields, or something unknown.
    """

    text: str

    def __post_init__(self) -> None:
        names = _PLACEHOLDER.findall(self.text)
        for name in names:
            if name not in PLACEHOLDERS:
                raise UsageError(
                    f"`cell_labels={self.text}` has an unknown {{{name}}}.{suggest(name, PLACEHOLDERS)}",
                    code=Code.UNKNOWN_NAME,
                )
        if not names:
            raise UsageError(
                f"`cell_labels={self.text}` is the same file for all fields; expected a form of names such as "
                "'masks/{id}_cp_masks.png'. Put {id} where the name of the field is.",
                code=Code.INVALID_VALUE,
            )

    def list_matches(self, source: FieldSource) -> list[Path]:
        """Return the files that match for a field."""
        values = {"id": source.id, **source.origin}
        form = _PLACEHOLDER.sub(lambda match: escape(values.get(match[1], "")), self.text)
        return [Path(found) for found in sorted(glob(form, include_hidden=True))]

    def find(self, source: FieldSource) -> Path:
        """Return the label image of a field.

        Raises:
            LociscopeError: There is none, or more than one.
        """
        values = {"id": source.id, **source.origin}
        for name in _PLACEHOLDER.findall(self.text):
            if not values.get(name):
                raise LociscopeError(
                    f"Field '{source.id}' has no {name}, which `cell_labels={self.text}` needs. Use {{id}}.",
                    code=Code.NOT_FOUND,
                )
        found = self.list_matches(source)
        if not found:
            form = _PLACEHOLDER.sub(lambda match: values[match[1]], self.text)
            raise LociscopeError(
                f"Field '{source.id}' has no label image '{form}'. Segment the field, or correct `cell_labels`.",
                code=Code.NOT_FOUND,
            )
        if len(found) > 1:
            raise LociscopeError(
                f"Field '{source.id}' has {len(found)} label images, such as '{found[0]}' and '{found[1]}'. Make "
                "`cell_labels` more specific.",
                code=Code.DUPLICATE,
            )
        return found[0]


def read_labels(path: Path, shape: tuple[int, int], identifier: str) -> NDArray[np.int32]:
    """Read the label image of a field.

    Args:
        path: A grey PNG, TIFF or plane of an OME-Zarr (`a.ome.zarr/labels/cells`), or a `.npy`, of integers.
        shape: Rows and columns of the field.
        identifier: The name of the field, for errors.

    Returns:
        (y, x) int32.

    Raises:
        LociscopeError: The file cannot be read, has another size than the field, or does not hold labels.
    """
    labels = _read_array(path) if path.suffix.lower() == ".npy" else read_plane(path)
    if labels.shape != shape:
        size = " × ".join(map(str, labels.shape[::-1]))
        raise LociscopeError(
            f"'{path}' has {size} px, the field '{identifier}' {shape[1]} × {shape[0]}. Segment the field at its full "
            "size, or enlarge the labels without interpolation.",
            code=Code.INVALID_VALUE,
        )
    if labels.dtype.kind not in "uib" and not (labels == np.rint(labels)).all():
        raise _not_labels(path, "has values that are not whole numbers")
    if labels.min(initial=0) < 0:
        raise _not_labels(path, f"has a negative number ({labels.min()})")
    return _check_numbers(path, labels)


def _check_numbers(path: Path, labels: np.ndarray) -> NDArray[np.int32]:
    numbers = np.unique(labels)
    numbers = numbers[numbers > 0]
    if len(numbers) > MAX_CELLS:
        raise _not_labels(path, f"has {len(numbers)} different numbers, more than {MAX_CELLS}")
    if len(numbers) and numbers[-1] > np.iinfo(np.int32).max:
        raise _not_labels(path, f"has the number {numbers[-1]}, too large for a label")
    whole = np.asarray(labels, np.int32)
    if len(numbers) and (pieces := _count_pieces(whole)) >= MIN_PIECES * len(numbers):
        noun = "number" if len(numbers) == 1 else "different numbers"
        raise _not_labels(path, f"has {len(numbers)} {noun} in {pieces} separate areas, so it is a mask of classes")
    return whole


def _not_labels(path: Path, why: str) -> LociscopeError:
    return LociscopeError(
        f"'{path}' {why}. Save label images: a whole number for each cell, 0 between the cells.",
        code=Code.INVALID_VALUE,
    )


def _count_pieces(labels: np.ndarray) -> int:
    """Return the number of connected areas of equal number."""
    try:
        from skimage.measure import label
    except ImportError:
        raise MissingExtraError("Reading label images", "cells") from None
    return int(label(labels, background=0).max(initial=0))


def _read_array(path: Path) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, allow_pickle=False)
    except OSError as error:
        raise LociscopeError(f"Cannot read '{path}': {error}. Copy it again.", code=Code.UNREADABLE) from error
    except (ValueError, EOFError) as error:
        if "pickle" in str(error):
            raise LociscopeError(f"'{path}' is {_PICKLED}.", code=Code.REFUSED_CONTENT) from error
        raise LociscopeError(f"'{path}' is damaged ({error}). Save it again.", code=Code.CORRUPT) from error
    if array.dtype.kind not in "uifb" or array.ndim != 2:
        raise _not_labels(path, f"holds an array of shape {array.shape} and type {array.dtype}")
    return array
