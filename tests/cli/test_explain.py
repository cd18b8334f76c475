"""`lociscope predict --explain`: a picture of each field, written once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

Command = Callable[..., tuple[int, str, str]]


def test_a_picture_of_each_field(
    lociscope: Command, write_field: Callable[..., Path], tiny_bundle: Path, tmp_path: Path
) -> None:
    for number, name in enumerate(("a1", "b2")):
        folder = write_field(name, seed=number)
    words = ("predict", folder, "-b", tiny_bundle, "-o", "p.csv", "--explain", "why/evidence")
    assert lociscope(*words)[:2] == (0, "2 fields in p.csv, 2 new\n")
    pictures = sorted((tmp_path / "why" / "evidence").iterdir())
    assert [path.name for path in pictures] == ["a1.png", "b2.png"]
    pictures[0].unlink()
    before = pictures[1].stat().st_mtime_ns
    assert lociscope(*words)[:2] == (0, "2 fields in p.csv, complete already\n")
    assert pictures[0].exists()
    assert pictures[1].stat().st_mtime_ns == before


def test_a_folder_that_cannot_be_made(
    lociscope: Command, write_field: Callable[..., Path], tiny_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    words = ("predict", write_field("a1"), "-b", tiny_bundle, "-o", "p.csv", "--explain", "file/evidence")
    code, _, error = lociscope(*words)
    assert (code, "file/evidence" in error) == (1, True)
    assert not (tmp_path / "p.csv").exists()
