"""What polling finds in a folder, with a simulated clock."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lociscope.watch.folder import SWEEP, TIME_RESOLUTION, FolderChanges, PictureFile, PolledFolder

Polled = Callable[..., PolledFolder]


@pytest.fixture
def polled(tmp_path: Path) -> Polled:
    """`polled(settle=2.0)` watches `tmp_path` for names that end in `.png` or `.zarr`."""
    return lambda settle=2.0, skip=None: PolledFolder(
        tmp_path, lambda name: name.endswith((".png", ".zarr")), settle, skip
    )


def look(folder: PolledFolder, now: float) -> FolderChanges:
    seen = folder.poll(now)
    assert seen is not None
    return seen


def names(items: list[PictureFile]) -> list[str]:
    return sorted(item.name for item in items)


def test_a_file_settles_when_it_no_longer_changes(polled: Polled, tmp_path: Path) -> None:
    folder = polled()
    (tmp_path / "a.png").write_bytes(b"half")
    (tmp_path / "notes.txt").write_bytes(b"passed over")
    assert names(look(folder, 0).changed) == ["a.png"]
    assert look(folder, 1) == FolderChanges()
    with (tmp_path / "a.png").open("ab") as file:
        file.write(b"the rest")
    assert names(look(folder, 1.9).changed) == ["a.png"]
    assert look(folder, 3) == FolderChanges()
    seen = look(folder, 4)
    assert (names(seen.settled), seen.changed) == (["a.png"], [])
    assert look(folder, 100) == FolderChanges()


def test_a_settling_time_of_nothing(polled: Polled, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    seen = look(polled(0), 0)
    assert names(seen.changed) == names(seen.settled) == ["a.png"]


def test_sub_folders_that_come_later_and_go(polled: Polled, tmp_path: Path) -> None:
    folder = polled()
    look(folder, 0)
    inner = tmp_path / "plate" / "deep"
    inner.mkdir(parents=True)
    (inner / "a.png").write_bytes(b"x")
    assert look(folder, 1).changed == [PictureFile(inner, "a.png")]
    (inner / "a.png").unlink()
    inner.rmdir()
    assert look(folder, 2).removed == [PictureFile(inner, "a.png")]
    inner.mkdir()
    (inner / "b.png").write_bytes(b"x")
    (tmp_path / "plate" / "b.png").write_bytes(b"x")
    assert names(look(folder, 3).changed) == ["b.png", "b.png"]


def test_what_is_not_entered(polled: Polled, tmp_path: Path) -> None:
    for name in (".hidden", "out.parts", "real"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(b"x")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    seen = look(polled(skip=tmp_path / "out.parts"), 0)
    assert seen.changed == [PictureFile(tmp_path / "real", "a.png")]


def test_a_file_changed_in_place_is_noticed_by_the_sweep(polled: Polled, tmp_path: Path) -> None:
    folder = polled()
    (tmp_path / "a.png").write_bytes(b"one")
    for now in range(10):
        look(folder, now)
    before = tmp_path.stat().st_mtime_ns
    (tmp_path / "a.png").write_bytes(b"other")
    assert tmp_path.stat().st_mtime_ns == before
    assert look(folder, 11) == FolderChanges()
    assert names(look(folder, 11 + 100 * SWEEP).changed) == ["a.png"]


def test_two_changes_within_one_tick_of_a_coarse_clock(polled: Polled, tmp_path: Path) -> None:
    folder = polled()
    (tmp_path / "a.png").write_bytes(b"x")
    stamp = tmp_path.stat().st_mtime_ns
    look(folder, 0)
    (tmp_path / "b.png").write_bytes(b"x")
    os.utime(tmp_path, ns=(stamp, stamp))
    assert names(look(folder, TIME_RESOLUTION - 0.5).changed) == ["b.png"]


def test_a_folder_at_rest_is_not_listed_again(polled: Polled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = polled()
    for number in range(20):
        (tmp_path / f"{number}.png").write_bytes(b"x")
    for now in range(9):
        look(folder, now)
    listed: list[Path] = []
    monkeypatch.setattr(os, "scandir", listed.append)
    assert look(folder, 10) == FolderChanges()
    assert listed == []


def test_looks_are_no_more_often_than_asked(polled: Polled, tmp_path: Path) -> None:
    folder = polled()
    assert folder.poll(0, 5) is not None
    assert folder.poll(4.9, 5) is None
    assert folder.poll(5.5, 5) is not None


def test_a_root_that_vanishes_and_comes_back(polled: Polled, tmp_path: Path) -> None:
    folder = PolledFolder(tmp_path / "share", lambda name: True, 0)
    (tmp_path / "share" / "sub").mkdir(parents=True)
    (tmp_path / "share" / "sub" / "a.png").write_bytes(b"x")
    assert len(look(folder, 0).changed) == 1
    (tmp_path / "share").rename(tmp_path / "away")
    assert look(folder, 1) == FolderChanges()
    assert folder.unavailable == "No such file or directory"
    (tmp_path / "away").rename(tmp_path / "share")
    assert look(folder, 2) == FolderChanges()
    assert folder.unavailable is None


def test_a_zarr_is_one_picture_and_moves_while_anything_in_it_does(polled: Polled, tmp_path: Path) -> None:
    folder = polled()
    chunk = tmp_path / "a.zarr" / "0" / "0"
    chunk.parent.mkdir(parents=True)
    chunk.write_bytes(b"x")
    assert look(folder, 0).changed == [PictureFile(tmp_path, "a.zarr")]
    chunk.write_bytes(b"xx")
    assert look(folder, 1).changed == [PictureFile(tmp_path, "a.zarr")]
    assert look(folder, 4).settled == [PictureFile(tmp_path, "a.zarr")]


def test_a_link_that_leads_nowhere_settles_and_is_reported_by_the_reader(polled: Polled, tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to("nothing")
    folder = polled()
    assert names(look(folder, 0).changed) == ["a.png"]
    assert names(look(folder, 3).settled) == ["a.png"]


class AnyOrder(RuleBasedStateMachine):
    """Files and folders come, grow and go in any order: what was told adds up to what is there."""

    @initialize(root=st.uuids())
    def begin(self, root: object) -> None:
        import tempfile

        self.held = tempfile.TemporaryDirectory()
        self.root = Path(self.held.name)
        self.polled = PolledFolder(self.root, lambda name: name.endswith(".png"), 2.0)
        self.now = 0.0
        self.there: set[Path] = set()
        self.at_rest: set[Path] = set()

    def teardown(self) -> None:
        if hasattr(self, "held"):
            self.held.cleanup()

    paths = st.tuples(st.sampled_from(["", "p", "p/q", "r"]), st.sampled_from(["a.png", "b.png"]))

    @rule(path=paths, data=st.binary(min_size=1, max_size=3))
    def write(self, path: tuple[str, str], data: bytes) -> None:
        folder = self.root / path[0]
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / path[1]).open("ab") as file:
            file.write(data)

    @rule(path=paths)
    def remove(self, path: tuple[str, str]) -> None:
        (self.root / path[0] / path[1]).unlink(missing_ok=True)

    @rule(name=st.sampled_from(["p", "p/q", "r"]))
    def remove_folder(self, name: str) -> None:
        import shutil

        shutil.rmtree(self.root / name, ignore_errors=True)

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.5, 40.0]))
    def look(self, seconds: float) -> None:
        self.now += seconds
        seen = look(self.polled, self.now)
        self.there |= {item.path for item in seen.changed}
        self.at_rest -= {item.path for item in seen.changed}
        self.at_rest |= {item.path for item in seen.settled}
        gone = {item.path for item in seen.removed}
        self.there -= gone
        self.at_rest -= gone

    @precondition(lambda self: hasattr(self, "root"))
    @rule()
    def in_the_end_everything_is_told(self) -> None:
        for _ in range(4):
            self.look(1000.0)
        assert self.there == self.at_rest == set(self.root.rglob("*.png"))

    @invariant()
    def at_rest_is_there(self) -> None:
        if hasattr(self, "root"):
            assert self.at_rest <= self.there


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=12, stateful_step_count=20)
