"""The pages of a review in a real browser: labelled by keyboard alone, accessible, usable on a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.images.discovery.naming import Rules
from lociscope.images.discovery.sources import find_fields
from lociscope.review.records import Item, Reason
from lociscope.review.store import open_review

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow


def test_fields_are_labelled_by_keyboard_alone(
    browser: Browser, tiny_bundle: Path, start_process: Any, make: Any, tmp_path: Path
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed").Axe()
    folder = tmp_path / "fields"
    folder.mkdir()
    for name, data in {**make.planes("a1", 0, 128), **make.planes("b2", 1, 128)}.items():
        (folder / name).write_bytes(data)
    url = str(tmp_path / "review.db")
    probability = np.where(np.arange(28) == 7, 0.91, 0.02).astype(np.float32)
    with open_review(url, create=True) as store:
        for source in find_fields([folder], Rules())[0]:
            store.add([Item(0, source.id, source, "b" * 64, (7,), probability, Reason.RANDOM, 2, "x")])
    with start_process("--bundle", tiny_bundle, "--review", url) as (_, address):
        page = browser.new_page(viewport={"width": 390, "height": 800})
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.set_default_timeout(60_000)
        page.goto(f"{address}/review")
        page.get_by_label("Your name").fill("ann")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Where is the protein?").wait_for()
        assert "0.91" not in page.content()
        page.keyboard.press("Enter")  # nothing is marked: refused on the page
        assert page.get_by_role("heading", name="Where is the protein?").is_visible()
        assert page.get_by_label("Microtubules", exact=True).first.is_checked()
        page.keyboard.press("r")  # switches the channel, and marks nothing
        assert not page.get_by_label("Microtubules", exact=True).first.is_checked()
        assert page.locator("[name=location]:checked").count() == 0
        for key in "ak":
            page.keyboard.press(key)
        assert page.locator("[name=location]:checked").count() == 2
        page.keyboard.press("7")  # none: unmarks the locations
        assert page.locator("[name=location]:checked").count() == 0
        page.keyboard.press("k")
        assert not page.locator("[name=none]").is_checked()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert axe.run(page).violations_count == 0
        page.keyboard.press("Enter")
        page.get_by_text("The model", exact=True).wait_for()
        assert "0.91" in page.content()
        assert axe.run(page).violations_count == 0
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Where is the protein?").wait_for()
        page.keyboard.press("8")
        page.get_by_role("heading", name="You cannot tell").wait_for()
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="All fields are answered").wait_for()
        assert complaints == []
        page.close()
    with open_review(url) as store:
        assert [(each.reviewer, each.verdict, len(each.labels)) for each in store.answers()] == [
            ("ann", "labelled", 1),
            ("ann", "cannot-tell", 0),
        ]
