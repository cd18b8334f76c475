"""Packing: once, whole, gone on with where it was cut off, and never for another recipe."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.artifacts.card import InputSpec
from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.data.cache.disk import JOURNAL, PIXELS, DiskArray, PreparedField
from lociscope.data.cache.packing import pack, prepare_catalog
from lociscope.errors import LociscopeError
from lociscope.images.discovery.sources import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lociscope.data.cache.fields import PackedFields

SPEC = InputSpec(height=16, width=16, low=0.5, high=99.9)


def one(number: int) -> PreparedField:
    pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 4), np.uint8)
    return PreparedField(f"f{number}", f"g{number // 2}", pixels, (number % 28,))


def fields(n: int, start: int = 0) -> Iterator[PreparedField]:
    yield from map(one, range(start, n))


def packed(folder: Path, n: int = 4, key: int = 1) -> PackedFields:
    return pack(folder, {"a": key}, n, lambda start: fields(n, start), SPEC)


def test_what_is_packed_comes_back(tmp_path: Path) -> None:
    made = packed(tmp_path / "packed")
    assert made.ids == ["f0", "f1", "f2", "f3"]
    assert made.groups == ["g0", "g0", "g1", "g1"]
    np.testing.assert_array_equal(made.x, [field.pixels for field in fields(4)])
    np.testing.assert_array_equal(np.argwhere(made.y), [[0, 0], [1, 1], [2, 2], [3, 3]])
    np.testing.assert_array_equal(np.load(tmp_path / "packed" / PIXELS), made.x)
    assert sorted(path.name for path in (tmp_path / "packed").iterdir()) == ["pack.json", PIXELS]
    assert [path.name for path in tmp_path.iterdir()] == ["packed"]


def test_a_second_call_simulates_nothing(tmp_path: Path) -> None:
    first = packed(tmp_path / "packed")

    def never(start: int) -> Iterator[PreparedField]:
        raise AssertionError("packed again")

    again = pack(tmp_path / "packed", {"a": 1}, 4, never, SPEC)
    assert again.sha256 == first.sha256


def test_unreadable_fields_leave_no_hole_and_are_reported_again(tmp_path: Path) -> None:
    def some(start: int) -> Iterator[PreparedField | Failure]:
        items: list[PreparedField | Failure] = [one(0), Failure("bad", "bad.png", "It is no picture."), one(1)]
        yield from items[start:]

    for _ in range(2):
        failures: list[Failure] = []
        made = pack(tmp_path / "packed", {}, 9, some, SPEC, failures)
        assert len(made) == len(made.x) == len(made.y) == 2
        assert failures == [Failure("bad", "bad.png", "It is no picture.")]


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    packed(tmp_path / "packed")
    with pytest.raises(LociscopeError, match="another recipe"):
        packed(tmp_path / "packed", key=2)


def test_no_field_at_all(tmp_path: Path) -> None:
    with pytest.raises(LociscopeError, match="No field could be read"):
        packed(tmp_path / "packed", 0)
    assert list(tmp_path.iterdir()) == []


# === Cut off ===


def cut_after(folder: Path, come: int, n: int = 6, key: int = 1) -> None:
    def some(start: int) -> Iterator[PreparedField]:
        yield from fields(come, start)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(folder, {"a": key}, n, some, SPEC)
    assert not folder.exists()


def started(folder: Path, n: int = 6, key: int = 1) -> tuple[PackedFields, int]:
    """Packs, and says with which field it began."""
    begun = []

    def rest(start: int) -> Iterator[PreparedField]:
        begun.append(start)
        return fields(n, start)

    return pack(folder, {"a": key}, n, rest, SPEC), begun[0]


def test_an_interrupted_packing_resumes_to_the_same(tmp_path: Path) -> None:
    alone = packed(tmp_path / "alone", 6)
    cut_after(tmp_path / "packed", 2)
    cut_after(tmp_path / "packed", 5)
    made, first = started(tmp_path / "packed")
    assert first == 5
    assert (made.sha256, made.ids) == (alone.sha256, alone.ids)
    np.testing.assert_array_equal(made.x, alone.x)
    assert (tmp_path / "packed" / PIXELS).read_bytes() == (tmp_path / "alone" / PIXELS).read_bytes()


def test_what_was_begun_for_another_recipe_is_begun_anew(tmp_path: Path) -> None:
    cut_after(tmp_path / "packed", 3, key=2)
    made, first = started(tmp_path / "packed")
    assert first == 0
    assert made.sha256 == packed(tmp_path / "alone", 6).sha256


@pytest.mark.parametrize(
    ("name", "cut", "goes_on_at"),
    [(PIXELS, 1, 3), (PIXELS, 1024 + 7, 2), (JOURNAL, 3, 3), (JOURNAL, 10_000, 0), (PIXELS, 10_000, 0)],
)
def test_half_written_rows_are_written_again(tmp_path: Path, name: str, cut: int, goes_on_at: int) -> None:
    cut_after(tmp_path / "packed", 4)
    path = tmp_path / ".packed.part" / name
    path.write_bytes(path.read_bytes()[: -min(cut, path.stat().st_size)])
    made, first = started(tmp_path / "packed")
    assert first == goes_on_at
    assert made.sha256 == packed(tmp_path / "alone", 6).sha256


def test_rows_that_a_crash_left_as_zeros_are_written_again(tmp_path: Path) -> None:
    cut_after(tmp_path / "packed", 4)
    path = tmp_path / ".packed.part" / PIXELS
    data = bytearray(path.read_bytes())
    data[-2000:-1500] = bytes(500)
    path.write_bytes(data)
    made, first = started(tmp_path / "packed")
    assert first == 2
    assert made.sha256 == packed(tmp_path / "alone", 6).sha256


KILLED = """
import sys, time
sys.path.insert(0, {here!r})
from pathlib import Path
from typing import Any
from test_packing import SPEC, one, pack
def slow(start):
    for number in range(start, 40):
        time.sleep(0.01)
        yield one(number)
pack(Path({folder!r}), {{"a": 1}}, 40, slow, SPEC)
"""


@pytest.mark.slow
def test_a_killed_packing_resumes(tmp_path: Path) -> None:
    code = KILLED.format(here=str(Path(__file__).parent), folder=str(tmp_path / "packed"))
    journal = tmp_path / ".packed.part" / JOURNAL
    with subprocess.Popen([sys.executable, "-c", code]) as child:
        while not journal.exists() or journal.read_text().count("\n") < 5:
            assert child.poll() is None
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
    made, first = started(tmp_path / "packed", 40)
    assert first >= 5
    assert made.sha256 == packed(tmp_path / "alone", 40).sha256


# === Bad stores, full disks, two packers ===


@pytest.mark.parametrize("cut", [1, 900, 5000])
def test_a_store_cut_short_is_reported(tmp_path: Path, cut: int) -> None:
    packed(tmp_path / "packed")
    path = tmp_path / "packed" / PIXELS
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(LociscopeError, match="damaged or cut short"):
        packed(tmp_path / "packed")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 2}', '{"schema": 2, "key": {"a": 1}, "ids": 3}'])
def test_a_damaged_description_is_reported(tmp_path: Path, text: str) -> None:
    packed(tmp_path / "packed")
    (tmp_path / "packed" / "pack.json").write_text(text)
    with pytest.raises(LociscopeError, match=r"damaged or cut short|another recipe"):
        packed(tmp_path / "packed")


@pytest.mark.parametrize(("schema", "said"), [(99, "Update lociscope"), (1, "another recipe")])
def test_a_store_of_another_schema(tmp_path: Path, schema: int, said: str) -> None:
    packed(tmp_path / "packed")
    path = tmp_path / "packed" / "pack.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": schema}))
    with pytest.raises(LociscopeError, match=said):
        packed(tmp_path / "packed")


def test_a_store_cut_short_while_it_is_read(tmp_path: Path) -> None:
    made = packed(tmp_path / "packed")
    os.truncate(tmp_path / "packed" / PIXELS, 2000)
    with pytest.raises(LociscopeError, match="cut short"):
        made.x[np.array([3])]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_reported_and_packing_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lociscope.data.cache import disk

    written, write = [0], disk._write_all

    def full(file: object, data: bytes) -> None:
        written[0] += len(data)
        if written[0] > 4000:
            with Path("/dev/full").open("wb", buffering=0) as device:
                device.write(data)
        write(file, data)  # type: ignore[arg-type]

    monkeypatch.setattr(disk, "_write_all", full)
    with pytest.raises(LociscopeError, match="No space left on device"):
        packed(tmp_path / "packed", 6)
    assert not (tmp_path / "packed").exists()
    monkeypatch.undo()
    made, first = started(tmp_path / "packed")
    assert first == 3
    assert made.sha256 == packed(tmp_path / "alone", 6).sha256


@pytest.mark.parametrize("size", [64, 204])
def test_a_disk_that_is_really_full(tmp_path: Path, size: int) -> None:
    """Full in the middle, and at the last of 200 fields of a KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk")
    try:
        with pytest.raises(LociscopeError, match="No space left on device"):
            packed(disk / "packed", 200)
        assert not (disk / "packed").exists()
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        made, first = started(disk / "packed", 200)
        assert first > size // 2
        assert made.sha256 == packed(tmp_path / "alone", 200).sha256
        assert [path.name for path in disk.iterdir()] == ["packed"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(sys.platform == "win32", reason="no lock there")
def test_two_packers_at_once(tmp_path: Path) -> None:
    halfway, go_on = threading.Event(), threading.Event()

    def slow(start: int) -> Iterator[PreparedField]:
        yield one(0)
        halfway.set()
        go_on.wait(30)
        yield from fields(4, 1)

    first = threading.Thread(target=lambda: pack(tmp_path / "packed", {"a": 1}, 4, slow, SPEC))
    first.start()
    assert halfway.wait(30)
    with pytest.raises(LociscopeError, match="being packed by another process"):
        packed(tmp_path / "packed")
    go_on.set()
    first.join()
    assert packed(tmp_path / "packed").sha256 == packed(tmp_path / "alone").sha256
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "packed"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no lock there")
def test_a_packer_in_another_process(tmp_path: Path) -> None:
    code = KILLED.format(here=str(Path(__file__).parent), folder=str(tmp_path / "packed"))
    journal = tmp_path / ".packed.part" / JOURNAL
    with subprocess.Popen([sys.executable, "-c", code.replace("0.01", "0.1")]) as child:
        while not journal.exists() or not journal.read_text():
            assert child.poll() is None
            time.sleep(0.005)
        with pytest.raises(LociscopeError, match=r"is being packed by another process\. Wait until it has finished"):
            packed(tmp_path / "packed", 40)
    assert child.returncode == 0
    made, first = started(tmp_path / "other", 40)
    assert (first, packed(tmp_path / "packed", 40).sha256) == (0, made.sha256)


# === Rows and hashes ===


def test_the_hash_sees_pixels_and_labels(tmp_path: Path) -> None:
    def changed(folder: str, **values: Any) -> str:
        each = (field._replace(**values) for field in fields(2))
        return pack(tmp_path / folder, {}, 2, lambda start: each, SPEC).sha256

    black = np.zeros((16, 16, 4), np.uint8)
    assert len({changed("a"), changed("b", target=(27,)), changed("c", pixels=black), changed("d", target=())}) == 4


def test_taken_rows_stay_on_disk_and_read_as_the_array_does(tmp_path: Path) -> None:
    made = packed(tmp_path / "packed")
    whole = np.asarray(made.x)
    part = made.take(np.array([3, 1, 3]))
    assert isinstance(part.x, DiskArray)
    assert part.ids == ["f3", "f1", "f3"]
    np.testing.assert_array_equal(part.x, whole[[3, 1, 3]])
    np.testing.assert_array_equal(part.x[np.array([1])], whole[[1]])
    np.testing.assert_array_equal(part.take(np.array([1])).x[:], whole[[1]])
    assert len(part) == len(part.x) == part.x.shape[0] == 3
    np.testing.assert_array_equal(part.y, made.y[[3, 1, 3]])


def test_a_store_that_went_away_is_reported(tmp_path: Path) -> None:
    made = packed(tmp_path / "packed")
    (tmp_path / "packed" / PIXELS).unlink()
    with pytest.raises(LociscopeError, match="damaged or cut short"):
        made.x[np.array([0])]


def test_a_catalog_is_read_from_any_field_on(tmp_path: Path) -> None:
    from lociscope.images.io.write import write_planes

    names = [f"f{number}" for number in range(4)]
    for number, name in enumerate(names):
        write_planes(tmp_path, name, one(number).pixels)
    (tmp_path / "f2_green.png").write_text("no picture")
    rows = [Entry(n, (3,), f"{n}_red.png", f"{n}_green.png", f"{n}_blue.png", f"{n}_yellow.png") for n in names]
    catalog = Catalog.from_entries(rows, tmp_path)
    whole = list(prepare_catalog(catalog, SPEC))
    assert [type(field).__name__ for field in whole] == ["PreparedField", "PreparedField", "Failure", "PreparedField"]
    assert [field.id for field in prepare_catalog(catalog, SPEC, start=2)] == ["f2", "f3"]
