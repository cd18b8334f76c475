from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from lociscope.errors import Code, LociscopeError
from lociscope.microscope import safeguards
from lociscope.microscope.focus import HardwareError
from lociscope.microscope.safeguards import RESERVE_BYTES, Safeguards, check_space, count_field_bytes

if TYPE_CHECKING:
    from pathlib import Path


class Usage(NamedTuple):
    free: int


def leave(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(free))


def line(*dark: str) -> dict[str, Any]:
    return {"field": "f", "warnings": [f"empty plane: {name}" for name in dark]}


def test_a_run_that_would_not_fit_is_refused(make_plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan()
    assert count_field_bytes(plan) == 32 * 32 * 4 * 2 * 4 // 3  # a pyramid
    assert count_field_bytes(make_plan({"images": "ome-tiff"})) == 32 * 32 * 4 * 2
    needed = (4 + 6) * count_field_bytes(plan) + RESERVE_BYTES
    leave(monkeypatch, needed)
    check_space(tmp_path / "not" / "yet", plan, 4)
    leave(monkeypatch, needed - 1)
    with pytest.raises(LociscopeError, match="may take 10 fields") as raised:
        check_space(tmp_path / "not" / "yet", plan, 4)
    assert raised.value.code == Code.UNWRITABLE
    check_space(tmp_path, make_plan({"budget.fields": 9}), 4)


def test_a_disk_that_fills_up_ends_the_run(make_plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guards = Safeguards(make_plan(), tmp_path)
    guards.check(line())
    leave(monkeypatch, RESERVE_BYTES // 8)
    with pytest.raises(LociscopeError) as raised:
        guards.check(line())
    assert raised.value.code == Code.UNWRITABLE


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ([line("red"), line("red")], "microtubules (red, preset 'red')"),
        ([line("red", "yellow"), line("yellow", "green")], "endoplasmic reticulum (yellow, preset 'yellow')"),
        ([line("red", "blue", "yellow")] * 2, "the shutter and at the lamp"),
        ([{"field": "f", "warnings": ["faint plane: blue"]}, line("blue")], "nucleus (blue"),
    ],
)
def test_a_channel_that_stays_dark_names_its_lamp_and_filter(
    make_plan: Any, tmp_path: Path, lines: list[dict[str, Any]], named: str
) -> None:
    guards = Safeguards(make_plan({"quality.dark_fields": 2}), tmp_path)
    guards.check(lines[0])
    with pytest.raises(HardwareError) as raised:
        guards.check(lines[1])
    assert named in str(raised.value)


def test_a_field_without_cells_or_a_dark_protein_ends_nothing(make_plan: Any, tmp_path: Path) -> None:
    guards = Safeguards(make_plan({"quality.dark_fields": 2}), tmp_path)
    for dark in (["red"], [], ["red"], ["green"], ["green"], ["blue"], ["red"]):
        guards.check(line(*dark))
    guards.check({"field": "f", "failed": "It is damaged."})
    off = Safeguards(make_plan(), tmp_path)
    for _ in range(9):
        off.check(line("red"))


def test_the_free_space_is_that_of_the_disk(make_plan: Any, tmp_path: Path) -> None:
    assert safeguards._find_free(tmp_path / "a" / "b") == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
