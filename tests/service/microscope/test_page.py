"""The live page in a real browser: two people, a phone, no script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lociscope.service.microscope.app import create_microscope_app
from lociscope.service.server import serve_beside
from lociscope.service.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from lociscope.microscope.board import Board
    from lociscope.microscope.loop import SteeringLoop

pytestmark = pytest.mark.slow


@pytest.fixture
def visit(browser: Browser, board: Board, loop: SteeringLoop, tiny_bundle: Path) -> Iterator[Any]:
    """`visit(width=390)` opens the page of a run with two proposals; it must not complain."""
    settings = Settings(bundle=tiny_bundle, port=0, workers=1)
    contexts, complaints = [], []
    with serve_beside(create_microscope_app(settings, board), settings) as address:

        def go(width: int = 1280, **options: Any) -> Page:
            context = browser.new_context(viewport={"width": width, "height": 800}, **options)
            contexts.append(context)
            page = context.new_page()
            page.set_default_timeout(60_000)
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.goto(address)
            return page

        yield go
        for context in contexts:
            context.close()
    assert [text for text in complaints if "status of 409" not in text] == []


def test_of_two_people_the_second_is_told(visit: Any, loop: SteeringLoop) -> None:
    first, second = visit(), visit()
    second.evaluate("window.EventSource = undefined")
    first.get_by_label("Your name").fill("Ada")
    for page in (first, second):
        page.route("**/events", lambda route: route.abort())
    second.locator("#accept-A1_01-1").wait_for()
    loop.proposals.answer("A1_01-1", accept=True, by="Ada")
    second.locator("#accept-A1_01-1").click(force=True)
    second.get_by_text("was accepted by Ada").wait_for()
    second.get_by_text("1 proposal waits").wait_for()


def test_answers_carry_the_name_and_the_page_follows(visit: Any, loop: SteeringLoop) -> None:
    page = visit()
    page.get_by_label("Your name").fill("Ada")
    page.locator("#reject-A1_02-1").click()
    page.get_by_text("1 proposal waits").wait_for()
    assert next(each for each in loop.proposals.all() if each.id == "A1_02-1").by == "Ada"
    page.get_by_role("button", name="Pause after this field").click()
    page.get_by_text("Paused").wait_for()
    assert loop.scheduler.paused
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Stop the run").click()
    page.get_by_text("Stopping after the current image").wait_for()
    assert loop.stop_requested


def test_without_javascript_the_forms_work(visit: Any, loop: SteeringLoop) -> None:
    page = visit(java_script_enabled=False)
    page.locator("#accept-A1_01-1").click()
    page.get_by_text("1 proposal waits").wait_for()
    page.get_by_role("button", name="Pause after this field").click()
    page.get_by_role("button", name="Resume").wait_for()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_fits_and_is_accessible(visit: Any, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed").Axe()
    page = visit(width=width, color_scheme=scheme)
    page.locator(".watched img").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = axe.run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    assert [(each["id"], each["nodes"][0]["html"]) for each in found.response["violations"]] == []
