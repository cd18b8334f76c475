"""Draws docs/images/cells.png, the picture of the README: simulated fields with the protein in different places.

python docs/_generate/cells_picture.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lociscope.images.render import render_composite
from lociscope.labels import LABELS
from lociscope.simulate import simulate_field

OUT = Path(__file__).parents[1] / "images" / "cells.png"
PLACES = (0, 2, 7, 23, 12, 14, 21, 25)
SIDE, COLUMNS, CAPTION, GAP = 220, 4, 20, 6
SHOWN = 0.55
"""Share of the field's side that a tile shows, so that cells are large enough to see."""


def tile(place: int) -> Image.Image:
    """One field with its caption."""
    field = simulate_field(300 + place, seed=2018, size=512, places=[place], cell_line=None)
    part = round(SHOWN * len(field.pixels))
    picture = Image.new("RGB", (SIDE, SIDE + CAPTION), "white")
    picture.paste(Image.fromarray(render_composite(field.pixels[:part, :part], SIDE)), (0, 0))
    ImageDraw.Draw(picture).text((2, SIDE + 3), LABELS[place], fill="black", font=ImageFont.load_default(13))
    return picture


def main() -> None:
    """Draws the sheet."""
    rows = -(-len(PLACES) // COLUMNS)
    size = (COLUMNS * (SIDE + GAP) - GAP, rows * (SIDE + CAPTION + GAP) - GAP)
    sheet = Image.new("RGB", size, "white")
    for number, place in enumerate(PLACES):
        row, column = divmod(number, COLUMNS)
        sheet.paste(tile(place), (column * (SIDE + GAP), row * (SIDE + CAPTION + GAP)))
    OUT.parent.mkdir(exist_ok=True)
    sheet.quantize(160, dither=Image.Dither.NONE).save(OUT, optimize=True)
    print(f"{OUT}: {OUT.stat().st_size >> 10} KiB, mean {np.asarray(sheet).mean():.1f}")


if __name__ == "__main__":
    main()
