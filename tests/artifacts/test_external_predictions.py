"""Probabilities in tables of other programs, with any column names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lociscope.artifacts.predictions import Predictions
from lociscope.errors import LociscopeError
from lociscope.labels import LABELS

if TYPE_CHECKING:
    from pathlib import Path

VALUES = np.random.default_rng(0).random((3, 28)).astype(np.float32)
IDS = ["a", "b", "c"]
NAMES = {
    "p00": [f"p{number:02d}" for number in range(28)],
    "0": [str(number) for number in range(28)],
    "class_0": [f"class_{number}" for number in range(28)],
    "locations": list(LABELS),
    "locations, lower case": [name.lower().replace(" ", "_") for name in LABELS],
}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("kind", NAMES)
def test_columns_in_any_order(tmp_path: Path, kind: str, suffix: str) -> None:
    columns: dict[str, Any] = {"fold": [1, 2, 3]}
    columns |= {name: VALUES[:, number] for number, name in reversed(list(enumerate(NAMES[kind])))}
    read = Predictions.read(write(tmp_path / f"p{suffix}", {**columns, "ID": IDS}))
    assert read.ids == IDS
    np.testing.assert_allclose(read.probability, VALUES, atol=1e-6)
    assert read.predicted == [tuple(np.flatnonzero(row > 0.5)) for row in VALUES]
    assert read.status == ["ok"] * 3


@pytest.mark.parametrize("name", ["probability", "Probabilities", "scores", "y_pred"])
@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.list_(pa.float32(), 28), pa.large_list(pa.float32())])
def test_a_column_of_lists(tmp_path: Path, name: str, kind: pa.DataType) -> None:
    table = {"Id": pa.array([1, 2, 3]), name: pa.array(VALUES.tolist(), kind), "predicted": ["0 16", "", None]}
    read = Predictions.read(write(tmp_path / "p.parquet", table))
    assert (read.ids, read.predicted) == (["1", "2", "3"], [(0, 16), (), ()])
    np.testing.assert_array_equal(read.probability, VALUES)


def test_a_column_of_texts(tmp_path: Path) -> None:
    table = {"id": IDS, "probability": [f"[{', '.join(f'{value:.7f}' for value in row)}]" for row in VALUES]}
    np.testing.assert_allclose(Predictions.read(write(tmp_path / "p.csv", table)).probability, VALUES, atol=1e-6)


def test_decimal_commas(tmp_path: Path) -> None:
    rows = [";".join(["id", *NAMES["p00"]]), ";".join(["a", *["0,25"] * 28])]
    (tmp_path / "p.csv").write_text("\n".join(rows))
    assert Predictions.read(tmp_path / "p.csv").probability.tolist() == [[0.25] * 28]


def columns_of(values: Any) -> dict[str, Any]:
    return {"id": IDS, **{name: values[:, number] for number, name in enumerate(NAMES["p00"])}}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            columns_of(VALUES * 4),
            "as the probability of class .* expected a number in 0–1. Pass probabilities, not logits",
        ),
        (columns_of(VALUES - 1), "expected a number in 0–1"),
        (columns_of(np.where(VALUES == VALUES[1, 5], np.nan, VALUES)), "hold nan as the probability of class 5 of 'b'"),
        ({"id": IDS, "score": [0.1, 0.2, 0.3]}, r"has no column 'probability' of lists .*columns: id, score\)"),
        ({"id": IDS, "probability": [[0.5] * 27] * 3}, "row 1 does not hold 28 probabilities"),
        ({**columns_of(VALUES), "q0": [0.5] * 3} | {f"q{n}": [0.5] * 3 for n in range(28)}, "more than one set of 28"),
        ({"id": IDS} | {f"c{n}": [0.5] * 3 for n in range(1, 29)}, "numbers its classes 1–28; expected 0–27"),
        ({"id": IDS} | {f"c{n}": [0.5] * 3 for n in range(26)}, "no column 'c26' beside 'c0'"),
        ({"name": IDS}, "has no column 'id'"),
    ],
)
def test_wrong_tables(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(LociscopeError, match=message):
        Predictions.read(write(tmp_path / "p.parquet", columns))


def write(path: Path, columns: dict[str, Any]) -> Path:
    table = pa.table(columns)
    if path.suffix == ".csv":
        import csv

        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(table.column_names)
            writer.writerows(zip(*table.to_pydict().values(), strict=True))
    else:
        pq.write_table(table, path)
    return path
