"""The built documentation as a reader sees it: every page fits, has enough contrast, and links only to what exists."""

from __future__ import annotations

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow

TOO_WIDE = """
() => {
  const room = document.documentElement.clientWidth;
  const scrolls = (e) => e.matches("table") && e.scrollWidth > e.clientWidth + 1;
  const wide = [...document.querySelectorAll(".md-content table, .md-content img")]
    .filter((e) => scrolls(e) || e.getBoundingClientRect().right > room + 1)
    .map((e) => `${e.tagName} ${e.textContent.trim().slice(0, 40)}`);
  return document.documentElement.scrollWidth > room ? ["page", ...wide] : wide;
}
"""


class Anchors(HTMLParser):
    """Collects the ids of a page, and where its links and images lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids |= {values["id"] or ""} if "id" in values else set()
        self.links += [values[name] or "" for name in ("href", "src") if values.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the documentation; a warning of MkDocs fails it."""
    pytest.importorskip("mkdocs", reason="the documentation's tools are not installed")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-d", str(folder)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def pages_of(site: Path) -> list[Path]:
    return [page for page in sorted(site.rglob("*.html")) if page.name != "404.html"]


def test_links_and_anchors_exist(site: Path) -> None:
    pages = {page: Anchors(page.read_text(encoding="utf-8")) for page in pages_of(site)}
    assert len(pages) > 30
    broken = []
    for page, anchors in pages.items():
        for link in anchors.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            known = pages[target].ids if target in pages else set()
            if not target.exists() or (parts.fragment and target in pages and unquote(parts.fragment) not in known):
                broken.append(f"{page.relative_to(site)}: {link}")
    assert broken == []


@pytest.mark.parametrize("width", [1280, 390])
def test_no_table_is_wider_than_its_page(site: Path, browser: Browser, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    wide = {}
    for path in pages_of(site):
        page.goto(path.as_uri())
        if found := page.evaluate(TOO_WIDE):
            wide[str(path.relative_to(site))] = found
    context.close()
    assert wide == {}
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(site: Path, browser: Browser, scheme: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed").Axe()
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    violations = {}
    for path in pages_of(site):
        page.goto(path.as_uri())
        found = axe.run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}).response["violations"]
        if found:
            violations[str(path.relative_to(site))] = [
                (each["id"], len(each["nodes"]), each["nodes"][0]["html"][:150]) for each in found
            ]
    context.close()
    assert violations == {}


def test_the_copy_button_copies_commands_without_prompt_and_output(site: Path, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto((site / "tutorial.html").as_uri())
    blocks = page.evaluate("""
        () => [...document.querySelectorAll(".language-console code")].map((block) => {
          block.setAttribute("data-md-copying", "");
          const text = block.innerText.trim();
          block.removeAttribute("data-md-copying");
          return text;
        })
    """)
    context.close()
    assert blocks
    assert all(block.startswith("lociscope ") and "$" not in block for block in blocks)
