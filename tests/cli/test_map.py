"""`lociscope map`: predicted fields as points."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.artifacts.predictions import Predictions
from lociscope.labels import N_LABELS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser

HOSTILE = "<script>alert('x')</script>\"&"
FIELDS = 24


@pytest.fixture
def table(tmp_path: Path, write_field: Callable[..., Path]) -> Path:
    """Predictions of two kinds of fields, whose embeddings differ, and their Catalog."""
    rng = np.random.default_rng(0)
    names = [*(f"f{row:02d}" for row in range(FIELDS - 1)), HOSTILE]
    kind = np.arange(FIELDS) % 2
    embedding = (rng.normal(0, 0.1, (FIELDS, 8)) + np.eye(8)[kind * 5]).astype(np.float32)
    probability = np.full((FIELDS, N_LABELS), 0.1, np.float32)
    probability[np.arange(FIELDS), kind * 25] = 0.9
    predicted: list[tuple[int, ...]] = [(int(each) * 25,) for each in kind]
    Predictions(names, probability, predicted, ["ok"] * FIELDS, [()] * FIELDS, embedding).write(tmp_path / "p.parquet")
    entries = []
    for row, name in enumerate(names):
        paths = {each: f"fields/f{row:02d}_{each}.png" for each in ("red", "green", "blue", "yellow")}
        entries.append(Entry(name, cell_line=f"line {kind[row]}", plate=HOSTILE, **paths))  # type: ignore[arg-type]
        if row < 20:  # the others cannot be read
            write_field(f"f{row:02d}", tmp_path / "fields", seed=row, size=48)
    Catalog.from_entries(entries, tmp_path).write(tmp_path / "c.parquet")
    return tmp_path / "c.parquet"


def test_similar_fields_are_neighbours(lociscope: Callable[..., Any], table: Path, tmp_path: Path) -> None:
    said = lociscope("map", "p.parquet", table, "-o", "m/map.html", "--method", "tsne")
    assert (said.code, said.out) == (0, "m/map.html\n")
    found = json.loads((tmp_path / "m" / "map.json").read_text(encoding="utf-8"))
    assert (found["method"], found["fields"], len(found["points"])) == ("t-SNE", FIELDS, FIELDS)
    points = np.array([[each["x"], each["y"]] for each in found["points"]])
    distances = np.linalg.norm(points[:, None] - points, axis=-1) + 9 * np.eye(FIELDS)
    assert (distances.argmin(axis=1) % 2 == np.arange(FIELDS) % 2).mean() > 0.9
    assert found["points"][1] | {"x": 0, "y": 0} == {
        "id": "f01", "x": 0, "y": 0, "locations": ["Cytosol"], "cell_line": "line 1", "plate": HOSTILE,
    }  # fmt: skip
    page = (tmp_path / "m" / "map.html").read_text(encoding="utf-8")
    assert HOSTILE not in page
    assert page.count("<circle") == FIELDS
    assert page.count("data:image/jpeg") == 1
    assert "://" not in page


@pytest.mark.slow
def test_umap_is_the_default_where_it_is_installed(lociscope: Callable[..., Any], table: Path, tmp_path: Path) -> None:
    pytest.importorskip("umap")
    assert lociscope("map", "p.parquet", "-o", "map.html").code == 0
    found = json.loads((tmp_path / "map.json").read_text(encoding="utf-8"))
    assert found["method"] == "UMAP"
    assert len({(each["x"], each["y"]) for each in found["points"]}) == FIELDS


def test_what_is_refused(lociscope: Callable[..., Any], table: Path, tmp_path: Path) -> None:
    assert lociscope("map", "p.parquet", "-o", "map.png").code == 2
    assert "Known: umap, tsne" in lociscope("map", "p.parquet", "--method", "pca").err
    few = Predictions.read(tmp_path / "p.parquet").take(range(5))
    few.write(tmp_path / "few.parquet")
    assert "a map needs 10 or more" in lociscope("map", "few.parquet", "--method", "tsne").err
    few.write(tmp_path / "none.csv")
    assert "hold no embeddings" in lociscope("map", "none.csv", "--method", "tsne").err


def test_in_a_browser(
    lociscope: Callable[..., Any],
    table: Path,
    tmp_path: Path,
    browser: Browser,
    inspect_page: Callable[[Path], None],
) -> None:
    lociscope("map", "p.parquet", table, "-o", "map.html", "--method", "tsne")
    inspect_page(tmp_path / "map.html")
    page = browser.new_page()
    page.goto((tmp_path / "map.html").as_uri())
    page.fill("#find", "f07")
    assert page.inner_text("#found") == "1 found"
    assert page.inner_text("#said") == f"f07: Cytosol; line 1; plate {HOSTILE}"
    page.select_option("#by", label="cell line")
    fill = page.evaluate("document.querySelectorAll('.map circle')[1].style.fill")
    assert fill == page.evaluate("document.querySelectorAll('.legend')[1].querySelectorAll('i')[1].style.background")
    page.check("#pictures")
    assert page.locator(".thumb").count() > 3
    page.close()
