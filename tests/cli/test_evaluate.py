"""`lociscope evaluate` and its three subjects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fixtures.pixels import patches
from typer.testing import CliRunner

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.artifacts.predictions import Predictions
from lociscope.cli import app
from lociscope.errors import LociscopeError, UsageError
from lociscope.images.io.write import write_planes
from lociscope.labels import N_LABELS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TRUTH = {"a": (0,), "b": (0, 25), "c": (7,), "d": (25,)}


def predictions(names: str = "abcd") -> Predictions:
    probability = np.random.default_rng(0).random((len(names), N_LABELS), np.float32) * np.float32(0.3)
    for row, name in zip(probability, names, strict=True):
        row[list(TRUTH.get(name, ()))] = 0.9
    places = [tuple(np.flatnonzero(row > 0.5).tolist()) for row in probability]
    return Predictions(list(names), probability, places, ["ok"] * len(names), [()] * len(names))


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    path = tmp_path / "truth.csv"
    path.write_text("Id,Target\n" + "".join(f"{name},{' '.join(map(str, TRUTH[name]))}\n" for name in TRUTH))
    return path


def evaluate(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["evaluate", *map(str, words)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code
    return done.stdout if code == 0 else done.stderr


def test_perfect_predictions_against_a_label_table(tmp_path: Path, truth: Path) -> None:
    predictions().write(tmp_path / "p.csv")
    said = evaluate(tmp_path / "p.csv", truth, "-o", tmp_path / "out")
    assert said.strip() == str(tmp_path / "out" / "report.html")
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())["figures"]
    assert figures["lrap"]["value"] == pytest.approx(1)
    assert figures["macro_f1"]["value"] == pytest.approx(1)
    assert figures["minutes"]["value"] == 0
    assert "truth.csv" in (tmp_path / "out" / "report.html").read_text()


def test_the_main_metrics_are_printed_with_interval_and_n(tmp_path: Path, truth: Path) -> None:
    predictions().write(tmp_path / "p.csv")
    done = CliRunner().invoke(app, ["evaluate", str(tmp_path / "p.csv"), str(truth), "-o", str(tmp_path / "out")])
    lines = done.stderr.splitlines()
    assert lines[0].startswith("LRAP: 1.000 (90% interval 1.000 to 1.000, n = 4); baseline 0.")
    assert [line.split(":")[0] for line in lines] == [
        "LRAP", "Top-3", "Macro-F1", "Average precision (macro)", "Minutes per field",
    ]  # fmt: skip


def test_rows_without_a_label_are_left_out(tmp_path: Path, truth: Path) -> None:
    predictions("abcde").write(tmp_path / "p.parquet")
    evaluate(tmp_path / "p.parquet", truth, "-o", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["fields"] == 4


def write_catalog(tmp_path: Path) -> Path:
    """The fields of `TRUTH`."""
    entries = []
    for number, (name, target) in enumerate(TRUTH.items()):
        planes = write_planes(tmp_path, name, patches((32, 32, 4), number))
        red, green, blue, yellow = (plane.name for plane in planes)
        entries.append(Entry(name, target, red, green, blue, yellow))
    Catalog.from_entries(entries, tmp_path).write(tmp_path / "catalog.parquet")
    return tmp_path / "catalog.parquet"


def test_a_bundle_on_a_catalog_shows_its_fields(tmp_path: Path, tiny_bundle: Path) -> None:
    write_catalog(tmp_path)
    evaluate(tiny_bundle, tmp_path / "catalog.parquet", "-o", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/jpeg") >= len(TRUTH)
    assert Predictions.read(tmp_path / "out" / "predictions.parquet").ids == list(TRUTH)


def test_fields_that_fail_are_listed_and_the_rest_scored(tmp_path: Path, tiny_bundle: Path) -> None:
    catalog, out = write_catalog(tmp_path), tmp_path / "out"
    (tmp_path / "b_green.png").write_text("no picture")
    assert f"1 field failed, listed in {out / 'predictions.failures.csv'}" in evaluate(
        tiny_bundle, catalog, "-o", out, code=3
    )
    assert json.loads((out / "metrics.json").read_text())["fields"] == 3
    assert "b," in (out / "predictions.failures.csv").read_text()
    for path in tmp_path.glob("*.png"):
        path.unlink()
    with pytest.raises(LociscopeError, match=r"No field of .* could be predicted\. The first: "):
        evaluate(tiny_bundle, catalog, "-o", tmp_path / "other")


def test_a_picture_that_cannot_be_shown_does_not_keep_the_report(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path)
    (tmp_path / "c_red.png").write_text("no picture")
    predictions().write(tmp_path / "p.csv")
    evaluate(tmp_path / "p.csv", catalog, "-o", tmp_path / "out")
    assert "Not shown, since the images cannot be read: c." in (tmp_path / "out" / "report.html").read_text()


def test_truth_of_other_fields(tmp_path: Path, truth: Path) -> None:
    predictions("xyz").write(tmp_path / "p.csv")
    with pytest.raises(LociscopeError, match="None of the 3 predicted ids has a label"):
        evaluate(tmp_path / "p.csv", truth, "-o", tmp_path / "out")


def test_predictions_without_truth(tmp_path: Path) -> None:
    predictions().write(tmp_path / "p.csv")
    with pytest.raises(UsageError, match="Only a Run records its own truth"):
        evaluate(tmp_path / "p.csv", "-o", tmp_path / "out")


def test_a_bundle_needs_fields(tmp_path: Path, tiny_bundle: Path, truth: Path) -> None:
    with pytest.raises(UsageError, match="evaluated on fields"):
        evaluate(tiny_bundle, truth, "-o", tmp_path / "out")


def test_what_is_no_subject(tmp_path: Path, truth: Path) -> None:
    with pytest.raises(LociscopeError, match="is not a Run"):
        evaluate(tmp_path, truth, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_table_of_paths_is_truth_and_fields(tmp_path: Path, tiny_bundle: Path) -> None:
    names = list(TRUTH)
    lines = ["id,red,green,blue,yellow,Target"]
    for seed, name in enumerate(names):
        pixels = patches((32, 32, 4), seed)
        paths = write_planes(tmp_path / "f", name, pixels)
        lines.append(",".join([name, *(f"f/{path.name}" for path in paths), " ".join(map(str, TRUTH[name]))]))
    (tmp_path / "t.csv").write_text("\n".join(lines))
    evaluate(tiny_bundle, tmp_path / "t.csv", "-o", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["fields"] == 4
    predictions().write(tmp_path / "p.csv")
    evaluate(tmp_path / "p.csv", tmp_path / "t.csv", "-o", tmp_path / "other")
    figures = json.loads((tmp_path / "other" / "metrics.json").read_text())["figures"]
    assert figures["macro_f1"]["value"] == pytest.approx(1)


def test_predictions_of_others_are_scored(tmp_path: Path, truth: Path) -> None:
    made = predictions()
    head = ["Id", *(f"class_{number}" for number in range(28))]
    rows = ([name, *map(str, row)] for name, row in zip(made.ids, made.probability, strict=True))
    (tmp_path / "p.csv").write_text("\n".join(",".join(row) for row in [head, *rows]))
    evaluate(tmp_path / "p.csv", truth, "-o", tmp_path / "out")
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())["figures"]
    assert figures["macro_f1"]["value"] == pytest.approx(1)


@pytest.mark.slow
def test_figures_of_a_paper_and_evidence(tmp_path: Path, tiny_bundle: Path) -> None:
    catalog = write_catalog(tmp_path)
    predictions().write(tmp_path / "p.csv")
    words = (tmp_path / "p.csv", catalog, "-o", tmp_path / "out", "--figures", tmp_path / "fig")
    evaluate(*words, "--bundle", tiny_bundle)
    names = {"precision-recall", "calibration", "examples-hpa-colours", "examples-colour-blind-safe"}
    assert {path.name for path in (tmp_path / "fig").iterdir()} == {f"{n}.{s}" for n in names for s in ("svg", "pdf")}
    assert (tmp_path / "fig" / "calibration.pdf").read_bytes().startswith(b"%PDF")
    assert "Golgi apparatus" in (tmp_path / "fig" / "precision-recall.svg").read_text()
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count(": evidence for ") == len(TRUTH)
    assert 'href="../fig"' in page
    first = {path.name: path.read_bytes() for path in (tmp_path / "fig").iterdir()}
    evaluate(*words)
    assert {path.name: path.read_bytes() for path in (tmp_path / "fig").iterdir()} == first


def test_cell_lines_and_variation_of_the_catalog(tmp_path: Path) -> None:
    entries = [Entry(name, TRUTH[name], cell_line="A" if name in "abc" else None) for name in TRUTH]
    made = Catalog.from_entries(entries, tmp_path)
    table = made.table.append_column("single_cell_variation", [["yes", "no", "0", "unknown"]])
    Catalog(table, tmp_path).write(tmp_path / "catalog.parquet")
    predictions().write(tmp_path / "p.csv")
    evaluate(tmp_path / "p.csv", tmp_path / "catalog.parquet", "-o", tmp_path / "out")
    accepted = json.loads((tmp_path / "out" / "metrics.json").read_text())["acceptance"]
    assert [(each["name"], each["fields"]) for each in accepted["cell_lines"]] == [("A", 3)]
    assert [each["fields"] for each in accepted["variation"]["subsets"]] == [1, 2]


def test_the_page_in_a_browser(tmp_path: Path, tiny_bundle: Path, inspect_page: Callable[[Path], None]) -> None:
    catalog = write_catalog(tmp_path)
    predictions().write(tmp_path / "p.csv")
    evaluate(tmp_path / "p.csv", catalog, "-o", tmp_path / "out", "--bundle", tiny_bundle)
    inspect_page(tmp_path / "out" / "report.html")
