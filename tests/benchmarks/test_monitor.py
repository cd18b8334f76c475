"""The drift benchmark runs in parts, and keeps those that are measured."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType


@pytest.fixture
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("benchmarks/monitor")


def test_a_part_is_measured_once_for_the_same_settings(script: ModuleType, tmp_path: Path) -> None:
    kept, calls = tmp_path / "parts.json", []

    def measure() -> dict[str, float | int]:
        calls.append(1)
        return {"share": len(calls)}

    for _ in range(2):
        assert script.Measured(kept, {"pool": 1}).get("gain", measure) == {"share": 1}
    assert script.Measured(kept, {"pool": 2}).get("gain", measure) == {"share": 2}
    assert json.loads(kept.read_text()) == {"settings": {"pool": 2}, "parts": {"gain": {"share": 2}}}


def test_an_unknown_part_is_named(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["monitor.py", "unchanged-30"])
    with pytest.raises(SystemExit):
        script.main()
    assert "'unchanged-30' is not a part" in capsys.readouterr().err
