"""Summaries by well, antibody and other properties of the fields."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.artifacts.predictions import Position, Predictions
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.predict.summaries import find_keys, summarize, write_summary
from lociscope.warnings import FieldWarning, WarningKind

WARNING = FieldWarning(WarningKind.PIXEL_SIZE_ASSUMED)


def predictions(ids: list[str] | None = None, positions: list[Position] | None = None) -> Predictions:
    probability = np.zeros((4, 28), np.float32)
    probability[:, 2] = 0.9, 0.5, 0.1, 0.7
    return Predictions(
        ids or ["f0", "f1", "f2", "f3"],
        probability,
        [(2,), (2, 25), (), (2,)],
        ["ok", "ok", "unsure", "unlike-training"],
        [(), (WARNING,), (), ()],
        None,
        positions,
    )


def test_wells_are_distinguished_by_plate() -> None:
    wells = [
        Position("P1", "B02", "1"),
        Position("P1", "B02", "2"),
        Position("P2", "B02", "1"),
        Position("P1", "B02", "3"),
    ]
    table = predictions(positions=wells)
    names, keys = find_keys(table, "well")
    assert names == ("plate", "well")
    first, second = summarize(table, names, keys)
    assert (first["plate"], first["well"], first["fields"], first["excluded"], first["warned"]) == (
        "P1",
        "B02",
        3,
        1,
        1,
    )
    assert first["p02"] == pytest.approx(0.7)  # without the field that is unlike the training
    assert (first["n02"], first["n25"], first["locations"]) == (2, 1, "Nucleoli; Cytosol")
    assert (second["plate"], second["n02"], second["locations"]) == ("P2", 0, "")


def test_antibodies_come_from_names_of_the_atlas_or_the_catalog() -> None:
    table = predictions(["105_16_C1_1", "105_16_C1_2", "77_16_C2_1", "f3"])
    names, keys = find_keys(table, "antibody")
    assert (names, keys) == (("antibody",), [("105",), ("105",), ("77",), ("",)])
    entries = [
        Entry("f3", red="r", green="g", blue="b", yellow="y", antibody="HPA1"),
        Entry("x", red="r", green="g", blue="b"),
    ]
    catalog = Catalog.from_entries(entries, folder=Path("."))
    assert find_keys(table, "antibody", catalog)[1][3] == ("HPA1",)
    rows = summarize(table, names, keys)
    assert [(row["antibody"], row["fields"]) for row in rows] == [("", 1), ("105", 2), ("77", 1)]
    assert rows[0]["p02"] is None  # its only field does not count


def test_an_unknown_or_absent_property_is_an_error() -> None:
    with pytest.raises(UsageError) as caught:
        find_keys(predictions(), "wells")
    assert caught.value.code is Code.UNKNOWN_NAME
    with pytest.raises(LociscopeError) as absent:
        find_keys(predictions(), "gene")
    assert absent.value.code is Code.NOT_FOUND


def test_csv_and_parquet_hold_the_same(tmp_path: Path) -> None:
    table = predictions(positions=[Position("", "A1", "")] * 3 + [Position("", "A2", "")])
    rows = summarize(table, *find_keys(table, "well"))
    write_summary(rows, tmp_path / "wells.parquet")
    write_summary(rows, tmp_path / "wells.csv")
    assert pq.read_table(tmp_path / "wells.parquet").to_pylist() == rows
    lines = (tmp_path / "wells.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("plate,well,fields,excluded,warned,locations,p00")
    assert lines[1].startswith(",A1,3,0,1,Nucleoli,0.000000,0.000000,0.500000")
    assert lines[2].startswith(",A2,1,1,0,,,")
    with pytest.raises(UsageError) as caught:
        write_summary(rows, tmp_path / "wells.xlsx")
    assert caught.value.code is Code.UNSUPPORTED_FORMAT
