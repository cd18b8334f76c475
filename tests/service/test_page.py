"""The page in a real browser: upload, switches, errors, the keyboard; without script, in the dark, on a phone."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

Open = Callable[..., "Page"]
CONTRAST = """
() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, w, i) => {
    const v = c[i] / 255; return sum + w * (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  }, 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const e of document.querySelectorAll("h1, h2, h3, p, small, a, b, label, th, td, li, summary, button, code")) {
    if (!e.textContent.trim() || !e.checkVisibility() || e.closest(".unseen, .skip")) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) low.push(`${e.tagName}.${e.className} ${e.textContent.trim().slice(0, 30)}`);
  }
  return low;
}
"""


@pytest.fixture(scope="module")
def address(tiny_bundle: Path, start_process: Any) -> Iterator[str]:
    with start_process("--bundle", tiny_bundle, "--max-mb", 1) as (_, address):
        yield address


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Open]:
    """`visit("/", width=390, script=False)` opens a page; none may ask another address, or complain."""
    contexts, said, asked = [], [], []

    def go(path: str = "/", width: int = 1280, scheme: str = "light", script: bool = True) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme=scheme,  # type: ignore[arg-type]
            java_script_enabled=script,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address + path)
        return page

    yield go
    for context in contexts:
        context.close()
    assert [text for text in said if "status of 4" not in text] == []
    assert [url for url in asked if not url.startswith((address, "data:"))] == []


@pytest.fixture
def files(make: Any, tmp_path: Path) -> list[Path]:
    """One field on disk."""
    for name, data in make.planes("b7").items():
        (tmp_path / name).write_bytes(data)
    return sorted(tmp_path.glob("b7_*.png"))


def shown(page: Page, channel: str) -> bool:
    style = f"getComputedStyle(document.querySelector('.layer[data-channel={channel}]')).visibility"
    return bool(page.evaluate(style) == "visible")


def channels(page: Page) -> str:
    return "".join(name[0] for name in ("red", "green", "blue", "yellow") if shown(page, name))


def test_files_are_chosen_sent_and_answered(visit: Open, files: list[Path]) -> None:
    page = visit()
    page.set_input_files("#files", files)
    assert page.locator("#chosen li").count() == 4
    assert page.locator("#chosen i[data-channel=yellow]").count() == 1
    assert page.locator("#said").inner_text() == "4 files selected."
    page.get_by_role("button", name="Predict").click()
    page.wait_for_url("**/predict")
    assert page.title() == "b7 · lociscope"
    assert page.locator("h1").inner_text().startswith(("Very likely", "Likely", "Possibly", "Unsure"))
    assert page.locator("table.bars tbody th[scope=row]").count() == 28
    assert page.get_by_role("heading", name="Warnings about this field").is_visible()
    assert page.get_by_text("For tests.").is_visible()
    loaded = "[...document.querySelectorAll('.layer img')].every((each) => each.complete && each.naturalWidth > 0)"
    assert page.evaluate(loaded)
    assert channels(page) == "rgb"


def test_channels_are_switched_by_mouse_and_keys(visit: Open) -> None:
    page = visit("/examples/microtubules")
    page.locator(".switches").get_by_text("Microtubules").click()
    assert channels(page) == "gb"
    assert page.locator("#announcement").inner_text() == "microtubules hidden"
    for key, left in (("r", "rgb"), ("g", "rb"), ("b", "r"), ("y", "ry"), ("Y", "r"), ("Control+b", "r")):
        page.keyboard.press(key)
        assert channels(page) == left, key
    page.get_by_text("Options for incomplete file names").click()
    page.get_by_label("Channel names").press_sequentially("rgby")
    assert channels(page) == "r"


def test_with_the_keyboard_alone(visit: Open) -> None:
    page = visit()
    focused = "document.activeElement.id || document.activeElement.textContent.trim()"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "Skip to content"
    assert page.get_by_text("Skip to content").bounding_box()["x"] > 0  # type: ignore[index]
    for _ in range(4):
        page.keyboard.press("Tab")
    assert page.evaluate(focused) == "files"
    assert page.evaluate("getComputedStyle(document.querySelector('.drop')).outlineStyle") == "solid"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "Predict"
    page.locator(".examples a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/examples/microtubules")
    page.locator(".switches input").nth(3).focus()
    page.keyboard.press("Space")
    assert channels(page) == "rgby"


def test_an_error_is_shown_on_the_page_and_focused(visit: Open, files: list[Path]) -> None:
    page = visit()
    page.set_input_files("#files", files[:1])
    page.get_by_role("button", name="Predict").click()
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "Field 'b7' has no _red file (found blue). Add 'b7_red.png'." in alert.inner_text()
    assert page.evaluate("document.activeElement.id") == "alert"
    assert page.title().startswith("Not predicted")
    page.set_input_files("#files", [path for path in files if "yellow" not in path.name])
    page.get_by_role("button", name="Predict").click()
    page.get_by_text("or pass yellow under 'If a channel is missing'").wait_for()
    page.get_by_label("If a channel is missing").select_option("yellow")
    page.set_input_files("#files", [path for path in files if "yellow" not in path.name])
    page.get_by_role("button", name="Predict").click()
    page.get_by_text("The endoplasmic reticulum channel was not imaged").wait_for()


def test_too_many_bytes_are_reported_before_they_are_sent(visit: Open, tmp_path: Path) -> None:
    (tmp_path / "a1_red.png").write_bytes(bytes(2 << 20))
    page = visit()
    page.set_input_files("#files", tmp_path / "a1_red.png")
    page.get_by_role("button", name="Predict").click()
    assert page.locator("#said").inner_text() == (
        "These files are 2.00 MB; this service accepts 1.00 MB. Send fewer fields at a time."
    )
    assert not page.url.endswith("/predict")


def test_files_are_dropped_anywhere(visit: Open, files: list[Path]) -> None:
    page = visit()
    drop = """(names) => {
      const data = new DataTransfer();
      for (const name of names) data.items.add(new File(["x"], name));
      for (const kind of ["dragover", "drop"])
        document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""
    page.evaluate(drop, [path.name for path in files])
    assert page.locator("#chosen li").count() == 4
    assert page.evaluate("document.activeElement.textContent") == "Predict"
    assert page.evaluate("document.getElementById('files').files.length") == 4


def test_all_of_it_works_without_script(visit: Open, files: list[Path], tmp_path: Path) -> None:
    page = visit(script=False)
    page.set_input_files("#files", files)
    page.get_by_role("button", name="Predict").click()
    page.wait_for_url("**/predict")
    page.locator(".switches").get_by_text("Protein").click()
    visible = page.locator(".layer[data-channel=green]").evaluate("(each) => getComputedStyle(each).visibility")
    assert visible == "hidden"
    (tmp_path / "big.tif").write_bytes(bytes(2 << 20))
    page.set_input_files("#files", tmp_path / "big.tif")
    page.get_by_role("button", name="Predict").click()
    page.get_by_text("This upload is larger than the 1 MB that this service accepts.").wait_for()


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_nothing_is_cut_off_or_faint(visit: Open, width: int, scheme: str) -> None:
    for path in ("/", "/examples/nuclear-membrane", "/docs", "/nope"):
        page = visit(path, width, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.evaluate(CONTRAST) == [], path


@pytest.fixture
def prefixed(address: str) -> Iterator[str]:
    """The address of a proxy that serves the page under `/lab/cells/`, and tells the service nothing of that."""

    class Stripping(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            service = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
            if not self.path.startswith("/lab/cells/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            service.request(self.command, self.path.removeprefix("/lab/cells"), body, dict(self.headers))
            answer = service.getresponse()
            data = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
            service.close()

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Stripping) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}/lab/cells/"
        proxy.shutdown()
        thread.join()


def test_all_of_it_works_under_a_prefix(browser: Browser, prefixed: str, files: list[Path]) -> None:
    asked: list[str] = []
    page = browser.new_page()
    page.on("response", lambda answer: asked.append(f"{answer.status} {answer.url}"))
    page.goto(prefixed)
    page.set_input_files("#files", files)
    page.get_by_role("button", name="Predict").click()
    page.wait_for_url(f"{prefixed}predict")
    assert page.title() == "b7 · lociscope"
    page.get_by_role("link", name="Examples").click()
    page.get_by_role("link", name="Microtubules").click()
    page.wait_for_url(f"{prefixed}examples/microtubules")
    page.keyboard.press("r")
    assert channels(page) == "gb"
    page.get_by_role("link", name="Interface").click()
    page.get_by_text(f"{prefixed}predict").wait_for()
    page.close()
    assert len(asked) >= 15
    assert [each for each in asked if not each.startswith((f"200 {prefixed}", "200 data:"))] == []
