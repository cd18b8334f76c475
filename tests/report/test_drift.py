"""The page of a drift check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lociscope.images.statistics import STATISTICS
from lociscope.report.drift import build_row, format_p_value, format_share, write_drift

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIDES = {"window": (0.0, 1.0, 2.0, 3.0, 4.0), "reference": (4.0, 5.0, 6.0, 7.0, 8.0)}


def drift(*, drifted: bool = True, empty: bool = False) -> dict[str, object]:
    """What `--json` prints, parsed."""
    statistic = {"distance": 0.5, "p": 0.0004, "moved": drifted, **SIDES}
    location = {"number": 0, "label": "Nucleoplasm", "window": 3, "reference": 60, "p": 0.02, "moved": False}
    return {
        "window": "log '<b>Mine</b>.db'",
        "fields": 40,
        "groups": 8,
        "reference": "the reference of x",
        "reference_fields": 100,
        "level": 0.05,
        "drifted": drifted,
        "checked": ["locations"] if empty else ["locations", "pixel statistics", "embeddings"],
        "not_checked": {"embeddings": "The window has <none>."} if empty else {},
        "causes": ["Protein (green): <blurred>."] if drifted else [],
        "summary": ["The green channel is darker."] if drifted else [],
        "statistics": [] if empty else [{"name": name, **statistic} for name in STATISTICS],
        "embedding": None if empty else {"mmd2": 0.1234, "p": 0.003, "moved": drifted},
        "locations": [] if empty else [location, {**location, "label": "Aggresome", "window": 0, "reference": 0}],
        "notes": ["Take care."],
    }


def test_the_page_says_what_moved(tmp_path: Path) -> None:
    write_drift(tmp_path / "page.html", drift())
    page = (tmp_path / "page.html").read_text()
    assert "<h1>Drift</h1>" in page
    assert "Log &#39;&lt;b&gt;Mine&lt;/b&gt;.db&#39; (40 fields in 8 groups)\ndiffers from the reference of x." in page
    assert "<li>The green channel is darker.</li>" in page
    assert "<strong>Protein (green): &lt;blurred&gt;.</strong>" in page
    assert "Take care." in page
    assert "<p>Checked: locations, pixel statistics, embeddings.</p>" in page
    assert "Not checked" not in page
    assert page.count('class="moved"') == len(STATISTICS)
    assert "Microtubules and protein (red and green)" in page
    assert "MMD² 0.123, p 0.003, drifted." in page
    assert ("Nucleoplasm" in page, "Aggresome" in page) == (True, False)
    assert "http" not in page


def test_a_page_of_no_drift_and_of_little(tmp_path: Path) -> None:
    write_drift(tmp_path / "page.html", drift(drifted=False, empty=True))
    page = (tmp_path / "page.html").read_text()
    assert "<h1>No drift in what was checked</h1>" in page
    assert "is similar to the reference of x, in what was checked." in page
    assert "Not checked: embeddings. The window has &lt;none&gt;." in page
    assert "in at most\n5 of 100 windows" in page
    assert "The pixels" not in page
    assert "Model output" not in page
    write_drift(tmp_path / "page.html", drift(drifted=False))
    assert "<h1>No drift</h1>" in (tmp_path / "page.html").read_text()


def test_both_sides_share_a_scale() -> None:
    row = build_row({"name": "MedianIntensity_red", "p": 0.5, "moved": False, **SIDES})
    assert (row.window_strip.low, row.window_strip.middle, row.window_strip.high) == (0, 25, 50)
    assert (row.reference_strip.low, row.reference_strip.high) == (50, 100)
    assert (row.window, row.reference) == ("2.0", "6.0")
    flat = build_row({"name": "parts_red", "p": 1, "moved": False, "window": (3,) * 5, "reference": (3,) * 5})
    assert flat.window_strip.middle == flat.reference_strip.low == 50


@pytest.mark.parametrize(
    ("p", "said"), [(0, "<\N{NO-BREAK SPACE}0.001"), (0.0123, "0.012"), (0.25, "0.25"), (1, "1.00")]
)
def test_a_p_is_never_nothing(p: float, said: str) -> None:
    assert format_p_value(p) == said


@pytest.mark.parametrize(("count", "of", "said"), [(0, 9, "0 %"), (1, 384, "under 1 %"), (3, 9, "33 %")])
def test_shares(count: int, of: int, said: str) -> None:
    assert format_share(count, of) == said


def test_the_page_in_a_browser(tmp_path: Path, inspect_page: Callable[[Path], None]) -> None:
    write_drift(tmp_path / "page.html", drift())
    inspect_page(tmp_path / "page.html")
