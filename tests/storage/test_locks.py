"""One process at a time in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lociscope.errors import Code, LociscopeError
from lociscope.storage import locks

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(file: object, *, wait: bool) -> bool:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(locks, "lock_file", unknown)
    with (
        pytest.raises(LociscopeError, match=r"Cannot write .*Function not implemented"),
        locks.exclusive_lock(tmp_path, "no"),
    ):
        pass
    with locks.exclusive_lock(tmp_path / "run", "no", needed=False):
        assert (tmp_path / "run").is_dir()
    assert not (tmp_path / "run").exists()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with locks.exclusive_lock(tmp_path / "run", "no"):
        with (
            pytest.raises(LociscopeError, match="it is taken") as caught,
            locks.exclusive_lock(tmp_path / "run", "it is taken"),
        ):
            pass
        assert caught.value.code == Code.IN_USE
        assert (tmp_path / "run" / locks.LOCK).exists()
    with locks.exclusive_lock(tmp_path / "run", "no"):
        pass
    assert not (tmp_path / "run").exists()


def test_a_lock_whose_file_its_holder_has_just_removed_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our opening of the file and our locking it: the lock would be on a file that nobody else sees."""
    take, tries = locks.lock_file, []

    def late(file: Any, *, wait: bool) -> bool:
        tries.append(1)
        if len(tries) == 1:
            (tmp_path / locks.LOCK).unlink()
        return take(file, wait=wait)

    monkeypatch.setattr(locks, "lock_file", late)
    with locks.exclusive_lock(tmp_path, "no"):
        assert len(tries) == 2
        monkeypatch.undo()
        with pytest.raises(LociscopeError, match="taken"), locks.exclusive_lock(tmp_path, "taken"):
            pass
