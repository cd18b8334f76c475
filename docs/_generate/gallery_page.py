"""Make a page of every location in its styles: four channels together and the protein alone, simulated.

    python docs/_generate/gallery_page.py -o DIR [--real DIR] [--seed S]

DIR/index.html opens in any browser. With `--real`, the folder of real data (`hpa_dictionary` is looked for in it), HPA's
own picture of each location is beside the simulated ones; such a page is for the screen only and is not passed on.
"""

from __future__ import annotations

import argparse
import csv
import sys
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lociscope.channels import GREEN
from lociscope.errors import LociscopeError
from lociscope.images.render import render_composite
from lociscope.labels import LABELS
from lociscope.simulate import PATTERNS, VERSION, SimulatedField, simulate_field
from lociscope.simulate.specimen import sample_specimen

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDE = 260
"""Side of a tile in pixels of the page."""
SHOWN = 230
"""Pixels of a field of 512 that a tile shows."""
ENOUGH = 500
"""Specimens that are looked through for a style."""
STYLE = """
body { font: 15px/1.4 sans-serif; margin: 2em; background: #111; color: #ddd; max-width: 1700px }
h2 { margin: 1.6em 0 0.2em; font-size: 1.15em } p { margin: 0.2em 0 0.6em; color: #aaa }
figure { display: inline-block; margin: 0 10px 10px 0 } figcaption { color: #aaa; font-size: 0.85em }
img { display: inline-block; margin-right: 3px; width: 230px; height: 230px }
"""


def of_style(location: int, style: str, seed: int) -> int:
    """The number of a field whose specimen has a location in a style, and nothing else labelled."""
    for number in range(location * ENOUGH, (location + 1) * ENOUGH):
        protein = sample_specimen(np.random.default_rng([seed, number, 1]), [location], None).protein
        if protein.roles[0].style == style:
            return 2 * number
    raise LociscopeError(f"No specimen shows {LABELS[location]} as {style!r}. Take another seed.")


def corner(field: SimulatedField, location: int) -> tuple[slice, slice]:
    """The part of a field where most of a location is."""
    size, step = len(field.pixels), 40
    mask = field.locations[location] * field.pixels[..., GREEN].astype(float)
    if location in (16, 17):
        dividing = [cell.cell for cell in field.table if cell.state != "interphase"]
        mask *= np.isin(field.cells, dividing) + 0.001
    starts = range(0, size - SHOWN + 1, step)
    best = max(
        ((y, x) for y in starts for x in starts),
        key=lambda at: mask[at[0] : at[0] + SHOWN, at[1] : at[1] + SHOWN].sum(),
    )
    return slice(best[0], best[0] + SHOWN), slice(best[1], best[1] + SHOWN)


def grey(plane: np.ndarray) -> np.ndarray:
    """The protein alone, its brightest pixels white."""
    top = max(float(np.percentile(plane, 99.7)), 20.0)
    return np.asarray(np.clip(plane / top, 0, 1) ** 0.8 * 255, np.uint8)


def figure(folder: Path, name: str, pictures: list[np.ndarray], caption: str) -> str:
    """Writes pictures and gives the figure that shows them."""
    tags = []
    for number, picture in enumerate(pictures):
        file = f"{name}-{number}.png"
        Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.NEAREST).save(folder / file)
        tags.append(f'<img src="{file}" alt="{escape(caption)}">')
    return f"<figure>{''.join(tags)}<figcaption>{escape(caption)}</figcaption></figure>"


def drawn_figures(folder: Path, location: int, seed: int) -> Iterator[str]:
    """One figure for each style."""
    for style in dict.fromkeys(PATTERNS[location].styles):
        index = of_style(location, style, seed)
        field = simulate_field(index, seed=seed, locations=[location])
        part = field.pixels[corner(field, location)]
        caption = f"{style} · {field.cell_line} · {field.pixel_size:.2f} µm a pixel · field {index}"
        yield figure(folder, f"{location:02d}-{style}", [render_composite(part, SIDE), grey(part[..., GREEN])], caption)


def real_figures(folder: Path, location: int, dictionary: Path | None) -> Iterator[str]:
    """Return HPA's own pictures of a location, at the scale of the simulated ones."""
    if dictionary is None:
        return
    with (dictionary / "labels.csv").open(newline="", encoding="utf-8-sig") as lines:
        rows = [row for row in csv.DictReader(lines) if int(row["class_index"]) == location]
    for number, row in enumerate(rows):
        with Image.open(dictionary / row["file"]) as picture:
            scale = float(row.get("um_per_px") or 0.085) / 0.32
            size = (max(SHOWN, round(picture.width * scale)), max(SHOWN, round(picture.height * scale)))
            pixels = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS))[:SHOWN, :SHOWN]
        name = f"{location:02d}-hpa{number}"
        yield figure(folder, name, [pixels, grey(pixels[..., GREEN])], "HPA's cell dictionary")


def main(words: list[str]) -> int:
    """Writes the page."""
    parser = argparse.ArgumentParser(prog="gallery_page.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the page")
    parser.add_argument("--real", type=Path, help="folder of real data, which holds hpa_dictionary")
    parser.add_argument("--seed", type=int, default=11)
    given = parser.parse_args(words)
    dictionary = given.real / "hpa_dictionary" if given.real else None
    if dictionary is not None and not (dictionary / "labels.csv").is_file():
        print(f"gallery_page: no '{dictionary / 'labels.csv'}'. Leave --real out, or name its folder.", file=sys.stderr)
        return 1
    given.out.mkdir(parents=True, exist_ok=True)
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>The 28 locations</title><style>{STYLE}</style>',
        f"<h1>The 28 locations, simulator version {VERSION}</h1>",
        "<p>Left microtubules red, protein green, nucleus blue; right the protein alone.</p>",
    ]
    for location, name in enumerate(LABELS):
        what = (PATTERNS[location].render.__doc__ or "").strip()
        parts.append(f"<h2>{location} {escape(name)}</h2><p>{escape(what)}</p>")
        parts += real_figures(given.out, location, dictionary)
        parts += drawn_figures(given.out, location, given.seed)
    (given.out / "index.html").write_text("\n".join(parts) + "</html>\n", encoding="utf-8")
    print(given.out / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
