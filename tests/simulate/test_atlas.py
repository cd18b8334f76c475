from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import lociscope.simulate.atlas as atlas
from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.simulate import SimulatedField, read_truth, simulate_field, write_atlas

SIZE = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_atlas(tmp_path_factory.mktemp("atlas") / "a", fields=4, size=SIZE, seed=7)


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".npz"  # a zip archive holds the time
    }


def test_the_layout_is_the_competitions(folder: Path) -> None:
    rows = list(csv.DictReader((folder / "train.csv").read_text().splitlines()))
    assert [list(row) for row in rows] == [["Id", "Target"]] * 4
    for index, row in enumerate(rows):
        field = simulate_field(index, seed=7, size=SIZE)
        assert row == {"Id": field.id, "Target": " ".join(map(str, field.target))}
        for channel, name in enumerate(CHANNEL_NAMES):
            with Image.open(folder / "train" / f"{field.id}_{name}.png") as picture:
                assert np.array_equal(np.asarray(picture), field.pixels[..., channel])


def test_truth_comes_back(folder: Path) -> None:
    field = simulate_field(1, seed=7, size=SIZE)
    truth = read_truth(folder / "truth" / f"{field.id}.npz")
    assert np.array_equal(truth["cells"], field.cells)
    assert np.array_equal(truth["nuclei"], field.nuclei)
    for place in range(28):
        assert np.array_equal(truth["places"][place], field.locations.get(place, np.zeros((SIZE, SIZE), bool)))


def test_the_tables_hold_a_row_per_field_and_per_cell(folder: Path) -> None:
    fields = pq.read_table(folder / "truth.parquet")
    cells = pq.read_table(folder / "cells.parquet")
    assert fields.schema.metadata[b"schema"] == b"1"
    simulated = [simulate_field(index, seed=7, size=SIZE) for index in range(4)]
    assert fields["drawn"].to_pylist() == [list(field.simulated) for field in simulated]
    assert fields["pixel_size"].to_pylist() == [field.pixel_size for field in simulated]
    assert cells.num_rows == sum(len(field.table) for field in simulated)


def test_an_interrupted_atlas_goes_on_to_the_same_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, written = tmp_path / "b", atlas._write_field

    def stop_at_third(root: Path, field: SimulatedField) -> None:
        if field.id.endswith("2"):
            raise KeyboardInterrupt
        written(root, field)

    monkeypatch.setattr(atlas, "_write_field", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        write_atlas(target, fields=4, size=SIZE, seed=7)
    assert not (target / "train.csv").exists()
    monkeypatch.setattr(atlas, "_write_field", written)
    seen: list[tuple[int, int]] = []
    write_atlas(target, fields=4, size=SIZE, seed=7, progress=lambda done, all_: seen.append((done, all_)))
    assert seen == [(3, 4), (4, 4)]
    assert digest(target) == digest(folder)


@pytest.mark.slow
def test_an_atlas_may_lift_rare_places(tmp_path: Path) -> None:
    root = write_atlas(tmp_path / "a", fields=6, size=SIZE, seed=3, balance=1.0)
    fields = [simulate_field(index, seed=3, size=SIZE, balance=1.0) for index in range(6)]
    rows = list(csv.DictReader((root / "train.csv").read_text().splitlines()))
    assert [row["Target"] for row in rows] == [" ".join(map(str, field.target)) for field in fields]
    assert [field.target for field in fields] != [simulate_field(i, seed=3, size=SIZE).target for i in range(6)]
    with pytest.raises(LociscopeError, match="another atlas"):
        write_atlas(root, fields=6, size=SIZE, seed=3)


def test_a_finished_atlas_is_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas, "simulate_fields", None)
    assert write_atlas(folder, fields=4, size=SIZE, seed=7) == folder


@pytest.mark.parametrize("change", [{"size": 96}, {"seed": 8}, {"locations": [3]}, {"cell_line": "HeLa"}])
def test_another_atlas_is_refused(folder: Path, change: dict[str, int]) -> None:
    with pytest.raises(LociscopeError, match="holds another atlas"):
        write_atlas(folder, **({"fields": 4, "size": SIZE, "seed": 7} | change))  # type: ignore[arg-type]


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("sun")
    with pytest.raises(LociscopeError, match="holds other files"):
        write_atlas(tmp_path, fields=1, size=SIZE)


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LociscopeError, match="is a file"):
        write_atlas(tmp_path / "file", fields=1, size=SIZE)


def test_a_newer_atlas_is_refused(tmp_path: Path) -> None:
    (tmp_path / "atlas.json").write_text('{"schema": 99}')
    with pytest.raises(LociscopeError, match="newer"):
        write_atlas(tmp_path, fields=1, size=SIZE)


def test_no_fields_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least one field"):
        write_atlas(tmp_path / "none", fields=0)


def test_a_full_disk_has_an_error_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LociscopeError, match="No space left"):
        write_atlas(tmp_path / "full", fields=1, size=SIZE)


def test_a_disk_that_is_really_full_is_reported_and_the_atlas_resumes(tmp_path: Path) -> None:
    import subprocess

    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount a small disk")
    try:
        with pytest.raises(LociscopeError, match="No space left"):
            write_atlas(disk / "a", fields=8, size=SIZE, seed=7)
        assert not list((disk / "a").rglob("*.part*"))
        whole = len(list((disk / "a" / "truth").glob("*.npz")))
        assert 0 < whole < 8
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        write_atlas(disk / "a", fields=8, size=SIZE, seed=7)
        assert len(list((disk / "a" / "truth").glob("*.npz"))) == 8
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": 32}, "64 px or more"),
        ({"cell_line": "HELA"}, "Did you mean 'HeLa'"),
        ({"locations": [31]}, "0–27"),
        ({"label_noise": 2.0}, "0–1"),
        ({"balance": 2.0}, "to 1"),
    ],
)
def test_a_mistake_is_reported_before_a_file_is_made(tmp_path: Path, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        write_atlas(tmp_path / "a", **({"fields": 1, "size": SIZE} | options))  # type: ignore[arg-type]
    assert not (tmp_path / "a").exists()


def test_workers_do_not_change_the_files(folder: Path, tmp_path: Path) -> None:
    assert digest(write_atlas(tmp_path / "two", fields=4, size=SIZE, seed=7, workers=2)) == digest(folder)


@pytest.mark.parametrize("text", ["[1]", "3", "{"])
def test_an_atlas_json_that_is_not_an_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "atlas.json").write_text(text)
    with pytest.raises(LociscopeError) as refused:
        write_atlas(tmp_path, fields=1, size=SIZE)
    assert refused.value.code is Code.CORRUPT


def test_an_atlas_of_an_earlier_simulator_is_refused(tmp_path: Path) -> None:
    root = write_atlas(tmp_path / "a", fields=1, size=SIZE, seed=7)
    about = json.loads((root / "atlas.json").read_text())
    (root / "atlas.json").write_text(json.dumps(about | {"version": about["version"] - 1}))
    before = digest(root)
    with pytest.raises(LociscopeError) as caught:
        write_atlas(root, fields=2, size=SIZE, seed=7)
    assert caught.value.code == Code.CONFLICT
    assert digest(root) == before
