"""Paths as text, as objects, alone or several."""

from __future__ import annotations

from pathlib import Path

from lociscope.storage.paths import as_path, as_paths


def test_one_path() -> None:
    assert (as_path("a/b"), as_path(Path("a")), as_path(None)) == (Path("a/b"), Path("a"), None)


def test_several_paths() -> None:
    assert as_paths("ab") == [Path("ab")]
    assert as_paths(Path("ab")) == [Path("ab")]
    assert as_paths(["a", Path("b")]) == [Path("a"), Path("b")]
