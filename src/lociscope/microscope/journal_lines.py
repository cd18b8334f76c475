"""The lines of `decisions.jsonl` and `answers.jsonl`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lociscope.microscope.positions import Position
from lociscope.storage.file_errors import unwritable_error

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def is_judged(line: Mapping[str, Any]) -> bool:
    """Return whether the rules decided about the field of a line, as `Position.is_judged`."""
    return line.get("of") is None or bool((line.get("autofocus") or line.get("exposures")) and line["rule"] is None)


def read_position(line: Mapping[str, Any]) -> Position:
    """Return the position of the field of a line."""
    keys = ("well", "site", "x", "y", "z", "objective", "of", "rule", "time")
    position = Position(line["field"], *(line[key] for key in keys))
    return replace(position, exposures=tuple(line.get("exposures") or ()))


def make_position(values: Mapping[str, Any]) -> Position:
    """Return a requested position, as `wanted` of a line has it."""
    return Position(**{**values, "exposures": tuple(values.get("exposures", ()))})


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Append a line of JSON to a file.

    Raises:
        LociscopeError: The line cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError as error:
        raise unwritable_error(path, error) from error
