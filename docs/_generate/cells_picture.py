"""Make docs/images/predictions.webp, the picture of the README: simulated fields and what is predicted for them.

    python docs/_generate/cells_picture.py

The predictions are those of the shipped bundle; neither fields nor seeds were chosen by them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

import lociscope
from lociscope.images.render import render_composite
from lociscope.labels import LABELS
from lociscope.simulate import simulate_field

if TYPE_CHECKING:
    from lociscope.predict.predictor import Predictor

OUT = Path(__file__).parents[1] / "images" / "predictions.webp"
SHOWN = (0, 2, 7, 23, 12, 14, 21, 25)
"""Class numbers, one field each."""
SIDE, COLUMNS, CAPTION, GAP = 300, 4, 48, 8
CROP = 0.55
"""Share of the field's side that a tile shows, so that cells are large enough to see."""
RIGHT, WRONG = "#00574b", "#a4262c"


def make_tile(number: int, predictor: Predictor) -> Image.Image:
    """Return one field with its true location and the predicted ones."""
    field = simulate_field(300 + number, seed=2018, size=512, locations=[number], cell_line=None)
    predictions = predictor.predict(field.pixels, pixel_size=field.pixel_size)
    reported = [f"{LABELS[each]} {predictions.probability[0, each]:.2f}" for each in predictions.predicted[0]]
    crop = round(CROP * len(field.pixels))
    tile = Image.new("RGB", (SIDE, SIDE + CAPTION), "white")
    tile.paste(Image.fromarray(render_composite(field.pixels[:crop, :crop], SIDE)), (0, 0))
    pen = ImageDraw.Draw(tile)
    pen.text((2, SIDE + 4), f"simulated: {LABELS[number]}", fill="black", font=ImageFont.load_default(16))
    right = tuple(predictions.predicted[0]) == (number,)
    text = "predicted: " + (", ".join(reported) or "none")
    size = next(size for size in range(16, 6, -1) if pen.textlength(text, ImageFont.load_default(size)) <= SIDE - 4)
    pen.text((2, SIDE + 25), text, fill=RIGHT if right else WRONG, font=ImageFont.load_default(size))
    return tile


def main() -> None:
    """Write the sheet."""
    predictor = lociscope.open_bundle()
    rows = -(-len(SHOWN) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (SIDE + GAP) - GAP, rows * (SIDE + CAPTION + GAP) - GAP), "white")
    for index, number in enumerate(SHOWN):
        row, column = divmod(index, COLUMNS)
        sheet.paste(make_tile(number, predictor), (column * (SIDE + GAP), row * (SIDE + CAPTION + GAP)))
    sheet.save(OUT, quality=80, method=6)
    print(f"{OUT}: {OUT.stat().st_size >> 10} KiB")


if __name__ == "__main__":
    main()
