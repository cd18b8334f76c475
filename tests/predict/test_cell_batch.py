"""Cells of many fields to a file: resumable, every field once, fields without cells answered, failures listed."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fixtures.pixels import patches

from lociscope.artifacts.cell_table import COLUMNS, get_about, read_cells
from lociscope.artifacts.predictions import Predictions
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import find_fields
from lociscope.images.segmentation.label_images import LabelPattern
from lociscope.predict import cell_batch
from lociscope.predict.batch import predict_to_file
from lociscope.predict.cell_batch import CellOptions, CellResult, predict_cells_to_file
from lociscope.predict.cell_output import CellOutput
from lociscope.predict.output import OutputOptions
from lociscope.predict.predictor import Predictor, open_bundle

WriteField = Callable[..., Path]
N_CELLS = {"f0": 3, "f1": 1, "f2": 0, "f3": 2, "f4": 4}


class KillError(BaseException):
    """Stands for a process that ends here: nothing between catches it."""


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return open_bundle(tiny_bundle, threads=1)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_batch, "FIELDS_PER_PART", 2)


@pytest.fixture
def fields(write_field: WriteField, tmp_path: Path) -> Path:
    """Five fields, and their label images beside them."""
    for number, (name, n) in enumerate(N_CELLS.items()):
        folder = write_field(name, seed=number, size=16)
        write_labels(tmp_path, name, n)
    return folder


def write_labels(folder: Path, name: str, n: int, side: int = 16) -> None:
    labels = np.zeros((side, side), np.uint16)
    for number in range(n):
        labels[4 * number : 4 * number + 3, 2:9] = 10 * (number + 1)
    np.save(folder / f"{name}_masks.npy", labels)


def predict(predictor: Predictor, folder: Path, out: Path, **options: Any) -> CellResult:
    found, broken = find_fields(folder)
    predict_to_file(predictor, found, out, OutputOptions(), broken=broken)
    pattern = LabelPattern(f"{folder.parent}/{{id}}_masks.npy")
    chosen = CellOptions(**{"labels": pattern, **options})
    return predict_cells_to_file(predictor, found, out, Predictions.read(out), chosen, workers=1)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a table of cells in order, without the areas of nuclei, which are NaN here."""
    table = read_cells(path).drop_columns("nucleus_area_um2")
    rows: list[dict[str, Any]] = table.sort_by([("id", "ascending"), ("cell", "ascending")]).to_pylist()
    return rows


def counts_of(table: pa.Table) -> dict[str, int]:
    ids = table["id"].to_pylist()
    return {name: ids.count(name) for name in dict.fromkeys(ids)}


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_table_of_cells_beside_that_of_the_fields(
    suffix: str, predictor: Predictor, fields: Path, tmp_path: Path
) -> None:
    out = tmp_path / f"out{suffix}"
    result = predict(predictor, fields, out)
    assert (result.cells, result.new, result.empty, result.failures) == (10, 5, ["f2"], [])
    table = read_cells(tmp_path / "out.cells.parquet")
    assert table.column_names == list(COLUMNS)
    assert counts_of(table) == {name: n for name, n in N_CELLS.items() if n}
    row = table.to_pylist()[1]
    assert (row["id"], row["cell"], row["y"], row["x"]) == ("f0", 20, 5.0, 5.0)
    assert (row["top"], row["left"], row["bottom"], row["right"], row["at_edge"]) == (4, 2, 7, 9, False)
    assert row["area_um2"] == pytest.approx(21 * (164 / 16) ** 2, rel=1e-6)
    assert np.isnan(row["nucleus_area_um2"])
    assert len(row["probability"]) == 28
    assert row["predicted"] == [k for k, value in enumerate(row["probability"]) if value >= 0.5]
    with (tmp_path / "out.variation.csv").open(newline="", encoding="utf-8") as file:
        variation = {row["id"]: int(row["cells"]) for row in csv.DictReader(file)}
    assert variation == N_CELLS
    assert {path.name for path in tmp_path.glob("out.*")} == {
        out.name, "out.run.json", "out.cells.parquet", "out.cells.run.json", "out.variation.csv",
    }  # fmt: skip


def test_a_second_call_predicts_nothing_and_a_changed_label_image_only_its_field(
    predictor: Predictor, fields: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.parquet"
    predict(predictor, fields, out)
    before = read_rows(tmp_path / "out.cells.parquet")
    assert predict(predictor, fields, out).new == 0
    assert read_rows(tmp_path / "out.cells.parquet") == before
    write_labels(tmp_path, "f1", 3)
    result = predict(predictor, fields, out)
    assert (result.new, result.cells) == (1, 12)
    assert counts_of(read_cells(tmp_path / "out.cells.parquet"))["f1"] == 3


def test_after_a_kill_each_field_is_there_once(
    predictor: Predictor, fields: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.parquet"
    predict(predictor, fields, tmp_path / "whole.parquet")
    real, calls = cell_batch.make_table, []

    def kill_at_the_fourth(*arguments: Any) -> pa.Table:
        calls.append(1)
        if len(calls) == 4:
            raise KillError
        return real(*arguments)

    monkeypatch.setattr(cell_batch, "make_table", kill_at_the_fourth)
    with pytest.raises(KillError):
        predict(predictor, fields, out)
    assert not (tmp_path / "out.cells.parquet").exists()
    parts = sorted((tmp_path / "out.cells.parts").glob("*.parquet"))
    assert len(parts) == 1
    result = predict(predictor, fields, out)
    assert (result.new, result.cells) == (3, 10)
    assert read_rows(tmp_path / "out.cells.parquet") == read_rows(tmp_path / "whole.cells.parquet")


def test_a_damaged_part_is_predicted_again(
    predictor: Predictor,
    fields: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    out = tmp_path / "out.parquet"
    with monkeypatch.context() as patch:
        patch.setattr(CellOutput, "finish", lambda *_: (_ for _ in ()).throw(KillError))
        with pytest.raises(KillError):
            predict(predictor, fields, out)
    first, *_ = sorted((tmp_path / "out.cells.parts").glob("*.parquet"))
    first.write_bytes(first.read_bytes()[:-40])
    result = predict(predictor, fields, out)
    assert (result.new, result.cells) == (2, 10)
    assert "is damaged" in caplog.text


def test_a_kill_between_the_table_and_its_record_loses_nothing(
    predictor: Predictor, fields: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.parquet"
    predict(predictor, fields, tmp_path / "whole.parquet")
    with monkeypatch.context() as patch:
        patch.setattr("lociscope.predict.cell_output.write_variation", lambda *_: (_ for _ in ()).throw(KillError))
        with pytest.raises(KillError):
            predict(predictor, fields, out)
    assert (tmp_path / "out.cells.parquet").exists()
    assert predict(predictor, fields, out).new == 0
    assert read_rows(tmp_path / "out.cells.parquet") == read_rows(tmp_path / "whole.cells.parquet")
    (tmp_path / "out.cells.run.json").write_text("{")
    with pytest.raises(LociscopeError) as caught:
        predict(predictor, fields, out)
    assert caught.value.code is Code.CORRUPT


def test_another_bundle_or_other_options_are_refused(
    predictor: Predictor, fields: Path, tmp_path: Path, make_bundle: Callable[..., Path]
) -> None:
    out = tmp_path / "out.parquet"
    predict(predictor, fields, out)
    found, _ = find_fields(fields)
    rows = Predictions.read(out)
    other = open_bundle(make_bundle(tmp_path / "bundle", 1), threads=1)
    for open_, options in (
        (other, CellOptions(LabelPattern(f"{tmp_path}/{{id}}_masks.npy"))),
        (predictor, CellOptions()),
    ):
        with pytest.raises(LociscopeError) as caught:
            predict_cells_to_file(open_, found, out, rows, options)
        assert caught.value.code is Code.CONFLICT
    assert get_about(read_cells(tmp_path / "out.cells.parquet").schema)["bundle"] == predictor.bundle.sha256


def test_a_file_of_another_kind_is_not_overwritten(predictor: Predictor, fields: Path, tmp_path: Path) -> None:
    predict(predictor, fields, tmp_path / "out.parquet", labels=LabelPattern(f"{tmp_path}/{{id}}_masks.npy"))
    (tmp_path / "out.parquet").rename(tmp_path / "out.cells.parquet")
    (tmp_path / "out.run.json").unlink()
    with pytest.raises(LociscopeError) as caught:
        predict(predictor, fields, tmp_path / "out.parquet")
    assert caught.value.code is Code.WRONG_FILE


def test_label_images_that_do_not_fit_fail_and_are_listed(predictor: Predictor, fields: Path, tmp_path: Path) -> None:
    write_labels(tmp_path, "f0", 1, side=32)
    (tmp_path / "f3_masks.npy").unlink()
    result = predict(predictor, fields, tmp_path / "out.parquet")
    assert {failure.id: failure.code for failure in result.failures} == {
        "f0": Code.INVALID_VALUE,
        "f3": Code.NOT_FOUND,
    }
    listed = (tmp_path / "out.cells.failures.csv").read_text(encoding="utf-8")
    assert "f0" in listed
    assert result.cells == 5
    write_labels(tmp_path, "f0", 3)
    write_labels(tmp_path, "f3", 2)
    again = predict(predictor, fields, tmp_path / "out.parquet")
    assert (again.new, again.cells, again.failures) == (2, 10, [])
    assert not (tmp_path / "out.cells.failures.csv").exists()


def test_cells_are_found_where_no_label_images_are_given(
    predictor: Predictor, write_field: WriteField, tmp_path: Path
) -> None:
    from lociscope.simulate import simulate_field

    field = simulate_field(3, size=256)
    folder = write_field("s1", pixels=field.pixels)
    write_field("empty", pixels=np.zeros((256, 256, 4), np.uint8))
    result = predict(predictor, folder, tmp_path / "out.parquet", labels=None)
    assert result.empty == ["empty"]
    table = read_cells(tmp_path / "out.cells.parquet")
    assert set(table["id"].to_pylist()) == {"s1"}
    assert (table["nucleus_area_um2"].to_numpy() > 14).sum() > 5
    assert len(table) == result.cells


def test_a_status_of_the_field_that_excludes_it_is_that_of_its_cells(
    predictor: Predictor, fields: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.parquet"
    found, _ = find_fields(fields)
    predict_to_file(predictor, found, out, OutputOptions())
    rows = Predictions.read(out)
    rows.status[0] = "unlike-training"
    options = CellOptions(LabelPattern(f"{tmp_path}/{{id}}_masks.npy"))
    predict_cells_to_file(predictor, found, out, rows, options)
    status = read_cells(tmp_path / "out.cells.parquet").filter(pa.array([True] * 3 + [False] * 7))["status"]
    assert status.to_pylist() == ["unlike-training"] * 3


def test_positions_of_the_field_are_those_of_its_cells(
    predictor: Predictor, write_field: WriteField, tmp_path: Path
) -> None:
    folder = write_field("10580_1610_C1_1", pixels=patches((16, 16, 4), 0))
    write_labels(tmp_path, "10580_1610_C1_1", 1)
    predict(predictor, folder, tmp_path / "out.csv")
    (row,) = read_cells(tmp_path / "out.cells.parquet").to_pylist()
    assert (row["plate"], row["well"], row["site"]) == ("1610", "C1", "1")
