"""A plan that is quick to run on the simulated microscope."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lociscope.microscope.plan import Plan

DYES = ("red", "green", "blue", "yellow")
VALUES: dict[str, Any] = {
    "microscope": {"config": "simulated", "frame": [32, 32]},
    "objectives": [{"name": "10x", "pixel_size": 5.12}, {"name": "20x", "pixel_size": 2.56}],
    "channels": {name: {"preset": name, "exposure_ms": 100} for name in DYES},
    "plate": {"a1": [0.0, 0.0], "wells": ["A1", "A2"], "sites": [1, 2], "z": 0.0},
    "rules": [{"when": "status = unsure or Nucleoli >= 0", "zoom": 2, "sites": 4, "most": 6}],
    "limits": {"x": [-1000, 10000], "y": [-1000, 1000], "z": [-50, 50]},
}
"""Two wells of two fields, so coarse that a well is simulated quickly; every field meets the rule."""

MakePlan = Callable[..., "Plan"]


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """The values with some of them changed, by dotted keys; None takes a key out."""
    values = copy.deepcopy(VALUES)
    for key, value in changes.items():
        *tables, last = key.split(".")
        table: Any = values
        for name in tables:
            table = table[int(name)] if isinstance(table, list) else table.setdefault(name, {})
        if value is None:
            table.pop(last, None)
        elif isinstance(table, list):
            table[int(last)] = copy.deepcopy(value)
        else:
            table[last] = copy.deepcopy(value)
    return values


@pytest.fixture(scope="session")
def plan_values() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """`plan_values({"plate.wells": ["A1"]})` is a plan as TOML has it, with that changed."""
    return changed


@pytest.fixture(scope="session")
def make_plan() -> MakePlan:
    """`make_plan({"plate.wells": ["A1"]})` is a plan with that changed; None takes a key out."""
    from lociscope.microscope.plan import Plan

    return lambda changes=None: Plan.check(changed(changes or {}), "Plan 'test'")


@pytest.fixture(autouse=True)
def quiet_core() -> Iterator[None]:
    """pymmcore-plus is imported as the command imports it, so that it neither logs nor writes into one's home."""
    from lociscope.microscope.hardware import import_core

    import_core()
    yield


@pytest.fixture(autouse=True)
def render_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Render each tile once for all tests: it depends on its key, the locations of its specimen and its pixel size."""
    from lociscope.microscope.simulated import mosaic

    render = mosaic.render_tile

    def render_cached(key: tuple[int, ...], specimen: Any, pixel_size: float) -> Any:
        known = (key, specimen.protein.target, specimen.line.name, pixel_size)
        if known not in _TILES:
            _TILES[known] = render(key, specimen, pixel_size)
        return _TILES[known]

    monkeypatch.setattr(mosaic, "render_tile", render_cached)


_TILES: dict[Any, Any] = {}
