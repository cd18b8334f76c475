"""`lociscope explore`: whatever is given, a page and its JSON, or one message that says what to do."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.artifacts.predictions import Predictions
from lociscope.labels import N_LABELS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser, Error, Request

HOSTILE = "<script>alert('x')</script>\"&"
CHANNELS = ("red", "green", "blue", "yellow")


def _add_url(asked: list[str], request: Request) -> None:
    asked.append(request.url)


def _add_text(errors: list[str], error: Error) -> None:
    errors.append(str(error))


@pytest.fixture
def catalog(write_field: Callable[..., Path], tmp_path: Path) -> Path:
    """Twelve fields; the last two show the same cells, with other labels, and the name of one is markup."""
    entries = []
    for number in range(12):
        name = f"f{number:02d}"
        folder = write_field(name, tmp_path / "fields", seed=min(number, 10), size=96)
        paths = {channel: f"fields/{name}_{channel}.png" for channel in CHANNELS}
        entries.append(
            Entry(HOSTILE if number == 11 else name, (number % 3, 25), **paths, cell_line=f"line {number % 2}")  # type: ignore[arg-type]
        )
    assert folder == tmp_path / "fields"
    Catalog.from_entries(entries, tmp_path).write(tmp_path / "catalog.parquet")
    return tmp_path / "catalog.parquet"


def read(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def test_a_catalog_becomes_a_page_and_its_data(lociscope: Callable[..., Any], catalog: Path, tmp_path: Path) -> None:
    said = lociscope("explore", catalog, "-o", "one/explore.html")
    assert (said.code, said.out) == (0, "one/explore.html\n")
    assert "12 fields, 12 with a label, 12 with images" in said.err
    assert "Duplicates with different labels: 1" in said.err
    found = read(tmp_path / "one" / "explore.json")
    assert (found["schema"], found["fields"], found["readable"], found["labels"]["fields"]) == (1, 12, 12, 12)
    assert found["model"] == "the bundle tiny0 0"
    [copies] = [each for each in found["findings"] if each["kind"] == "duplicates-with-other-labels"]
    assert copies["ids"] == ["f10", HOSTILE]
    assert {each["id"] for each in found["map"]} == {*(f"f{n:02d}" for n in range(11)), HOSTILE}
    page = (tmp_path / "one" / "explore.html").read_text(encoding="utf-8")
    assert HOSTILE not in page
    assert "&lt;script&gt;alert" in page
    assert page.index("Duplicates with different labels") < page.index("Locations without a field")
    assert "Nucleoplasm" in page
    assert "http" not in page
    assert page.count("<img") == page.count('<img src="data:image/jpeg;base64,') >= 2 + 4 * 3 + 6
    lociscope("explore", catalog, "-o", "one/second.html")
    assert {path.name for path in (tmp_path / "one").iterdir()} == {
        "explore.html", "explore.json", "second.html", "second.json",
    }  # fmt: skip
    assert read(tmp_path / "one" / "second.json") == found


def test_labels_alone(lociscope: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("Id,Target\na,0 25\nb,0\n")
    assert lociscope("explore", "train.csv", "-o", "e.html").code == 0
    found = read(tmp_path / "e.json")
    assert (found["fields"], found["readable"], found["model"]) == (2, 0, None)
    assert {each["kind"] for each in found["findings"]} == {"class-absent", "class-too-rare"}
    assert "only labels are explored" in (tmp_path / "e.html").read_text(encoding="utf-8")


def test_a_folder_without_labels(lociscope: Callable[..., Any], catalog: Path, tmp_path: Path) -> None:
    (tmp_path / "fields" / "f03_green.png").write_text("no picture")
    (tmp_path / "fields" / "f04_yellow.png").unlink()
    said = lociscope("explore", tmp_path / "fields", "-o", "e.html")
    assert said.code == 0
    found = read(tmp_path / "e.json")
    assert "labels" not in found
    unreadable = {each["ids"][0]: each["reason"] for each in found["findings"] if each["kind"] == "unreadable"}
    assert {*unreadable} == {"f03", "f04"}
    assert "yellow" in unreadable["f04"]
    assert ["f10", "f11"] in [each["ids"] for each in found["findings"] if each["kind"] == "duplicates"]
    assert found["findings"][0]["kind"] == "unreadable"


def test_one_row(lociscope: Callable[..., Any], catalog: Path, tmp_path: Path) -> None:
    entries = [next(iter(Catalog.read(catalog)))]
    Catalog.from_entries(entries, tmp_path).write(tmp_path / "one.parquet")
    assert lociscope("explore", "one.parquet", "-o", "e.html").code == 0
    assert read(tmp_path / "e.json")["readable"] == 1


def test_predictions_of_these_fields_replace_the_bundle(
    lociscope: Callable[..., Any], catalog: Path, tmp_path: Path
) -> None:
    def write(ids: list[str]) -> None:
        probability = np.full((len(ids), N_LABELS), 0.1, np.float32)
        Predictions(ids, probability, [()] * len(ids), ["ok"] * len(ids), [()] * len(ids)).write(tmp_path / "p.parquet")

    write(["f00", "f01", "elsewhere"])
    assert lociscope("explore", catalog, "--predictions", "p.parquet", "-o", "e.html").code == 0
    assert read(tmp_path / "e.json")["model"] == "the predictions of p.parquet"
    write(["elsewhere"])
    said = lociscope("explore", catalog, "--predictions", "p.parquet", "-o", "e.html")
    assert said.code == 1
    assert "are of other fields: none of their 1 ids is among the 12 explored" in said.err


def test_test_fields_are_compared(lociscope: Callable[..., Any], catalog: Path, tmp_path: Path) -> None:
    said = lociscope("explore", catalog, "--test", catalog, "-o", "e.html")
    assert said.code == 0
    found = read(tmp_path / "e.json")
    assert (found["test"]["fields"], found["test"]["adversarial"], found["test"]["shifts"]) == (12, None, [])
    assert found["test"]["compared"] > N_LABELS
    across = [each for each in found["findings"] if each["kind"] == "duplicates-across-parts"]
    assert {name for each in across for name in each["test_ids"]} == set(Catalog.read(catalog).ids)


def test_a_page_is_html(lociscope: Callable[..., Any], catalog: Path) -> None:
    said = lociscope("explore", catalog, "-o", "explore.json")
    assert said.code == 2
    assert "--output 'explore.json' ends in '.json'; expected .html. Rename it." in said.err
    assert lociscope("explore", "nothing.parquet", "-o", "e.html").code == 1


def test_in_a_browser(lociscope: Callable[..., Any], catalog: Path, tmp_path: Path, browser: Browser) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed").Axe()
    lociscope("explore", catalog, "-o", "e.html")
    for width in (1280, 390):
        for scheme in ("light", "dark"):
            context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
            page = context.new_page()
            asked: list[str] = []
            errors: list[str] = []
            page.on("request", partial(_add_url, asked))
            page.on("pageerror", partial(_add_text, errors))
            page.goto((tmp_path / "e.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
            page.select_option("#mark", label="Nucleoplasm")
            assert page.inner_text("#marked") == "4 marked"
            page.fill("#find", "f07")
            assert page.inner_text("#marked") == "1 marked"
            assert errors == []
            found = axe.run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
            assert [(each["id"], each["nodes"][0]["html"]) for each in found.response["violations"]] == []
            context.close()
