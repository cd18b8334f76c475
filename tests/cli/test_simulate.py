"""`lociscope simulate`: an atlas that the other commands take."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

Command = Callable[..., tuple[int, str, str]]


def test_an_atlas_is_simulated_once_and_imports(lociscope: Command, tmp_path: Path) -> None:
    words = ("simulate", "atlas", "drawn", "-n", 2, "--size", 64, "--workers", 1)
    assert lociscope(*words) == (0, "2 fields in drawn\n", "")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "drawn" / "train").iterdir()}
    assert len(times) == 8
    assert lociscope(*words)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert lociscope("import", "kaggle", "drawn") == (0, "2 fields, 2 labelled, in catalog.parquet\n", "")


def test_another_seed_in_the_same_folder_is_refused(lociscope: Command) -> None:
    words = ("simulate", "atlas", "drawn", "-n", 1, "--size", 64, "--workers", 1)
    assert lociscope(*words)[0] == 0
    code, out, err = lociscope(*words, "--seed", 1)
    assert (code, out) == (1, "")
    assert err.startswith("lociscope: 'drawn' holds another atlas")


def test_numbers_out_of_range_are_wrong_usage(lociscope: Command, tmp_path: Path) -> None:
    for words in (["-n", 0], ["-n", "many"], [], ["-n", 1, "--size", 3], ["-n", 1, "--seed", -1]):
        code, out, err = lociscope("simulate", "atlas", "drawn", *words)
        assert (code, out) == (2, ""), words
        assert "Traceback" not in err
    assert not (tmp_path / "drawn").exists()
