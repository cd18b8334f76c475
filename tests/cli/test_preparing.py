"""Bad input on the way from files to what is trained on: each with its sentence, and nothing half-written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.data.cache import disk
from lociscope.data.cache.disk import LOCK, PreparedField
from lociscope.storage.locks import lock_file

Command = Callable[..., tuple[int, str, str]]
WriteField = Callable[..., Path]
PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "bad-input.md").read_text(encoding="utf-8")
PART = PAGE.partition("## Preparing")[2].partition("## Recipes")[0]
SAID = dict(re.findall(r"^\| ([^|]+) \| `([^`]+)` \|", PART, re.MULTILINE))
"""What the page says that is said, by what is found."""


def test_each_row_of_the_page_is_tried_here() -> None:
    tried = Path(__file__).read_text(encoding="utf-8")
    assert len(SAID) == PART.count("\n| ") - 1
    assert [kind for kind in SAID if f'SAID["{kind}"]' not in tried] == []


def entry(name: str, target: tuple[int, ...] | None = (0,), antibody: str | None = None) -> Entry:
    planes = (f"{name}_red.png", f"{name}_green.png", f"{name}_blue.png", f"{name}_yellow.png")
    return Entry(name, target, *planes, antibody=antibody)


def written(folder: Path, *rows: Entry) -> Path:
    Catalog.from_entries(rows, folder).write(folder / "c.parquet")
    return folder / "c.parquet"


# === Catalogs ===


def test_an_empty_catalog(lociscope: Command, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = written(tmp_path, entry("a"))
    table = pq.read_table(path)
    pq.write_table(table.slice(0, 0), path)
    before = path.read_bytes()
    for words in (["split", path], ["train", "lenet5", "-c", path, "-o", "run"]):
        code, _, err = lociscope(*words)
        assert code == 1
        assert SAID["a Catalog without a row"] in err
    assert path.read_bytes() == before
    assert not (tmp_path / "run").exists()


def test_a_catalog_of_one_row(lociscope: Command, tmp_path: Path) -> None:
    path = written(tmp_path, entry("a"))
    code, _, err = lociscope("split", path, "--find-duplicates")
    assert (code, SAID["a Catalog of one row"] in err) == (1, True)
    code, _, err = lociscope("train", "lenet5", "-c", path, "-o", "run")
    assert (code, "1 labelled fields outside the test split; training needs 2 or more" in err) == (1, True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["c.parquet"]


def test_a_class_with_one_group_is_reported_and_not_split(lociscope: Command, tmp_path: Path) -> None:
    rows = [entry(f"f{number}", (0, 27) if number < 3 else (0,), f"ab{number // 3}") for number in range(30)]
    path = written(tmp_path, *rows)
    code, _, err = lociscope("split", path, "--folds", 5)
    assert code == 0
    assert SAID["a class with one group"] in err
    assert len({row.fold for row in Catalog.read(path) if 27 in (row.target or ())}) == 1


def test_more_folds_than_groups(lociscope: Command, tmp_path: Path) -> None:
    path = written(tmp_path, *(entry(f"f{number}", (0,), f"ab{number % 3}") for number in range(30)))
    before = path.read_bytes()
    code, _, err = lociscope("split", path, "--folds", 4)
    assert (code, SAID["more folds than groups"] in err) == (1, True)
    assert path.read_bytes() == before


def test_a_catalog_whose_files_are_gone(lociscope: Command, tmp_path: Path) -> None:
    path = written(tmp_path, *(entry(f"f{number}") for number in range(3)))
    code, _, err = lociscope("train", "lenet5", "-c", path, "-o", "run")
    assert (code, SAID["a Catalog of which no file is left"] in err) == (1, True)
    assert not list(tmp_path.glob("run/*"))
    code, out, err = lociscope("split", path, "--find-duplicates", "--folds", 3, "--workers", 1)
    assert (code, "3 fields failed, listed in c.unread.csv" in err.replace(f"{tmp_path}/", "")) == (3, True)
    assert "grouped by nothing" in out


# === Tables of labels ===


@pytest.fixture
def pictures(write_field: WriteField, tmp_path: Path) -> Path:
    for number, name in enumerate(("a1", "b2")):
        write_field(name, tmp_path / "files" / "train", seed=number)
    return tmp_path / "files"


@pytest.mark.parametrize(
    "text",
    ["Id,Target\r\na1,16 0\r\nb2,3\r\n", "\ufeffId,Target\na1,16 0\nb2,3\n", 'Id,Target\n"a1","16 0"\n"b2","3"\n'],
    ids=["CRLF", "byte-order mark", "quotes"],
)
def test_spellings_of_a_table_that_are_read(lociscope: Command, pictures: Path, tmp_path: Path, text: str) -> None:
    (pictures / "train.csv").write_bytes(text.encode())
    code, out, _ = lociscope("import", "kaggle", pictures, "-o", "c.parquet")
    assert code == 0
    assert SAID["a table with CRLF, a byte-order mark or quotes"] in out
    assert [row.target for row in Catalog.read(tmp_path / "c.parquet")] == [(0, 16), (3,)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Id;Target\na1;0\nb2;3\n", SAID["a table with another delimiter"]),
        ("Id\tTarget\na1\t0\n", "expected the columns Id,Target"),
        ("Id,Target\na1,Nucleoplasm\n", "line 2"),
        ("Id,Target\na1,0|3\n", "line 2"),
        ("Id,Target\na1,28\n", SAID["labels of another scheme"]),
        ("Id,Target\na1,-1\n", "line 2"),
        ("Id,Target\na1\n", SAID["a table cut short"]),
    ],
)
def test_tables_of_another_scheme(lociscope: Command, pictures: Path, tmp_path: Path, text: str, said: str) -> None:
    (pictures / "train.csv").write_text(text)
    code, out, err = lociscope("import", "kaggle", pictures, "-o", "c.parquet")
    assert (code, out) == (1, "")
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "c.parquet").exists()


def test_rows_without_files_and_files_without_rows(lociscope: Command, pictures: Path, tmp_path: Path) -> None:
    (pictures / "train.csv").write_text("Id,Target\na1,0\ngone,3\n")
    code, out, _ = lociscope("import", "kaggle", pictures, "-o", "c.parquet")
    assert (code, out) == (3, "1 field, 1 labelled, in c.parquet\n")
    assert SAID["files without a row"] in out
    assert SAID["a row without files"] in (tmp_path / "c.failures.csv").read_text()
    assert Catalog.read(tmp_path / "c.parquet").ids == ["a1"]


# === Packing ===


@pytest.fixture
def four(write_field: WriteField, tmp_path: Path) -> Path:
    """A Catalog of four fields."""
    for number in range(4):
        write_field(f"f{number}", tmp_path, np.full((32, 32, 4), number, np.uint8))
    return written(tmp_path, *(entry(f"f{number}") for number in range(4)))


@pytest.mark.slow
def test_a_damaged_picture_ends_a_training_that_reads_as_it_goes(
    process: Command, four: Path, trained: tuple[Path, Any]
) -> None:
    picture = four.parent / "f2_blue.png"
    picture.write_bytes(picture.read_bytes()[:60])
    small = ("-s", "data.size=32", "-s", "train.epochs=1")
    code, out, err = process("train", "lenet5", "-c", four, "-o", "run", *small, "-s", "data.pack=false")
    assert (code, out, err.count("\n")) == (1, "", 1)  # not a word of TensorFlow's
    assert err.startswith(f"lociscope: Field 'f2' cannot be read: '{picture}'")
    assert SAID["a damaged picture, with `data.pack = false`"] in err
    run, said = trained  # with a damaged picture, and packed fields
    assert said.code == 3
    assert SAID["a damaged picture, when it is packed"] in said.err
    assert "f07" in (run / "failures.csv").read_text()


def test_packed_fields_that_cannot_be_used(lociscope: Command, four: Path) -> None:
    from lociscope.artifacts.recipe import Recipe
    from lociscope.data.cache.packing import pack

    train = ("train", "lenet5", "-c", four, "-s", "data.size=32", "-o")
    folder = four.parent / "run" / "packed"
    spec = Recipe.from_dict({"data": {"size": 32}}, "test").data.input
    pixels = np.zeros((32, 32, 4), np.uint8)
    pack(folder, {"of": "another"}, 1, lambda start: [PreparedField("a", "a", pixels, (0,))], spec)
    code, out, err = lociscope(*train, "run")
    assert (code, out, SAID["packed fields of another recipe"] in err) == (1, "", True)
    (folder / "pack.json").write_text("{")
    code, out, err = lociscope(*train, "run")
    assert (code, out, SAID["packed fields cut short"] in err) == (1, "", True)


def test_another_process_that_packs(lociscope: Command, four: Path) -> None:
    part = four.parent / "run" / ".packed.part"
    part.mkdir(parents=True)
    with (part / LOCK).open("a") as held:
        assert lock_file(held, wait=False)
        code, out, err = lociscope("train", "lenet5", "-c", four, "-o", "run", "-s", "data.size=32")
    assert (code, out, SAID["another process that packs"] in err) == (1, "", True)


def test_a_full_disk_while_packing(lociscope: Command, four: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated here; tests/data/cache/test_packing.py fills a real one."""
    written_bytes, write = [0], disk._write_all

    def full(file: object, data: bytes) -> None:
        written_bytes[0] += len(data)
        if written_bytes[0] > 10_000:
            raise OSError(28, "No space left on device")
        write(file, data)  # type: ignore[arg-type]

    monkeypatch.setattr(disk, "_write_all", full)
    code, out, err = lociscope("train", "lenet5", "-c", four, "-o", "run", "-s", "data.size=32")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("lociscope: Cannot write 'run/packed': No space left on device.")
    assert SAID["a disk that is full"] in err
    assert [each.name for each in (four.parent / "run").iterdir()] == [".packed.part"]
