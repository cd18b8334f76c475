"""The table of Predictions in its three formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lociscope.artifacts.predictions import PROBABILITY_COLUMNS, Predictions
from lociscope.errors import LociscopeError, UsageError
from lociscope.warnings import parse_warnings

if TYPE_CHECKING:
    from pathlib import Path

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1, max_size=6)
WARNINGS = st.lists(
    st.sampled_from(parse_warnings(["empty plane: green", "pixel_size_assumed", "coarse pixels: 1.30 µm"])), unique=True
).map(tuple)


@st.composite
def tables(draw: st.DrawFn) -> Predictions:
    ids = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    n = len(ids)
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    locations = st.lists(st.integers(0, 27), unique=True, max_size=4).map(lambda numbers: tuple(sorted(numbers)))
    return Predictions(
        ids,
        generator.random((n, 28), np.float32),
        draw(st.lists(locations, min_size=n, max_size=n)),
        draw(st.lists(st.sampled_from(["ok", "unsure"]), min_size=n, max_size=n)),
        draw(st.lists(WARNINGS, min_size=n, max_size=n)),
        draw(st.sampled_from([None, generator.random((n, 3), np.float32)])),
    )


def made(n: int = 3) -> Predictions:
    generator = np.random.default_rng(0)
    ids = [f"a{i}" for i in range(n)]
    return Predictions(ids, generator.random((n, 28), np.float32), [(0, 16)] * n, ["ok"] * n, [()] * n)


def same(one: Predictions, other: Predictions) -> bool:
    return (one.ids, one.predicted, one.status, one.warnings) == (
        other.ids,
        other.predicted,
        other.status,
        other.warnings,
    )


@given(tables())
def test_parquet_comes_back_exactly(tmp_path_factory: pytest.TempPathFactory, table: Predictions) -> None:
    path = tmp_path_factory.getbasetemp() / "out.parquet"
    table.write(path)
    read = Predictions.read(path)
    assert same(read, table)
    assert len(read) == len(table)
    assert read.probability.dtype == np.float32
    np.testing.assert_array_equal(read.probability, table.probability)
    if table.embedding is None:
        assert read.embedding is None
    else:
        assert read.embedding is not None
        np.testing.assert_array_equal(read.embedding, table.embedding)


@given(tables())
def test_csv_comes_back_to_six_decimals(tmp_path_factory: pytest.TempPathFactory, table: Predictions) -> None:
    path = tmp_path_factory.getbasetemp() / "out.csv"
    table.write(path)
    read = Predictions.read(path)
    assert same(read, table)
    np.testing.assert_allclose(read.probability, table.probability, rtol=0, atol=6e-7)


@given(tables())
def test_a_submission_is_never_blank(tmp_path_factory: pytest.TempPathFactory, table: Predictions) -> None:
    path = tmp_path_factory.getbasetemp() / "submission.csv"
    table.write_submission(path)
    read = Predictions.read_submission(path)
    likeliest = [(int(row.argmax()),) for row in table.probability]
    assert read.ids == table.ids
    assert read.predicted == [locations or filler for locations, filler in zip(table.predicted, likeliest, strict=True)]
    assert not read.probability.any()
    assert path.read_text(encoding="utf-8").startswith("Id,Predicted\n")


def test_join_and_take() -> None:
    table = made(5)
    joined = Predictions.join([table.take([3]), table.take(iter([0, 4]))])
    assert joined.ids == ["a3", "a0", "a4"]
    np.testing.assert_array_equal(joined.probability, table.probability[[3, 0, 4]])
    assert Predictions.join([]).probability.shape == (0, 28)


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_locations_and_positions_stand_beside_the_numbers(tmp_path: Path, name: str) -> None:
    table = made(3).with_positions({"a0": {"plate": "P1", "well": "B02"}, "a2": {"well": "C03", "antibody": "7"}})
    assert table.positions == [("P1", "B02", ""), ("", "", ""), ("", "C03", "")]
    table.write(tmp_path / name)
    read = Predictions.read(tmp_path / name)
    assert read.positions == table.positions
    assert same(read, table)
    if name == "out.csv":
        head, row, *_ = (tmp_path / name).read_text().splitlines()
        assert head.split(",")[:4] == ["id", "locations", "predicted", "p00"]
        assert head.split(",")[-4:] == ["status", "warnings", "plate", "well"]
        assert row.startswith("a0,Nucleoplasm; Cytokinetic bridge,0 16,")
        assert row.endswith(",ok,,P1,B02")
    else:
        written = pq.read_table(tmp_path / name)
        assert written["locations"].to_pylist() == [["Nucleoplasm", "Cytokinetic bridge"]] * 3
        assert written["well"].to_pylist() == ["B02", None, "C03"]
        assert "site" not in written.column_names
    assert Predictions.join([read.take([2]), made(1)]).positions == [("", "C03", ""), ("", "", "")]
    assert made(2).with_positions({}).positions is None


def test_a_table_without_fields(tmp_path: Path) -> None:
    for name in ("none.csv", "none.parquet"):
        made(0).write(tmp_path / name)
        assert Predictions.read(tmp_path / name).probability.shape == (0, 28)


@pytest.mark.parametrize("name", ["out.xlsx", "out.CSV", "out"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"expected \.csv or \.parquet\. Rename it"):
        made(1).write(tmp_path / name)
    assert not list(tmp_path.iterdir())


# === What other programs write ===


def write_parquet(path: Path, **columns: Any) -> Path:
    columns = {"id": ["a"], "probability": [[0.5] * 28], **columns}
    table = pa.table({name: values for name, values in columns.items() if values is not ...})
    pq.write_table(table.replace_schema_metadata({"kind": "predictions", "schema": "1"}), path)
    return path


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"probability": pa.array([[0.5] * 28], pa.list_(pa.float64(), 28)), "id": pa.array(["a"], pa.large_string())},
        {"predicted": pa.array([None], pa.list_(pa.int8())), "status": pa.nulls(1), "warnings": pa.nulls(1)},
        {"embedding": pa.array([None], pa.list_(pa.float32()))},
    ],
)
def test_id_and_probability_are_enough(tmp_path: Path, columns: dict[str, Any]) -> None:
    read = Predictions.read(write_parquet(tmp_path / "p.parquet", **columns))
    assert same(read, Predictions(["a"], read.probability, [()], ["ok"], [()]))
    assert read.probability.tolist() == [[0.5] * 28]
    assert read.embedding is None


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"probability": ...}, "has no column 'probability'"),
        ({"id": pa.nulls(1)}, "holds a row without an id"),
        ({"id": ["a", "a"], "probability": [[0.5] * 28] * 2}, "names the id 'a' twice"),
        ({"probability": [[0.5] * 27]}, "row 1 does not hold 28 probabilities"),
        ({"probability": pa.nulls(1, pa.list_(pa.float32()))}, "row 1 does not hold 28 probabilities"),
        ({"probability": [[None] * 28]}, "expected a number in 0–1|is not a number"),
        ({"probability": [[float("nan")] * 28]}, "hold nan as the probability of class 0 of 'a'"),
        ({"probability": [[0.5] * 27 + [1.5]]}, "1.5 as the probability of class 27 of 'a'.* not logits"),
        ({"probability": [0.5]}, "column 'probability' holds double, expected list"),
        ({"predicted": [[28]]}, "row 1 holds the class 28; expected class numbers 0–27"),
        ({"predicted": [[None]]}, "holds the class None"),
        ({"embedding": [[1.0]], "id": ["a"]}, ""),
        ({"embedding": [["x"]]}, "hold an embedding that is not a list of numbers"),
        (
            {"id": ["a", "b"], "probability": [[0.5] * 28] * 2, "embedding": [[1.0], [1.0, 2.0]]},
            "embeddings of different lengths",
        ),
    ],
)
def test_parquet_files_that_are_not_predictions(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    path = write_parquet(tmp_path / "p.parquet", **columns)
    if not message:
        assert Predictions.read(path).embedding is not None
        return
    with pytest.raises(LociscopeError, match=message):
        Predictions.read(path)


def test_classes_in_any_order_and_form(tmp_path: Path) -> None:
    for written in ([[16, 0, 16]], pa.array([[16.0, 0.0]]), ["16 0"]):
        assert Predictions.read(write_parquet(tmp_path / "p.parquet", predicted=written)).predicted == [(0, 16)]


HEADER = ",".join(["id", *PROBABILITY_COLUMNS])
HALVES = ",".join(["0.5"] * 28)


def test_a_csv_needs_only_id_and_probabilities(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(f"{HEADER}\r\na,{HALVES}\r\n".encode("utf-8-sig"))
    assert same(Predictions.read(path), Predictions(["a"], np.empty(0), [()], ["ok"], [()]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column 'id' \\(columns: \\)"),
        (f"{HEADER[:-4]}\n", "has no column 'p27' beside 'p00'"),
        ("Id,Predicted\na,0\n", "has no column 'probability' of lists .*columns: id, predicted"),
        ("Name,Predicted\na,0\n", "has no column 'id' \\(columns: Name, predicted\\)"),
        (f"{HEADER}\na,{HALVES}\na,{HALVES}\n", "names the id 'a' twice"),
        (f"{HEADER}\n,{HALVES}\n", "holds a row without an id"),
        (f"{HEADER}\nb,{HALVES}\na,0.5\n", "hold nan as the probability of class 1 of .a."),
        (f"{HEADER}\na,{HALVES.replace('0.5', 'x', 1)}\n", "hold a probability that is not a number .*Make them again"),
        (f"{HEADER}\na,{HALVES.replace('0.5', '-0.1', 1)}\n", "-0.1.* as the probability of class 0 of 'a'"),
        (f"{HEADER},predicted\na,{HALVES},28\n", "row 1: Label '28' is not a class number"),
    ],
)
def test_csv_files_that_are_not_predictions(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(LociscopeError, match=message):
        Predictions.read(path)


def test_files_that_are_not_there_or_are_something_else(tmp_path: Path) -> None:
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "text.parquet").write_text("id")
    for name, message in (
        ("none.csv", "Cannot read Predictions .*No such file"),
        ("none.parquet", "Cannot read Predictions .*No such file"),
        ("bytes.csv", "is not a CSV file"),
        ("text.parquet", "is not a Predictions file: it is not Parquet"),
    ):
        with pytest.raises(LociscopeError, match=message):
            Predictions.read(tmp_path / name)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("out.csv", "out.parquet"):
        with pytest.raises(LociscopeError, match="Cannot write"):
            made().write(tmp_path / "file" / name)
    with pytest.raises(LociscopeError, match="Cannot write"):
        made().write_submission(tmp_path / "file" / "out.csv")
