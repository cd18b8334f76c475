from __future__ import annotations

import sys
from xml.etree import ElementTree

import pytest

from lociscope.errors import MissingExtraError
from lociscope.report.figures import PAGE_COLOURS, learning_curves

SVG = "{http://www.w3.org/2000/svg}"


def history(epochs: int) -> list[dict[str, float]]:
    return [{"epoch": n, "loss": 1 / n, "val_loss": 0.2 + (n - 4) ** 2 / 100} for n in range(1, epochs + 1)]


def test_curves_are_one_svg_in_the_colours_of_the_page() -> None:
    svg = learning_curves(history(8))
    root = ElementTree.fromstring(str(svg))
    assert root.tag == f"{SVG}svg"
    words = {element.text for element in root.iter(f"{SVG}text")}
    assert {"training", "validation", "epoch", "loss"} <= words
    assert "var(--accent)" in svg
    assert not any(placeholder in svg for placeholder in PAGE_COLOURS)


def test_nothing_in_them_is_fetched_and_they_repeat() -> None:
    svg = learning_curves(history(8))
    assert svg == learning_curves(history(8))
    root = ElementTree.fromstring(str(svg))
    for element in root.iter():
        for name, value in element.attrib.items():
            assert not name.endswith("href") or value.startswith("#")
            assert "url(" not in value or "url(#" in value
    assert root.find(f"{SVG}metadata") is None


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_short_training_still_shows_points(epochs: int) -> None:
    few = ElementTree.fromstring(str(learning_curves(history(epochs))))
    assert sum(1 for _ in few.iter(f"{SVG}use")) >= 2 * epochs


def test_no_state_of_pyplot_is_touched() -> None:
    before = "matplotlib.pyplot" in sys.modules
    learning_curves(history(3))
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"lociscope\[report\]"):
        learning_curves(history(3))
