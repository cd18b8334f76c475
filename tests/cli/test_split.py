"""`lociscope split`: the columns split and fold, by whole groups."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.cli.split import describe_adversarial
from lociscope.data.leakage import AdversarialResult
from lociscope.decide.intervals import Interval

if TYPE_CHECKING:
    from pathlib import Path

Command = Callable[..., tuple[int, str, str]]


def entries(n: int = 60, antibodies: int = 20) -> list[Entry]:
    rng = np.random.default_rng(0)
    places = [tuple({0, *rng.choice(28, rng.integers(0, 3)).tolist()}) for _ in range(antibodies)]
    return [
        Entry(f"f{row}", places[row % antibodies], "r.png", "g.png", "b.png", "y.png", antibody=f"ab{row % antibodies}")
        for row in range(n)
    ]


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    Catalog.from_entries(entries(), tmp_path).write(tmp_path / "c.parquet")
    return tmp_path / "c.parquet"


def rows(path: Path) -> list[Entry]:
    return list(Catalog.read(path))


def test_folds_in_place_by_antibody(lociscope: Command, catalog: Path) -> None:
    before = rows(catalog)
    code, out, _ = lociscope("split", catalog)
    assert code == 0
    assert "grouped by antibody" in out
    after = rows(catalog)
    assert [replace(row, split=None, fold=None) for row in after] == before
    assert {row.split for row in after} == {"train"}
    assert len({(row.antibody, row.fold) for row in after}) == 20
    assert {row.fold for row in after} == set(range(5))


def test_a_hold_out_is_in_no_fold(lociscope: Command, catalog: Path) -> None:
    assert lociscope("split", catalog, "--test", 0.2, "--valid", 0.25, "--folds", 3, "-o", "d.parquet")[0] == 0
    after = rows(catalog.with_name("d.parquet"))
    assert len({(row.antibody, row.split) for row in after}) == 20
    assert sum(row.split == "test" for row in after) == 12
    assert sum(row.split == "valid" for row in after) == 12
    assert all((row.fold is None) == (row.split == "test") for row in after)
    assert rows(catalog)[0].fold is None


def test_what_is_marked_as_test_stays_so_with_its_whole_group(lociscope: Command, catalog: Path) -> None:
    marked = [replace(row, split="test" if row.id == "f0" else None) for row in entries()]
    Catalog.from_entries(marked, catalog.parent).write(catalog)
    assert lociscope("split", catalog)[0] == 0
    assert {row.id for row in rows(catalog) if row.split == "test"} == {"f0", "f20", "f40"}


def test_a_second_run_changes_nothing(lociscope: Command, catalog: Path) -> None:
    lociscope("split", catalog, "--test", 0.2)
    once = rows(catalog)
    lociscope("split", catalog, "--test", 0.2)
    assert rows(catalog) == once


def test_as_json(lociscope: Command, catalog: Path) -> None:
    said = json.loads(lociscope("split", catalog, "--json", "--group", "plate", "--group", "antibody")[1])
    assert said["grouped_by"] == ["plate", "antibody"]
    assert [part["name"] for part in said["parts"]] == ["train", *[f"fold {number}" for number in range(5)]]
    assert sum(part["fields"] for part in said["parts"][1:]) == 60
    assert said["parts"][0]["counts"]["Nucleoplasm"] == 60


def test_notes(lociscope: Command, catalog: Path) -> None:
    few = [replace(row, antibody=None, target=(0, 27) if row.id == "f1" else (0,)) for row in entries()]
    Catalog.from_entries([*few, Entry("bare")], catalog.parent).write(catalog)
    code, _, err = lociscope("split", catalog)
    assert code == 0
    assert "Fields without a label, which are in no part: 1." in err
    assert "Antibody unknown" in err
    assert "Rods & rings has 1 group: some part is without it" in err
    assert rows(catalog)[-1].split is None


@pytest.mark.parametrize(
    ("words", "made", "code", "said"),
    [
        ([], [Entry("a", (0,))], 1, "1 labelled fields"),
        ([], [Entry("a"), Entry("b")], 1, "0 labelled fields"),
        (["--folds", 30], None, 1, "30 folds need 30 groups of fields or more, received 20"),
        (["--group", "antibodi"], None, 2, "Did you mean 'antibody'"),
        (["--folds", 0], None, 2, "0"),
        (["-o", "d.csv"], None, 2, "expected .parquet"),
        (["--test", 0.5], [Entry("a", (0,), antibody="x"), Entry("b", (0,), antibody="x")], 1, "needs 2 groups"),
    ],
)
def test_what_cannot_be_split(
    lociscope: Command, catalog: Path, words: list[object], made: list[Entry] | None, code: int, said: str
) -> None:
    if made:
        Catalog.from_entries(made, catalog.parent).write(catalog)
    before = catalog.read_bytes()
    got, _, err = lociscope("split", catalog, *words)
    assert (got, said in err) == (code, True), err
    assert "Traceback" not in err
    assert catalog.read_bytes() == before
    assert [path.name for path in catalog.parent.iterdir()] == ["c.parquet"]


def planes_of(name: str) -> tuple[str, str, str, str]:
    return f"{name}_red.png", f"{name}_green.png", f"{name}_blue.png", f"{name}_yellow.png"


def drawn(folder: Path, n: int, write_field: Callable[..., Path]) -> list[Entry]:
    """Fields of coarse grain, the last of them the first turned and the second mirrored."""
    from lociscope.images.scale import resize

    made = []
    for number in range(n):
        coarse = np.random.default_rng(number % (n - 2)).random((8, 8, 4)).astype(np.float32)
        pixels = np.asarray(resize(coarse, 64, 64) * 255).astype(np.uint8)
        turned = np.rot90(pixels) if number == n - 2 else pixels[:, ::-1] if number == n - 1 else pixels
        write_field(f"f{number}", folder, turned)
        name = f"f{number}"
        made.append(Entry(name, (number % 3,), *planes_of(name)))
    return made


def test_duplicates_are_found_and_stay_together(
    lociscope: Command, tmp_path: Path, write_field: Callable[..., Path]
) -> None:
    made = drawn(tmp_path, 12, write_field)
    Catalog.from_entries(made, tmp_path).write(tmp_path / "c.parquet")
    code, out, err = lociscope("split", "c.parquet", "--find-duplicates", "--workers", 1)
    assert code == 0, err
    assert "grouped by duplicates" in out
    assert "in two parts: duplicates 0" in out
    assert "4 fields show the same cells as another, 2 images" in err
    table = Catalog.read(tmp_path / "c.parquet").table
    assert table["duplicates"].to_pylist() == ["f0", "f1", *[None] * 8, "f0", "f1"]
    fold = table["fold"].to_pylist()
    assert (fold[0], fold[1]) == (fold[10], fold[11])
    said = json.loads(lociscope("split", "c.parquet", "--json")[1])  # the column is kept, and nothing is read
    assert said["leakage"] == {"in_two_parts": {"duplicates": 0}, "adversarial": None}
    lone = json.loads(lociscope("split", "c.parquet", "--json", "--group", "id", "--seed", 1, "--folds", 6)[1])
    assert lone["leakage"]["in_two_parts"]["duplicates"] > 0


def test_parts_are_distinguished_by_their_looks(
    lociscope: Command, tmp_path: Path, write_field: Callable[..., Path]
) -> None:
    rng = np.random.default_rng(0)
    made = []
    for number in range(50):
        dark = 2 if number < 25 else 1
        write_field(f"f{number}", tmp_path, rng.integers(0, 255 // dark, (24, 24, 4), np.uint8))
        name, split = f"f{number}", "test" if number < 25 else "train"
        made.append(Entry(name, (0,), *planes_of(name), split=split))
    Catalog.from_entries(made, tmp_path).write(tmp_path / "c.parquet")
    (tmp_path / "f3_red.png").write_text("no picture")
    code, out, err = lociscope("split", "c.parquet", "--adversarial", "--workers", 1)
    assert code == 3
    assert "Brightness, focus and noise distinguish test almost always from the rest (AUC" in out
    assert "1 field failed, listed in c.unread.csv; the first: " in err
    said = json.loads(lociscope("split", "c.parquet", "--adversarial", "--workers", 1, "--json")[1])
    looks = said["leakage"]["adversarial"]
    assert (looks["part"], looks["groups"]) == ("test", 49)
    assert looks["low"] > 0.8
    few = Catalog.from_entries(made[20:40], tmp_path)
    few.write(tmp_path / "d.parquet")
    assert (
        "Too few fields for adversarial validation"
        in lociscope("split", "d.parquet", "--adversarial", "--workers", 1)[1]
    )


def test_a_table_of_paths_becomes_a_catalog(lociscope: Command, tmp_path: Path) -> None:
    lines = [f"f{row},r.png,g.png,b.png,y.png,{row % 3},ab{row % 20}" for row in range(60)]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["Id,red,green,blue,yellow,Target,antibody", *lines, ""]))
    before = table.read_text()
    code, out, _ = lociscope("split", table, "--folds", 3)
    assert (code, f"written to {tmp_path / 't.parquet'}" in out) == (0, True)
    assert table.read_text() == before
    assert {row.fold for row in rows(tmp_path / "t.parquet")} == {0, 1, 2}
    code, _, err = lociscope("split", table)
    assert code == 2
    assert "t.parquet' exists. Name the Catalog to write with --output." in err


@pytest.mark.parametrize(
    ("value", "low", "text"),
    [
        (0.55, 0.45, "do not distinguish test from the rest"),
        (0.58, 0.52, "distinguish test barely"),
        (0.7, 0.6, "distinguish test well"),
        (0.9, 0.8, "distinguish test almost always"),
    ],
)
def test_adversarial_validation_as_text(value: float, low: float, text: str) -> None:
    result = AdversarialResult("test", Interval(value, low, 0.99, 30), "Focus")
    assert text in describe_adversarial(result)
