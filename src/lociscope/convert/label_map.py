"""Label maps: the class of each output of a model that was made elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.errors import Code, LociscopeError
from lociscope.labels import LABELS, N_LABELS, find_class
from lociscope.storage.file_errors import unreadable_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LabelMap = tuple[int | None, ...]
"""For each output of a model its class number; None for an output without a class."""

IDENTITY: LabelMap = tuple(range(N_LABELS))
NONE = "-"


def read_label_map(path: Path) -> LabelMap:
    """Read a label map: a text file with a line for each output, in order.

    A line is a location name of HPA, a class number, or `-` for an output that is not one of the 28 classes. Several
    outputs may have the same class. Blank lines at the end are ignored.

    Raises:
        LociscopeError: The file cannot be read, a line is none of these, or no output has a class.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except OSError as error:
        raise unreadable_error(path, error, "Label map") from error
    except UnicodeDecodeError as error:
        raise LociscopeError(
            f"Label map '{path}' is not text ({error.reason}). Write one location a line.", code=Code.WRONG_FILE
        ) from error
    classes = tuple(
        _parse_line(line.strip(), f"Label map '{path}' line {number}") for number, line in enumerate(lines, 1)
    )
    if all(each is None for each in classes):
        raise LociscopeError(
            f"Label map '{path}' names no class for any of its {len(classes)} outputs. Write one location a line, such "
            f"as {LABELS[0]!r}.",
            code=Code.INVALID_LABELS,
        )
    return classes


def _parse_line(line: str, what: str) -> int | None:
    if line == NONE:
        return None
    if line.isascii() and line.isdigit() and int(line) < N_LABELS:
        return int(line)
    if not line:
        raise LociscopeError(
            f"{what} is blank. Write {NONE!r} for an output that is not one of the 28 classes.",
            code=Code.INVALID_LABELS,
        )
    try:
        return find_class(line)
    except LociscopeError as error:
        raise LociscopeError(f"{what}: {error}", code=error.code) from error


def check_label_map(label_map: LabelMap | None, outputs: int) -> LabelMap:
    """Return the label map of a model with so many outputs; None is that of the 28 classes in order.

    Raises:
        LociscopeError: The model has another number of outputs.
    """
    if label_map is None and outputs != N_LABELS:
        raise LociscopeError(
            f"The model has {outputs} outputs, not the {N_LABELS} classes. Pass `labels`, a file that names the "
            f"location of each output, one a line, and {NONE!r} for an output without one.",
            code=Code.INVALID_LABELS,
        )
    found = IDENTITY if label_map is None else label_map
    if len(found) != outputs:
        raise LociscopeError(
            f"The model has {outputs} outputs, but the label map names {len(found)}. Write one line for each output, "
            "in order.",
            code=Code.INVALID_LABELS,
        )
    return found


def list_classes(label_map: LabelMap) -> tuple[int, ...]:
    """Return the class numbers that a label map names, ascending."""
    return tuple(sorted({each for each in label_map if each is not None}))


def list_outputs(label_map: LabelMap) -> np.ndarray:
    """Return the outputs of each class, (classes, m) of int64; a class with fewer than m repeats its first."""
    outputs = [[place for place, each in enumerate(label_map) if each == number] for number in list_classes(label_map)]
    width = max(map(len, outputs))
    return np.array([[*own, *[own[0]] * (width - len(own))] for own in outputs], np.int64)


def merge_outputs(values: np.ndarray, label_map: Sequence[int | None]) -> np.ndarray:
    """Return values (n, outputs) as (n, classes): of several outputs with the same class, the largest."""
    return np.asarray(values[:, list_outputs(tuple(label_map))].max(axis=2))
