"""Changes of a recipe by dotted keys, as in `train.epochs=3`."""

from __future__ import annotations

import tomllib
from typing import Any

from lociscope.errors import Code, UsageError


def parse_changes(settings: list[str]) -> dict[str, Any]:
    """Parse settings of the form `key=value`; a value that is not TOML is a string.

    Raises:
        UsageError: A setting has no `=`, or no key.
    """
    changes: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise UsageError(
                f"The change {setting!r} is not of the form key=value. Write it as `settings=train.epochs=3`.",
                code=Code.INVALID_VALUE,
            )
        try:
            changes[key.strip()] = tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            changes[key.strip()] = text
    return changes


def apply_change(values: dict[str, Any], key: str, value: object) -> None:
    """Set one value of nested tables; the tables of an array are counted from 1, as in `stages.2.epochs`.

    Raises:
        UsageError: A part of the key names no table.
    """
    *tables, last = key.split(".")
    found: Any = values
    for depth, part in enumerate(tables):
        if isinstance(found, dict):
            found = found.setdefault(part, [] if depth == 0 and part == "stages" else {})
        else:
            found = found[_find_index(found, key, depth)]
        if not isinstance(found, dict | list):
            raise UsageError(
                f"The change of {key!r} fails: {part!r} is not a table. Write it as `settings=train.epochs=3`.",
                code=Code.INVALID_VALUE,
            )
    if isinstance(found, list):
        found[_find_index(found, key, len(tables))] = value
    else:
        found[last] = value


def _find_index(tables: list[Any], key: str, depth: int) -> int:
    """Return the index that a part of a dotted key names in an array of tables.

    Raises:
        UsageError: The table does not exist; the message names the nearest key.
    """
    parts = key.split(".")
    name, part = ".".join(parts[:depth]), parts[depth]
    if not tables:
        raise UsageError(
            f"The change of {key!r} fails: the recipe has no {name}. Without them [train] has the key: set "
            f"train.{parts[-1]}, or add them with `settings='{name}=[{{…}}]'`.",
            code=Code.INVALID_VALUE,
        )
    number = int(part) if part.isdecimal() else 1
    if part.isdecimal() and 0 < number <= len(tables):
        return number - 1
    near = ".".join([*parts[:depth], str(min(max(number, 1), len(tables))), *parts[depth + 1 :]])
    raise UsageError(
        f"The change of {key!r} fails: the recipe has {len(tables)} {name}, counted from 1, and none is {part!r}. "
        f"Did you mean {near!r}?",
        code=Code.UNKNOWN_NAME,
    )
