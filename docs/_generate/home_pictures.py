"""Make the pictures of the documentation's home page: a report, the service's page, and a run of a microscope.

    python docs/_generate/home_pictures.py

All fields are simulated. Needs every extra, playwright and the system's Chromium; the microscope takes minutes.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import sync_playwright

from lociscope.images.discovery.sources import FieldSource, find_fields
from lociscope.images.io.read import read_field
from lociscope.images.render import render_composite
from lociscope.labels import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGES = Path(__file__).parents[1] / "images"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LOCISCOPE = [sys.executable, "-m", "lociscope", "-q"]
WIDTH, HEIGHT, QUALITY = 1000, 750, 80
SIDE, GAP, CAPTION = 500, 8, 60


def run(*words: object) -> None:
    """Run a command of lociscope to its end."""
    subprocess.run([*LOCISCOPE, *map(str, words)], check=True, stdout=subprocess.DEVNULL)  # noqa: S603


@contextmanager
def serve() -> Iterator[str]:
    """Serve the shipped bundle, and yield the address of its page."""
    command = [*LOCISCOPE, "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:  # noqa: S603
        if started.stdout is None:
            raise AssertionError
        yield started.stdout.readline().strip()
        started.terminate()


def make_report(folder: Path) -> str:
    """Evaluate the shipped bundle on simulated fields, and return the report's address."""
    run("simulate", "atlas", folder / "atlas", "--fields", 120, "--size", 256, "--seed", 7, "--balance", 0.5)
    run("predict", folder / "atlas" / "train", "-o", folder / "predictions.parquet")
    run("evaluate", folder / "predictions.parquet", folder / "atlas" / "train.csv", "-o", folder / "evaluation")
    return (folder / "evaluation" / "report.html").as_uri()


def show_run(acquired: Path) -> Image.Image:
    """Show an overview field of a run, and a field that its rule imaged at a higher magnification."""
    sources = {source.id: source for source in find_fields([acquired / "catalog.parquet"])[0]}
    lines = (acquired / "decisions.jsonl").read_text(encoding="utf-8").splitlines()
    decisions = [json.loads(line) for line in lines]
    overview = next(each for each in decisions if each["rules"] and each["rules"][0]["fields"])
    closer = next(each for each in decisions if each["of"] == overview["field"])
    sheet = Image.new("RGB", (2 * SIDE + GAP, SIDE + CAPTION), "white")
    for column, (decision, text) in enumerate(
        (
            (overview, "The rule asks for a closer look."),
            (closer, f"Simulated: {', '.join(LABELS[number] for number in overview['target'])}."),
        )
    ):
        left = column * (SIDE + GAP)
        likeliest = max(range(len(LABELS)), key=decision["probability"].__getitem__)
        title = f"{decision['objective']}: {LABELS[likeliest]} {decision['probability'][likeliest]:.2f}"
        sheet.paste(render(sources[decision["field"]], SIDE), (left, 0))
        pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(20)
        pen.text((left + 4, SIDE + 6), title, fill="black", font=font)
        pen.text((left + 4, SIDE + 31), text, fill="black", font=font)
    return sheet


def render(source: FieldSource, size: int) -> Image.Image:
    """Return a field as the eye sees it."""
    return Image.fromarray(render_composite(read_field(source).pixels, size))


def main() -> None:
    """Write the three pictures."""
    os.environ["NO_COLOR"] = "1"
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(make_report(folder))
        shots: dict[str, Image.Image] = {"report": Image.open(io.BytesIO(page.screenshot()))}
        with serve() as address:
            page.goto(address)
            page.locator("a[href*='examples/']").first.click()
            page.wait_for_load_state("networkidle")
            shots["service"] = Image.open(io.BytesIO(page.screenshot()))
        browser.close()
        run("microscope", "run", "simulated", "-o", folder / "acquired")
        shots["microscope"] = show_run(folder / "acquired")
    for kind, picture in shots.items():
        file = IMAGES / f"home-{kind}.webp"
        picture.convert("RGB").save(file, quality=QUALITY, method=6)
        print(f"{file}: {file.stat().st_size >> 10} KiB")


if __name__ == "__main__":
    main()
