"""The pages of jobs and fields in a real browser: accessible, complete, light, usable by keyboard and on a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

MAX_BYTES = 200_000
WAIT = 60_000


@pytest.fixture(scope="module")
def address(tiny_bundle: Path, start_process: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with start_process("--bundle", tiny_bundle, "--store", tmp_path_factory.mktemp("store")) as (_, address):
        yield address


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Any]:
    """`visit("/", width=390)` opens a page, which must not complain; `.weight` is what it has loaded, in bytes."""
    contexts, complaints = [], []

    def go(path: str = "/", width: int = 1280, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address + path)
        return page

    yield go
    for context in contexts:
        context.close()
    assert [text for text in complaints if "status of 4" not in text] == []


@pytest.fixture
def plate(make: Any, tmp_path: Path) -> Path:
    """A zip of four fields of a plate, and one that cannot be read."""
    files = {name: data for k in range(4) for name, data in make.planes(f"P1_B0{k + 1}_1", k, 64).items()}
    path = tmp_path / "plate.zip"
    path.write_bytes(make.zipped(files | {"P1_C09_1_red.png": b"no picture"}))
    return path


@pytest.fixture
def job(visit: Any, plate: Path) -> str:
    """The path of a finished job, sent by the page."""
    page = visit()
    page.set_input_files("#files", plate)
    page.get_by_text("Options for incomplete file names").click()
    page.get_by_label("Form of the names").fill("{plate}_{well}_{site}_{channel}")
    page.get_by_role("button", name="Predict", exact=True).click()
    page.wait_for_url("**/jobs/*")
    page.locator(".job[data-state=done]").wait_for()
    address: str = page.url
    return "/jobs/" + address.rpartition("/")[2].partition("?")[0]


def find_violations(page: Page) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")
    results = axe.Axe().run(page)
    return [f"{each['id']}: {each['nodes'][0]['html'][:120]}" for each in results.response["violations"]]


def weigh(page: Page) -> int:
    """Bytes that a page and what it shows at first have, as they are sent."""
    script = """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
      .reduce((sum, each) => sum + each.encodedBodySize, 0)"""
    return int(page.evaluate(script))


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_pages_are_accessible_and_fit(visit: Any, job: str, width: int, scheme: str) -> None:
    for path in ("/", job, f"{job}/fields/1", f"{job}/fields/4", "/jobs", "/examples/microtubules"):
        page = visit(path, width, color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert find_violations(page) == [], path


def test_pages_are_light(visit: Any, job: str) -> None:
    for path in ("/", job, f"{job}/fields/1", "/examples/microtubules"):
        page = visit(path)
        page.wait_for_load_state("networkidle")
        assert 0 < weigh(page) <= MAX_BYTES, path


def test_a_job_shows_its_fields_its_plate_and_what_failed(visit: Any, job: str) -> None:
    page = visit(job)
    assert page.locator(".tiles .tile").count() == 5
    assert page.locator("table.heat td a").count() == 4
    assert page.get_by_role("heading", name="Fields that cannot be read").is_visible()
    page.get_by_label("Order").select_option("certain")
    page.wait_for_url("**sort=certain**")
    with page.expect_download() as started:
        page.get_by_role("link", name="Parquet").click()
    assert started.value.suggested_filename == "results.parquet"
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete files and results now").click()
    page.wait_for_url("**/jobs")
    assert visit(job).get_by_text("This job was deleted").is_visible()


def test_a_field_is_zoomed_and_its_cells_are_shown(visit: Any, job: str) -> None:
    page = visit(f"{job}/fields/1")
    canvas = page.locator("#canvas")
    canvas.focus()
    before = page.locator("#zoomed").inner_text()
    page.keyboard.press("+")
    page.wait_for_function("(text) => document.getElementById('zoomed').textContent !== text", arg=before)
    page.get_by_label("Colours", exact=True).select_option("grey")
    page.get_by_role("button", name="Whole field").click()
    page.get_by_label("Evidence for").select_option(index=1)
    page.get_by_text("Orange: where the evidence").wait_for()
    page.get_by_role("button", name="Find and outline the cells").click()
    page.locator("#cells-said", has_text="cell").wait_for()
    page.get_by_label("Keyboard shortcuts").uncheck()
    page.keyboard.press("r")
    assert page.locator(".switches input[data-channel=red]").is_checked()


def test_the_page_asks_for_unknown_channels(visit: Any, make: Any, tmp_path: Path) -> None:
    names = {"red": "w1", "green": "w2", "blue": "w3", "yellow": "w4"}
    for name, data in make.planes("q").items():
        (tmp_path / f"q_{names[name.rpartition('_')[2].removesuffix('.png')]}.png").write_bytes(data)
    page = visit()
    page.set_input_files("#files", sorted(tmp_path.glob("q_*.png")))
    page.get_by_role("button", name="Predict", exact=True).click()
    page.get_by_role("heading", name="Which channel is which?").wait_for()
    assert find_violations(page) == []
    for label, text in zip(("Microtubules", "Protein", "Nucleus", "ER"), names.values(), strict=True):
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_role("button", name="Predict", exact=True).click()
    page.wait_for_url("**/jobs/*/fields/0")
    page.get_by_role("heading", name="All 28 locations").wait_for()


def test_without_script_a_job_is_sent_and_read(visit: Any, plate: Path) -> None:
    page = visit(java_script_enabled=False)
    page.set_input_files("#files", plate)
    page.get_by_role("button", name="Predict", exact=True).click()
    page.locator(".job").wait_for()
    page.locator(".tile a").first.click()
    page.get_by_text("All 28 locations").wait_for(timeout=WAIT)
    assert page.locator(".layer img").count() == 4
