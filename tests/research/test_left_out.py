"""What a cell line costs that no training saw: over all fields, and line by line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.artifacts.folds import Folds
from lociscope.errors import UsageError
from lociscope.report import ranking

Make = Callable[..., Path]
FIELDS = 60


@pytest.fixture
def script(load_script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(ranking, "RESAMPLES", 50)
    return load_script("research/left_out")


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """Two lines: HeLa has the first third of the fields."""
    entries = [
        Entry(f"v0-{number:03d}", (1,), cell_line="HeLa" if number < FIELDS // 3 else "U-2 OS")
        for number in range(FIELDS)
    ]
    Catalog.from_entries(entries, tmp_path).write(tmp_path / "lines.parquet")
    return tmp_path / "lines.parquet"


def test_what_leaving_out_costs_is_reported_of_all_and_of_each_line(
    script: ModuleType, make_run: Make, catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others, left_out = make_run("others", noise=1.0, specimens=30), make_run("lines", noise=3.0, seed=1, specimens=30)
    kept = tmp_path / "kept.json"
    assert script.main([str(others), str(left_out), "--catalog", str(catalog), "--json", str(kept)]) == 0
    found = json.loads(kept.read_text())
    assert found["fields"] == FIELDS
    assert found["learned"] == [540, 540]
    assert found["gains"]["macro_average_precision"]["high"] < 0
    for key, gain in found["gains"].items():
        difference = found["left_out"][key]["value"] - found["others"][key]["value"]
        assert gain["value"] == pytest.approx(difference, abs=2e-4)
    assert {line: each["fields"] for line, each in found["lines"].items()} == {"HeLa": 20, "U-2 OS": 40}
    # Fields without a place count in the fields of a line, not in LRAP.
    weighted = sum(each["fields"] * each["gain"]["value"] for each in found["lines"].values()) / FIELDS
    assert weighted == pytest.approx(found["gains"]["lrap"]["value"], abs=2e-3)
    assert "lrap, U-2 OS (40)" in capsys.readouterr().out


def test_fields_learned_from_are_averaged_over_the_fields_spoken_of(script: ModuleType, tmp_path: Path) -> None:
    for number, (train, valid) in enumerate(((100, 300), (380, 20))):
        (tmp_path / f"fold{number}").mkdir()
        environment = {
            "schema": 1, "created": "", "seed": 0, "git": None, "versions": {}, "machine": "",
            "data": "Catalog 'x.parquet'", "data_hash": "", "fields": {"train": train, "valid": valid}, "parameters": 1,
        }  # fmt: skip
        (tmp_path / f"fold{number}" / "environment.json").write_text(json.dumps(environment))
    folds = SimpleNamespace(runs=Folds(k=2).runs(tmp_path))
    assert script.learned(folds) == round((100 * 300 + 380 * 20) / 320)


def test_folds_of_other_fields_and_a_field_of_no_line_are_named(
    script: ModuleType, make_run: Make, catalog: Path
) -> None:
    one, other, fewer = make_run("one"), make_run("other", validation=1), make_run("third", seed=2)
    command = ["--catalog", str(catalog)]
    with pytest.raises(UsageError, match="different fields"):
        script.main([str(one), str(other), *command])
    table = Catalog.read(catalog)
    table.with_column("cell_line", [None, *["HeLa"] * (FIELDS - 1)]).write(catalog)
    with pytest.raises(UsageError, match="no line of the field 'v0-000'"):
        script.main([str(one), str(fewer), *command])
