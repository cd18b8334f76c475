"""The registry: versions, aliases and history."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from lociscope.artifacts.bundle import MANIFEST, read_bundle
from lociscope.errors import Code, Exit, LociscopeError
from lociscope.registry.gate import PromotionRefusedError
from lociscope.registry.model_registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BY: dict[str, Any] = {"who": "ann", "why": "better"}


@pytest.fixture
def registry(make_bundle: Callable[..., Path], tmp_path: Path) -> Registry:
    """Three versions, none promoted."""
    made = Registry(tmp_path / "models")
    for seed in range(3):
        made.add(make_bundle(tmp_path / f"b{seed}", seed), who="ann", why=f"number {seed}")
    return made


def versions(registry: Registry) -> list[str]:
    """Of the three, in the order of their seeds."""
    return [entry.version for entry in reversed(registry.entries())]


def test_a_version_is_a_copy_that_is_called_by_name_and_hash(registry: Registry, tmp_path: Path) -> None:
    entry = registry.entries()[-1]
    assert entry.version == f"tiny0-0-{entry.sha256[:8]}"
    assert (entry.added.who, entry.added.why, entry.aliases, entry.retired) == ("ann", "number 0", (), False)
    shutil.rmtree(tmp_path / "b0")
    assert read_bundle(entry.folder).sha256 == entry.sha256
    for name in (entry.version, "tiny0", entry.sha256[:6], entry.sha256):
        assert registry.entry(name) == entry


def test_added_twice_is_there_once(registry: Registry, tmp_path: Path) -> None:
    before = registry.state()
    assert registry.add(tmp_path / "b1", who="bob", why="again").added.who == "ann"
    assert registry.state() == before


def test_production_is_promoted_and_rolled_back_step_by_step(registry: Registry) -> None:
    first, second, third = versions(registry)
    for version in (first, second, third):
        assert registry.promote(version, **BY).aliases == ("production",)
        assert registry.path().name == version
    assert registry.entry("production").version == third
    assert registry.rollback(who="bob", why="worse").version == second
    assert registry.rollback(who="bob", why="worse").version == first
    with pytest.raises(LociscopeError, match="has no version before") as caught:
        registry.rollback(who="bob", why="worse")
    assert caught.value.code == Code.CONFLICT
    assert registry.path().name == first
    events = [(event.action, event.version, event.before, event.who) for event in registry.state().history[3:]]
    assert events == [
        ("promote", first, None, "ann"),
        ("promote", second, first, "ann"),
        ("promote", third, second, "ann"),
        ("rollback", second, third, "bob"),
        ("rollback", first, second, "bob"),
    ]


def test_promoting_what_is_in_use_changes_nothing(registry: Registry) -> None:
    registry.promote("tiny0", **BY)
    before = registry.state()
    registry.promote("tiny0", **BY)
    assert registry.state() == before


def test_another_registry_object_sees_it_at_once(registry: Registry) -> None:
    other = Registry(registry.folder)
    registry.promote("tiny0", **BY)
    assert other.path() == registry.path()
    registry.promote("tiny1", **BY)
    assert other.path() == registry.path()
    registry.promote("tiny2", alias="trial", **BY)
    assert other.path("trial") != other.path()


def test_the_retired_is_neither_promoted_nor_rolled_back_to(registry: Registry, tmp_path: Path) -> None:
    first, second, _ = versions(registry)
    for version in (first, second, first):
        registry.promote(version, **BY)
    with pytest.raises(LociscopeError, match="is in use as 'production'"):
        registry.retire(first, **BY)
    assert registry.retire(second, **BY).retired
    with pytest.raises(LociscopeError, match="has no version before"):
        registry.rollback(**BY)
    with pytest.raises(LociscopeError, match=r"is retired\. Add it again"):
        registry.promote(second, **BY)
    assert not registry.add(tmp_path / "b1", **BY).retired
    assert registry.promote(second, **BY).aliases == ("production",)


def test_a_bundle_that_fails_its_check_is_not_promoted(registry: Registry) -> None:
    def refuse(folder: Path) -> None:
        raise LociscopeError(f"'{folder.name}' gives something else.")

    registry.promote("tiny0", **BY)
    with pytest.raises(PromotionRefusedError, match=r"is not promoted to 'production'\. 'tiny1-0-.* else") as caught:
        registry.promote("tiny1", check=refuse, **BY)
    assert caught.value.exit_code == Exit.CHECK_FAILED
    registry.promote("tiny1", **BY)
    with pytest.raises(PromotionRefusedError, match="is not promoted"):
        registry.rollback(check=refuse, **BY)
    assert registry.path().name.startswith("tiny1")
    (registry.entry("tiny2").folder / "card.json").write_text("{}")
    with pytest.raises(PromotionRefusedError, match="altered or truncated"):
        registry.promote("tiny2", **BY)


def test_a_missing_folder_is_reported_and_not_promoted(registry: Registry, tmp_path: Path) -> None:
    registry.promote("tiny0", **BY)
    shutil.rmtree(registry.entry("tiny0").folder)
    with pytest.raises(LociscopeError, match="whose folder is missing"):
        registry.path()
    with pytest.raises(PromotionRefusedError, match="the folder does not exist"):
        registry.promote("tiny0", alias="trial", **BY)
    registry.add(tmp_path / "b0", **BY)
    assert (registry.path() / MANIFEST).is_file()


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("tiny", Code.INVALID_VALUE, r"'tiny' may be tiny0-0-.* or tiny1-0-.* or tiny2-0-.*\. Give more"),
        ("tiny9-0-00000000", Code.UNKNOWN_NAME, r"has no version .*Did you mean 'tiny"),
        ("", Code.UNKNOWN_NAME, r"has no version ''"),
        ("../b0", Code.UNKNOWN_NAME, "has no version"),
    ],
)
def test_an_unknown_version(registry: Registry, name: str, code: Code, message: str) -> None:
    with pytest.raises(LociscopeError, match=message) as caught:
        registry.promote(name, **BY)
    assert caught.value.code == code


def test_an_unknown_alias(registry: Registry) -> None:
    with pytest.raises(LociscopeError, match=r"has no alias 'production'\. Promote a version"):
        registry.path()
    registry.promote("tiny0", **BY)
    with pytest.raises(LociscopeError, match=r"Did you mean 'production'\?") as caught:
        registry.path("prodution")
    assert caught.value.code == Code.UNKNOWN_NAME
    with pytest.raises(LociscopeError, match="is not allowed") as caught:
        registry.promote("tiny0", alias="../x", **BY)
    assert caught.value.code == Code.INVALID_VALUE


def test_an_empty_registry(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    with pytest.raises(LociscopeError, match=r"is not a registry.*models add") as caught:
        registry.promote("tiny0", **BY)
    assert caught.value.code == Code.NOT_FOUND
    assert not registry.folder.exists()
    registry.folder.mkdir()
    assert registry.entries() == []
    with pytest.raises(LociscopeError, match="holds no bundle") as caught:
        registry.promote("tiny0", **BY)
    assert caught.value.code == Code.NOTHING_FOUND
    with pytest.raises(LociscopeError, match="is not a bundle"):
        registry.add(tmp_path, **BY)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema": 3}, "has schema 3, newer than 2"),
        ({"aliases": {"production": ["nowhere"]}}, "versions that were not added"),
        ({"aliases": {"production": []}}, "versions that were not added"),
        ({"history": "x"}, "is damaged"),
        ({"versions": {"../../x": "0"}}, "versions that were not added"),
    ],
)
def test_a_damaged_file(registry: Registry, change: dict[str, object], sentence: str) -> None:
    file = registry.folder / "registry.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(LociscopeError, match=sentence):
        registry.entries()


def test_promotions_at_once_all_count(registry: Registry) -> None:
    code = (
        "import sys; from pathlib import Path; from lociscope.registry.model_registry import Registry\n"
        "registry = Registry(Path(sys.argv[1]))\n"
        "for turn in range(10):\n"
        "    registry.promote(f'tiny{turn % 3}', alias=sys.argv[2], who='ann', why=str(turn))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(registry.folder), f"a{n}"]) for n in range(3)]
    while any(process.poll() is None for process in running):
        for alias in registry.state().aliases:  # whenever one looks, there is a whole bundle
            assert (registry.path(alias) / MANIFEST).is_file()
        time.sleep(0.001)
    assert [process.returncode for process in running] == [0, 0, 0]
    state = registry.state()
    assert [len(state.aliases[f"a{n}"]) for n in range(3)] == [10, 10, 10]
    assert len(state.history) == 3 + 30


def test_a_file_is_not_a_registry(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    with pytest.raises(LociscopeError, match="is not a registry"):
        Registry(tmp_path / "models").entries()


def test_a_registry_of_the_first_schema_is_read_and_becomes_the_second_when_it_changes(registry: Registry) -> None:
    file = registry.folder / "registry.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"schema": 1}))
    assert len(registry.entries()) == 3
    registry.promote("tiny0", **BY)
    assert json.loads(file.read_text())["schema"] == 2
    registry.record_gate(who="ann", why="agreed")
    assert registry.state().history[-1].action == "gate"
    assert len(registry.entries()) == 3
