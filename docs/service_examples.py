"""Draws the three fields that ship with the service: `python docs/service_examples.py`.

Two that the shipped bundle reads as they were drawn, and one that it half misreads: that happens, and is seen there.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image

import lociscope.service.examples as shipped
from lociscope.channels import CHANNEL_NAMES
from lociscope.images.scale import resize
from lociscope.labels import LABELS
from lociscope.simulate import draw_field

NUMBERS = {"one-place": 26, "two-places": 44, "half-misread": 48}
SEED, DRAWN_SIZE, SIZE, QUALITY = 2026, 512, 400, 82


def main(folder: Path = shipped.FOLDER) -> None:
    """Writes four grey JPEGs a field, and what was drawn."""
    folder.mkdir(exist_ok=True)
    about = []
    for name, number in NUMBERS.items():
        field = draw_field(number, seed=SEED, size=DRAWN_SIZE)
        pixels = np.rint(resize(field.pixels, SIZE, SIZE)).astype(np.uint8)
        for channel, colour in enumerate(CHANNEL_NAMES):
            plane = Image.fromarray(pixels[..., channel])
            plane.save(folder / f"{name}_{colour}.jpg", format="JPEG", quality=QUALITY, optimize=True)
        about.append(
            {
                "id": name,
                "cell_line": field.cell_line,
                "drawn": [LABELS[place] for place in field.target],
                "pixel_size": round(field.pixel_size * DRAWN_SIZE / SIZE, 4),
            }
        )
    (folder / "examples.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
