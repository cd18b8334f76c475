"""The page of drift over time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from lociscope.report.timeline import build_strips, name_measure, write_timeline

if TYPE_CHECKING:
    from pathlib import Path


def make_window(name: str, middle: float, *, moved: bool) -> dict[str, Any]:
    """One window of `--json`, with one statistic."""
    finding = {
        "name": "MedianIntensity_red",
        "window": tuple(middle + step for step in (-2, -1, 0, 1, 2)),
        "reference": (8.0, 9.0, 10.0, 11.0, 12.0),
        "moved": moved,
    }
    return {"name": name, "fields": 30, "report": {"drifted": moved, "statistics": [finding]}}


def make_timeline(**values: Any) -> dict[str, Any]:
    windows = [make_window("a", 10, moved=False), {"name": "<b>", "fields": 3, "report": None}]
    windows.append(make_window("c", 20, moved=True))
    move = {"measure": "MedianIntensity_red", "since": "c", "until": None, "windows": 1}
    timeline = {"by": "1d", "ordered": True, "reference": "log 'x'", "reference_fields": 90, "level": 0.05,
                "windows": windows, "moves": [move], "backward": 0, "texts": [[], [], ["All <stains>."]]}  # fmt: skip
    return timeline | values


def test_strips_share_one_scale_and_leave_gaps() -> None:
    (strip,) = build_strips(make_timeline()["windows"])
    first, gap, last = strip.columns
    assert gap is None
    assert first is not None
    assert last is not None
    assert (first.low, last.high) == (0, 100)
    assert (strip.top, strip.bottom, strip.reference, strip.moved) == ("22.0", "8.0", "10.0", 1)
    assert first.middle == pytest.approx((strip.lower + strip.upper) / 2, abs=0.1)
    assert (first.moved, last.moved) == (False, True)


def test_the_page_names_stains_windows_and_causes(tmp_path: Path) -> None:
    picture = SimpleNamespace(id="f<1>", window="c", uri="data:,")
    write_timeline(tmp_path / "page.html", make_timeline(backward=1), [picture])
    page = (tmp_path / "page.html").read_text()
    assert "1 of 2 windows differ from log &#39;x&#39; (90 fields)." in page
    assert '<th scope="row">Microtubules (red): median</th>' in page
    assert "<li>All &lt;stains&gt;.</li>" in page
    assert "&lt;b&gt;" in page
    assert "1 row was written" in page
    assert 'alt="Field f&lt;1&gt;"' in page
    assert page.count('class="column moved"') == 1


def test_a_page_in_which_nothing_moved(tmp_path: Path) -> None:
    windows = [make_window("p1", 10, moved=False)]
    write_timeline(
        tmp_path / "page.html", make_timeline(windows=windows, moves=[], texts=[[]], ordered=False, by="plate")
    )
    page = (tmp_path / "page.html").read_text()
    assert "<h1>Drift by plate</h1>" in page
    assert "<p>Nothing.</p>" in page
    assert "1 figures, none of which moved" not in page or "<details open>" in page


def test_measures_are_named_by_stain() -> None:
    assert name_measure("PowerLogLogSlope_yellow") == "Endoplasmic reticulum (yellow): fine detail"
    assert name_measure("Correlation_red_blue") == "Microtubules and nucleus (red and blue): correlation"
    assert name_measure("embeddings") == "Embeddings"
    assert name_measure("Golgi apparatus") == "Golgi apparatus"
