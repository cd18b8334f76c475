"""`lociscope report`: predicted fields without labels become a page and its JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.artifacts.predictions import Predictions
from lociscope.labels import N_LABELS
from lociscope.warnings import parse_warnings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOSTILE = "<script>alert('x')</script>\"&"
CHANNELS = ("red", "green", "blue", "yellow")


def predictions(n: int = 24) -> Predictions:
    """The protein of the drug's wells moves to the cytosol; the last field has a hostile name and no location."""
    ids = [*(f"f{row:02d}" for row in range(n - 1)), HOSTILE]
    probability = np.full((n, N_LABELS), 0.02, np.float32)
    for row in range(n - 1):
        probability[row, 25 if row % 2 else 0] = 0.7 + 0.01 * row
    predicted = [tuple(np.flatnonzero(row > 0.5).tolist()) for row in probability]
    warnings = [parse_warnings(["empty plane: green"]) if row == 3 else () for row in range(n)]
    return Predictions(ids, probability, predicted, ["ok"] * n, warnings)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Predictions, and a table of the fields with plates, wells and treatments."""
    made = predictions()
    made.write(tmp_path / "p.parquet")
    lines = ["id;red;green;blue;yellow;plate;well;antibody;treatment"]
    for row, name in enumerate(made.ids):
        quoted = '"' + name.replace('"', '""') + '"'
        paths = ";".join(f"fields/f{row:02d}_{channel}.png" for channel in CHANNELS)
        lines.append(
            f"{quoted};{paths};P{row // 12};{'AB'[row % 2]}{row // 2 + 1:02d};{row};{'drug' if row % 2 else 'none'}"
        )
    (tmp_path / "fields.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "fields.csv"


def read(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def test_a_page_with_images_plates_and_conditions(
    lociscope: Callable[..., Any], table: Path, write_field: Callable[..., Path], tmp_path: Path
) -> None:
    for row in range(23):  # the last cannot be read
        write_field(f"f{row:02d}", tmp_path / "fields", seed=row, size=64)
    said = lociscope("report", "p.parquet", table, "-o", "one/report.html", "--compare-by", "treatment")
    assert (said.code, said.out) == (0, "one/report.html\n")
    assert "Cytosol: drug 92%, none 0%, p <" in said.err.replace("\u00a0", " ")
    assert "1 field not shown" in said.err
    found = read(tmp_path / "one" / "report.json")
    assert (found["schema"], found["fields"], found["unreadable"]) == (1, 24, [HOSTILE])
    assert {row["label"]: row["fields"] for row in found["locations"]} == {"Nucleoplasm": 12, "Cytosol": 11}
    comparison = found["comparison"]
    assert (comparison["unit"], comparison["test"], comparison["units"]) == ("wells", "Mann–Whitney U", [12, 12])
    assert [each["label"] for each in comparison["changes"] if each["changed"]] == ["Nucleoplasm", "Cytosol"]
    assert found["gallery"]["Nucleoplasm"][0] == "f22"  # the surest
    assert found["gallery"]["Nucleoplasm"][-1] == "f00"
    assert {*found["summaries"]} == {"well", "plate", "antibody"}
    assert len(found["summaries"]["antibody"]) == 24
    page = (tmp_path / "one" / "report.html").read_text(encoding="utf-8")
    assert HOSTILE not in page
    assert "&lt;script&gt;alert" in page
    assert "://" not in page
    assert page.count('class="heat wells"') == 2
    assert 'title="A01: Nucleoplasm; 1 fields"' in page
    assert "µm (assumed)" in page
    assert "protein channel is empty" in page.lower() or "empty" in page


def test_fields_unlike_the_training_are_not_compared(
    lociscope: Callable[..., Any], table: Path, tmp_path: Path
) -> None:
    made = predictions()
    status = ["unlike-training" if row in (0, 2, 5) else "ok" for row in range(24)]
    Predictions(made.ids, made.probability, made.predicted, status, made.warnings).write(tmp_path / "p.parquet")
    said = lociscope("report", "p.parquet", table, "-o", "report.html", "--compare-by", "treatment")
    assert said.code == 0, said.err
    assert sorted(read(tmp_path / "report.json")["comparison"]["units"]) == [10, 11]


def test_predictions_alone(lociscope: Callable[..., Any], tmp_path: Path) -> None:
    predictions(2).write(tmp_path / "p.csv")
    assert lociscope("report", "p.csv", "-o", "a.html").code == 0
    first = read(tmp_path / "a.json")
    assert (first["summaries"], first["comparison"], first["gallery"], first["model"]) == ({}, None, {}, None)
    assert lociscope("report", "p.csv", "-o", "b.html").code == 0  # two reports in one folder
    assert read(tmp_path / "b.json") == first
    assert (tmp_path / "a.html").read_text() == (tmp_path / "b.html").read_text().replace("b.json", "a.json")


def test_single_cell_variation_is_read_where_it_is(lociscope: Callable[..., Any], tmp_path: Path) -> None:
    from lociscope.predict.variation import COLUMNS

    predictions(2).write(tmp_path / "p.csv")
    row = dict.fromkeys(COLUMNS, "") | {
        "id": "f00", "cells": "12", "whole_cells": "9", "locations": "Nucleoplasm", "differing": "0.25",
        "distance": "0.1", "intensity": "3", "intensity_cv": "0.4",
    }  # fmt: skip
    text = ",".join(COLUMNS) + "\n" + ",".join(row.values()) + "\n"
    (tmp_path / "p.variation.csv").write_text(text)
    assert lociscope("report", "p.csv", "-o", "a.html").code == 0
    [found] = read(tmp_path / "a.json")["variation"]
    assert (found["whole_cells"], found["differing"], "s00" in found) == (9, 0.25, False)
    assert "Fields whose cells differ most" in (tmp_path / "a.html").read_text()
    (tmp_path / "p.variation.csv").write_text(text.replace(",12,", ",many,"))
    assert "is damaged" in lociscope("report", "p.csv", "-o", "a.html").err


def test_the_page_in_a_browser(
    lociscope: Callable[..., Any],
    table: Path,
    write_field: Callable[..., Path],
    tmp_path: Path,
    inspect_page: Callable[[Path], None],
) -> None:
    for row in range(24):
        write_field(f"f{row:02d}", tmp_path / "fields", seed=row, size=64)
    lociscope("report", "p.parquet", table, "-o", "r.html", "--compare-by", "treatment")
    inspect_page(tmp_path / "r.html")


def test_what_is_refused(lociscope: Callable[..., Any], table: Path, tmp_path: Path) -> None:
    said = lociscope("report", "p.parquet", "-o", "r.json")
    assert (said.code, "expected .html" in said.err) == (2, True)
    said = lociscope("report", "p.parquet", table, "--compare-by", "treatmant", "-o", "r.html")
    assert said.code == 2
    assert "Did you mean 'treatment'?" in said.err
    said = lociscope("report", "p.parquet", table, "--compare-by", "gene", "-o", "r.html")
    assert said.code == 1
    table.write_text(table.read_text().replace("f0", "g0").replace("f1", "g1").replace("f2", "g2").replace("<", "("))
    said = lociscope("report", "p.parquet", table, "-o", "r.html")
    assert "has other fields: none of its 24 ids is among the 24 predicted ones" in said.err
    assert lociscope("report", "nothing.parquet", "-o", "r.html").code == 1
    (tmp_path / "other.html").write_text('<meta name="generator" content="lociscope comparison">')
    said = lociscope("report", "p.parquet", "-o", "other.html")
    assert "is a page of another kind (comparison, not report)" in said.err
