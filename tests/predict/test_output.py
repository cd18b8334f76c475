"""The files of one output: which can be resumed, and which belong to other work."""

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
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import Failure
from lociscope.predict.output import OutputOptions, PredictionOutput, _load_part, _save_part
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
def output(tiny_bundle: Path, tmp_path: Path) -> Callable[..., PredictionOutput]:
    """`output(name="out.csv", **options)` is an output in `tmp_path`."""
    bundle = read_bundle(tiny_bundle)
    return lambda name="out.csv", **options: PredictionOutput.create(bundle, tmp_path / name, OutputOptions(**options))


def test_file_names_beside_the_output(output: Callable[..., PredictionOutput]) -> None:
    mine = output("x.y.csv")
    names = [path.name for path in (mine.folder, mine.record, mine.failures)]
    assert names == ["x.y.parts", "x.y.run.json", "x.y.failures.csv"]


def test_parts_are_read_without_changed_fields(output: Callable[..., PredictionOutput]) -> None:
    mine = output("out.parquet", embeddings=True)
    mine.prepare()
    mine.write_part(table("a", "b", embedding=True), PRINTS)
    mine.write_part(table("c", embedding=True), {"c": "3"})
    back = Predictions.join(mine.read_valid_parts({"a": "1", "b": "changed", "c": "3"}))
    assert back.ids == ["a", "c"]
    assert back.embedding is not None
    np.testing.assert_array_equal(back.probability[0], table("a", "b").probability[0])
    assert [len(part) for part in mine.read_valid_parts({})] == [0, 0]


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
def test_only_the_fields_of_a_damaged_part_are_lost(
    output: Callable[..., PredictionOutput], damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    mine = output()
    mine.prepare()
    mine.write_part(table("a"), PRINTS)
    mine.write_part(table("b"), PRINTS)
    first = min(mine.folder.glob("*.npz"))
    first.write_bytes(damage or first.read_bytes()[:-40])
    assert [part.ids for part in mine.read_valid_parts(PRINTS)] == [["b"]]
    assert "its fields are predicted again" in caplog.text


def test_half_written_files_of_a_kill_are_removed(output: Callable[..., PredictionOutput], tmp_path: Path) -> None:
    mine = output("o[1].csv")
    for name in (".o[1].csv.99.part", ".o[1].run.json.7.part", ".o1.csv.99.part"):
        (tmp_path / name).write_text("half")
    mine.prepare()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".o1.csv.99.part", "o[1].parts"]


def test_a_finished_table_returns_its_fields(output: Callable[..., PredictionOutput]) -> None:
    mine = output()
    assert mine.read_fingerprints() == {}
    mine.write_table(table("a", "b"), PRINTS | {"c": "not in the table"})
    assert mine.read_fingerprints() == PRINTS
    np.testing.assert_allclose(mine.read_table().probability, table("a", "b").probability, atol=5e-7)


def test_two_formats_of_one_name_are_separate(output: Callable[..., PredictionOutput]) -> None:
    csv, parquet = output(), output("out.parquet", embeddings=True)
    csv.write_table(table("a"), PRINTS)
    assert parquet.read_fingerprints() == {}
    parquet.write_table(table("a", "b", embedding=True), PRINTS)
    assert csv.read_fingerprints() == {"a": "1"}
    assert parquet.read_fingerprints() == PRINTS


def test_unfinished_work_on_the_other_format_is_named(output: Callable[..., PredictionOutput]) -> None:
    output("out.parquet").prepare()
    output("out.parquet").write_part(table("a"), PRINTS)
    with pytest.raises(LociscopeError, match=r"holds unfinished work on 'out\.parquet'\. Finish that first"):
        output().read_valid_parts(PRINTS)


def test_after_a_kill_between_table_and_record_the_parts_are_used(output: Callable[..., PredictionOutput]) -> None:
    mine = output()
    mine.prepare()
    mine.write_part(table("a", "b"), PRINTS)
    mine.write_table(table("a", "b"), PRINTS)
    mine.record.unlink()
    assert mine.read_fingerprints() == {}
    assert [part.ids for part in mine.read_valid_parts(PRINTS)] == [["a", "b"]]


def test_a_foreign_table_is_refused(output: Callable[..., PredictionOutput]) -> None:
    mine = output()
    mine.out.write_text("my,own,work\n")
    with pytest.raises(
        LociscopeError, match=r"exists and was not written by `lociscope predict`\. Pass another `output`\."
    ):
        mine.read_fingerprints()
    assert mine.out.read_text() == "my,own,work\n"


def test_another_bundle_or_other_options_are_refused(
    output: Callable[..., PredictionOutput], make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    output().write_table(table("a"), PRINTS)
    other = PredictionOutput.create(
        read_bundle(make_bundle(tmp_path / "other", seed=1)), tmp_path / "out.csv", OutputOptions()
    )
    with pytest.raises(LociscopeError, match="begun with another bundle"):
        other.read_fingerprints()
    with pytest.raises(LociscopeError, match="begun with other options"):
        output(kaggle=True).read_fingerprints()


@pytest.mark.parametrize("contents", ["", "[1, 2]", "5", '{"schema": "x"}', '{"a": 1}'])
def test_a_damaged_record_is_refused_before_the_work(output: Callable[..., PredictionOutput], contents: str) -> None:
    mine = output()
    mine.record.write_text(contents)
    with pytest.raises(LociscopeError, match=r"out\.run\.json"):
        mine.read_fingerprints()


def test_a_newer_record_is_refused(output: Callable[..., PredictionOutput]) -> None:
    mine = output()
    mine.write_table(table("a"), PRINTS)
    mine.record.write_text(json.dumps(json.loads(mine.record.read_text()) | {"schema": 2}))
    with pytest.raises(LociscopeError, match="newer than 1"):
        mine.read_fingerprints()


def test_closing_lists_failures_and_clears_up(output: Callable[..., PredictionOutput]) -> None:
    mine = output()
    mine.prepare()
    mine.write_part(table("a"), PRINTS)
    mine.close([Failure("b", "there", "Because, it is so.", Code.DUPLICATE)])
    assert not mine.folder.exists()
    assert mine.failures.read_text() == 'id,path,reason,code\nb,there,"Because, it is so.",duplicate\n'
    mine.close([])
    assert not mine.failures.exists()


def test_an_added_row_is_kept(output: Callable[..., PredictionOutput]) -> None:
    mine = output(kaggle=True)
    mine.write_table(table("a"), PRINTS)
    mine.out.write_text(mine.out.read_text() + "mine,3\n")
    assert mine.read_table().ids == ["a", "mine"]
    mine.write_table(mine.read_table(), PRINTS)
    assert mine.read_fingerprints() == {"a": "1", "mine": ""}
