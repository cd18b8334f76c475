"""Makes this folder's files anew: ten simulated fields as PNG, and what the shipped bundle says of them.

python tests/golden/make.py            the pictures and the probabilities
python tests/golden/make.py --keep     the probabilities only, after the bundle was replaced
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import lociscope
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.read import read_field
from lociscope.images.io.write import write_planes
from lociscope.simulate import simulate_field

HERE = Path(__file__).parent
FIELDS = 10


def main() -> None:
    """Writes the files."""
    if "--keep" not in sys.argv:
        for number in range(FIELDS):
            field = simulate_field(2 * number, seed=1998, size=128)
            write_planes(HERE, f"golden-{number}", field.pixels)
    predictor = lociscope.open_bundle()
    made = predictor.predict(read_field(source) for source in find_fields([HERE])[0])
    about = {
        "bundle": predictor.bundle.sha256,
        "probability": {
            name: [round(float(p), 6) for p in row] for name, row in zip(made.ids, made.probability, strict=True)
        },
        "predicted": dict(zip(made.ids, made.predicted, strict=True)),
    }
    (HERE / "golden.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
