"""The files of one output: which are ours to go on with, and which are somebody else's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lociscope.artifacts.bundle import read_bundle
from lociscope.artifacts.predictions import Predictions
from lociscope.errors import LociscopeError
from lociscope.images.discovery.sources import Failure
from lociscope.predict.job import Job, Options, _load_part, _save_part
from lociscope.warnings import parse_warnings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PRINTS = {"a": "1", "b": "2"}


def table(*ids: str, embedding: bool = False) -> Predictions:
    rng = np.random.default_rng(len(ids))
    return Predictions(
        list(ids),
        rng.random((len(ids), 28), np.float32),
        [(1, 2)] * len(ids),
        ["ok"] * len(ids),
        [parse_warnings(["empty plane: red"])] * len(ids),
        rng.random((len(ids), 4), np.float32) if embedding else None,
    )


@pytest.fixture
def job(tiny_bundle: Path, tmp_path: Path) -> Callable[..., Job]:
    """`job(name="out.csv", **options)` is a job in `tmp_path`."""
    bundle = read_bundle(tiny_bundle)
    return lambda name="out.csv", **options: Job.of(bundle, tmp_path / name, Options(**options))


def test_names_stand_beside_the_output(job: Callable[..., Job]) -> None:
    mine = job("x.y.csv")
    names = [path.name for path in (mine.folder, mine.record, mine.failures)]
    assert names == ["x.y.parts", "x.y.run.json", "x.y.failures.csv"]


def test_parts_come_back_but_not_of_changed_fields(job: Callable[..., Job]) -> None:
    mine = job("out.parquet", embeddings=True)
    mine.prepare()
    mine.write_part(table("a", "b", embedding=True), PRINTS)
    mine.write_part(table("c", embedding=True), {"c": "3"})
    back = Predictions.join(mine.parts({"a": "1", "b": "changed", "c": "3"}))
    assert back.ids == ["a", "c"]
    assert back.embedding is not None
    np.testing.assert_array_equal(back.probability[0], table("a", "b").probability[0])
    assert [len(part) for part in mine.parts({})] == [0, 0]


@given(
    st.lists(st.text(max_size=8), unique=True, max_size=4).flatmap(
        lambda ids: st.builds(
            Predictions,
            st.just(ids),
            arrays.arrays(np.float32, (len(ids), 28), elements=st.floats(0, 1, width=32)),
            st.lists(st.lists(st.integers(0, 27)).map(tuple), min_size=len(ids), max_size=len(ids)),
            st.lists(st.sampled_from(["ok", "unsure"]), min_size=len(ids), max_size=len(ids)),
            st.lists(st.lists(st.text()).map(parse_warnings), min_size=len(ids), max_size=len(ids)),
        )
    )
)
def test_a_part_on_disk_is_the_part(tmp_path_factory: pytest.TempPathFactory, part: Predictions) -> None:
    path = tmp_path_factory.getbasetemp() / "part.npz"
    _save_part(path, part, {"schema": 1})
    about, back = _load_part(path)
    assert about["schema"] == 1
    assert (back.ids, back.predicted, back.status, back.warnings) == (
        part.ids, part.predicted, part.status, part.warnings,
    )  # fmt: skip
    np.testing.assert_array_equal(back.probability, part.probability)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"not a zip"])
def test_a_damaged_part_costs_itself_only(
    job: Callable[..., Job], damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    mine = job()
    mine.prepare()
    mine.write_part(table("a"), PRINTS)
    mine.write_part(table("b"), PRINTS)
    first = min(mine.folder.glob("*.npz"))
    first.write_bytes(damage or first.read_bytes()[:-40])
    assert [part.ids for part in mine.parts(PRINTS)] == [["b"]]
    assert "its fields are predicted again" in caplog.text


def test_what_a_kill_left_half_written_is_removed(job: Callable[..., Job], tmp_path: Path) -> None:
    mine = job("o[1].csv")
    for name in (".o[1].csv.99.part", ".o[1].run.json.7.part", ".o1.csv.99.part"):
        (tmp_path / name).write_text("half")
    mine.prepare()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".o1.csv.99.part", "o[1].parts"]


def test_a_finished_table_tells_its_fields(job: Callable[..., Job]) -> None:
    mine = job()
    assert mine.finished() == {}
    mine.finish(table("a", "b"), PRINTS | {"c": "not in the table"})
    assert mine.finished() == PRINTS
    np.testing.assert_allclose(mine.earlier().probability, table("a", "b").probability, atol=5e-7)


def test_two_formats_of_one_name_keep_apart(job: Callable[..., Job]) -> None:
    csv, parquet = job(), job("out.parquet", embeddings=True)
    csv.finish(table("a"), PRINTS)
    assert parquet.finished() == {}
    parquet.finish(table("a", "b", embedding=True), PRINTS)
    assert csv.finished() == {"a": "1"}
    assert parquet.finished() == PRINTS


def test_unfinished_work_on_the_other_format_is_named(job: Callable[..., Job]) -> None:
    job("out.parquet").prepare()
    job("out.parquet").write_part(table("a"), PRINTS)
    with pytest.raises(LociscopeError, match=r"holds unfinished work on 'out\.parquet'\. Finish that first"):
        job().parts(PRINTS)


def test_cut_off_between_table_and_record_the_parts_speak(job: Callable[..., Job]) -> None:
    mine = job()
    mine.prepare()
    mine.write_part(table("a", "b"), PRINTS)
    mine.finish(table("a", "b"), PRINTS)
    mine.record.unlink()
    assert mine.finished() == {}
    assert [part.ids for part in mine.parts(PRINTS)] == [["a", "b"]]


def test_a_table_of_somebody_else_is_refused(job: Callable[..., Job]) -> None:
    mine = job()
    mine.out.write_text("my,own,work\n")
    with pytest.raises(LociscopeError, match=r"exists and is not of `lociscope predict`\. Name another file with -o\."):
        mine.finished()
    assert mine.out.read_text() == "my,own,work\n"


def test_another_bundle_or_other_options_are_refused(
    job: Callable[..., Job], make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    job().finish(table("a"), PRINTS)
    other = Job.of(read_bundle(make_bundle(tmp_path / "other", seed=1)), tmp_path / "out.csv", Options())
    with pytest.raises(LociscopeError, match="begun with another bundle"):
        other.finished()
    with pytest.raises(LociscopeError, match="begun with other options"):
        job(kaggle=True).finished()


@pytest.mark.parametrize("contents", ["", "[1, 2]", "5", '{"schema": "x"}', '{"a": 1}'])
def test_a_record_that_is_none_is_refused_before_the_work(job: Callable[..., Job], contents: str) -> None:
    mine = job()
    mine.record.write_text(contents)
    with pytest.raises(LociscopeError, match=r"out\.run\.json"):
        mine.finished()


def test_a_newer_record_is_refused(job: Callable[..., Job]) -> None:
    mine = job()
    mine.finish(table("a"), PRINTS)
    mine.record.write_text(json.dumps(json.loads(mine.record.read_text()) | {"schema": 2}))
    with pytest.raises(LociscopeError, match="newer than 1"):
        mine.finished()


def test_closing_lists_failures_and_clears_up(job: Callable[..., Job]) -> None:
    mine = job()
    mine.prepare()
    mine.write_part(table("a"), PRINTS)
    mine.close([Failure("b", "there", "Because, it is so.")])
    assert not mine.folder.exists()
    assert mine.failures.read_text() == 'id,path,reason\nb,there,"Because, it is so."\n'
    mine.close([])
    assert not mine.failures.exists()


def test_a_row_that_somebody_added_is_kept(job: Callable[..., Job]) -> None:
    mine = job(kaggle=True)
    mine.finish(table("a"), PRINTS)
    mine.out.write_text(mine.out.read_text() + "mine,3\n")
    assert mine.earlier().ids == ["a", "mine"]
    mine.finish(mine.earlier(), PRINTS)
    assert mine.finished() == {"a": "1", "mine": ""}
