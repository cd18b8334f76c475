"""Simulate the three fields that ship with the service: `python docs/_generate/service_examples.py`.

Chosen for their looks among those that the shipped bundle reads correctly (`tests/service/test_examples.py`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

import lociscope.service.examples as shipped
from lociscope.channels import CHANNEL_NAMES
from lociscope.images.scale import resize
from lociscope.labels import LABELS
from lociscope.simulate import VERSION, simulate_field

if TYPE_CHECKING:
    from pathlib import Path

NUMBERS = {"microtubules": 33, "nucleus-and-membrane": 73, "nuclear-membrane": 6}
SEED, SIMULATED_SIZE, SIZE, QUALITY = 2026, 512, 400, 82


def main(folder: Path = shipped.FOLDER) -> None:
    """Writes four grey JPEGs a field, and what was simulated."""
    folder.mkdir(exist_ok=True)
    about = []
    for name, number in NUMBERS.items():
        field = simulate_field(number, seed=SEED, size=SIMULATED_SIZE)
        pixels = np.rint(resize(field.pixels, SIZE, SIZE)).astype(np.uint8)
        for channel, colour in enumerate(CHANNEL_NAMES):
            plane = Image.fromarray(pixels[..., channel])
            plane.save(folder / f"{name}_{colour}.jpg", format="JPEG", quality=QUALITY, optimize=True)
        about.append(
            {
                "id": name,
                "cell_line": field.cell_line,
                "locations": [LABELS[location] for location in field.target],
                "pixel_size": round(field.pixel_size * SIMULATED_SIZE / SIZE, 4),
                "simulator_version": VERSION,
            }
        )
    (folder / "examples.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
