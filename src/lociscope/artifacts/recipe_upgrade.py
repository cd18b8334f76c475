"""Upgrade recipes of schema 1, as Runs and studies on disk hold them."""

from __future__ import annotations

from typing import Any

RENAMED = {
    "data.drawn_size": "data.simulated_size",
    "data.fresh": "data.online",
    "train.rare": "train.repeat_threshold",
}
"""Dotted keys of schema 1 and their names in schema 2."""

_STAGES, _STAGE_KEY = "stages", ("from", "unfreeze_from")


def upgrade_recipe(values: dict[str, Any]) -> dict[str, Any]:
    """Return the nested values of a recipe with the keys of schema 2.

    Args:
        values: As read from TOML or JSON; returned unchanged unless they state schema 1.
    """
    if values.get("schema") != 1:
        return values
    values = {name: dict(table) if isinstance(table, dict) else table for name, table in values.items()}
    for before, now in RENAMED.items():
        table, key = before.split(".")
        if isinstance(values.get(table), dict):
            _rename(values[table], key, now.split(".")[1])
    if isinstance(values.get(_STAGES), list | tuple):
        values[_STAGES] = [dict(stage) if isinstance(stage, dict) else stage for stage in values[_STAGES]]
        for stage in values[_STAGES]:
            if isinstance(stage, dict):
                _rename(stage, *_STAGE_KEY)
    return values | {"schema": 2}


def upgrade_key(key: str) -> str:
    """Return the name in schema 2 of a dotted key of schema 1, such as `stages.1.from`."""
    table, _, name = key.rpartition(".")
    if table.startswith(f"{_STAGES}.") and name == _STAGE_KEY[0]:
        return f"{table}.{_STAGE_KEY[1]}"
    return RENAMED.get(key, key)


def _rename(table: dict[str, Any], before: str, now: str) -> None:
    if before in table:
        table[now] = table.pop(before)
