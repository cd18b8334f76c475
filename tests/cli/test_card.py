"""`lociscope card`: model cards and data cards in three forms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.labels import LABELS, to_multi_hot
from lociscope.report.metrics import measure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOSTILE = "<script>alert('x')</script>|`*_["


def section(path: Path, title: str) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    [made] = [each for each in found["sections"] if each["title"] == title]
    return dict(made)


def test_the_model_card_of_a_bundle(lociscope: Callable[..., Any], tiny_bundle: Path, tmp_path: Path) -> None:
    truth = to_multi_hot([[0], [0, 7], [25]] * 10)
    found = measure(truth, np.clip(truth * 0.8, 0.1, 1), truth, "30 fields of mine", resamples=10)
    found.write(tmp_path / "metrics.json")
    said = lociscope("card", tiny_bundle, "-o", "one/card.html", "--metrics", "metrics.json")
    assert (said.code, said.out) == (0, "one/card.html\n")
    data = tmp_path / "one" / "card.json"
    card = json.loads((tiny_bundle / "card.json").read_text())
    rows = dict(section(data, "Model")["table"]["rows"])
    assert (rows["Name"], rows["Version"], rows["Licence"]) == (card["name"], card["version"], card["licence"])
    thresholds = section(data, "Thresholds")["table"]["rows"]
    assert [name for name, _ in thresholds] == list(LABELS)
    scores = {row[0]: row[1] for row in section(data, "Evaluation")["table"]["rows"]}
    assert (scores["Macro-F1"], scores["LRAP"]) == ("1.000", "1.000")
    assert {row[0] for row in section(data, "DOME")["table"]["rows"]} == {"Data", "Optimization", "Model", "Evaluation"}
    markdown = (tmp_path / "one" / "card.md").read_text(encoding="utf-8")
    assert "## DOME" in markdown
    assert "30 fields of mine" in markdown
    page = (tmp_path / "one" / "card.html").read_text(encoding="utf-8")
    assert all(f">{each['title']}</h2>" in page for each in json.loads(data.read_text())["sections"])
    assert "://" not in page


def test_the_data_card_of_a_catalog(lociscope: Callable[..., Any], tmp_path: Path) -> None:
    entries = [
        Entry(f"f{row}", (0, 7) if row % 2 else (0,), cell_line=HOSTILE, antibody=f"a{row // 2}", licence="CC BY 4.0")
        for row in range(24)
    ]
    Catalog.from_entries(entries, tmp_path).write(tmp_path / "c.parquet")
    assert lociscope("card", "c.parquet", "-o", "d.html").code == 0
    rows = dict(section(tmp_path / "d.json", "Fields")["table"]["rows"])
    assert (rows["Fields"], rows["Antibodies"], rows["Licences"]) == ("24", "12", "CC BY 4.0 (24)")
    assert rows["Sources"] == "not recorded"
    labels = section(tmp_path / "d.json", "Labels")
    assert labels["table"]["rows"][:2] == [
        ["Nucleoplasm", "24", "12", "100.00 %", "41.47 %"],
        ["Golgi apparatus", "12", "12", "50.00 %", "9.08 %"],
    ]
    assert "Golgi apparatus" in section(tmp_path / "d.json", "Gaps")["paragraphs"][1]
    assert HOSTILE not in (tmp_path / "d.html").read_text()
    assert "<script>alert" not in (tmp_path / "d.md").read_text().replace("\\<", "")
    Catalog.from_entries([Entry("a")], tmp_path).write(tmp_path / "none.parquet")
    assert lociscope("card", "none.parquet", "-o", "n.html").code == 0
    assert section(tmp_path / "n.json", "Labels")["paragraphs"] == ["No field has a label."]


def test_the_page_in_a_browser(
    lociscope: Callable[..., Any], tiny_bundle: Path, tmp_path: Path, inspect_page: Callable[[Path], None]
) -> None:
    lociscope("card", tiny_bundle, "-o", "card.html")
    inspect_page(tmp_path / "card.html")


def test_what_is_refused(lociscope: Callable[..., Any], tiny_bundle: Path, tmp_path: Path) -> None:
    Catalog.from_entries([Entry("a")], tmp_path).write(tmp_path / "c.parquet")
    said = lociscope("card", "c.parquet", "--metrics", "m.json", "-o", "c.html")
    assert (said.code, "--metrics belong to a model card" in said.err) == (2, True)
    assert lociscope("card", tiny_bundle, "-o", "c.md").code == 2
    assert lociscope("card", tmp_path, "-o", "c.html").code == 1
