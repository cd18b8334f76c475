"""The shipped bundle says of ten stored fields what it said when it was shipped.

A change here means that reading, scaling or the bundle has changed: say so in the CHANGELOG, and make the
figures anew with `python tests/golden/make.py --keep`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import lociscope
from lociscope.artifacts.bundle import DEFAULT_BUNDLE
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.read import read_field

GOLDEN = Path(__file__).parent / "golden"
SHIPPED_BYTES = 10_000_000


def test_the_shipped_bundle_says_what_it_said() -> None:
    about = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))
    predictor = lociscope.open_bundle()
    made = predictor.predict(read_field(source) for source in find_fields([GOLDEN])[0])
    assert predictor.bundle.sha256 == about["bundle"]
    assert made.ids == list(about["probability"])
    np.testing.assert_allclose(made.probability, list(about["probability"].values()), atol=2e-5)
    assert [list(places) for places in made.predicted] == list(about["predicted"].values())


def test_the_shipped_bundle_is_small_and_says_what_it_is_not() -> None:
    assert sum(path.stat().st_size for path in DEFAULT_BUNDLE.iterdir()) <= SHIPPED_BYTES
    card = lociscope.open_bundle().bundle.card
    assert "simulated" in card.limits
    assert card.metrics.keys() >= {"macro_f1", "lrap"}
    assert card.provenance["git"]
