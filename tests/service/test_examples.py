"""The shipped examples: small, whole, and what the script draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.channels import CHANNEL_NAMES
from lociscope.images.io.read import read_field
from lociscope.labels import LABELS
from lociscope.predict.predictor import open_bundle
from lociscope.service.examples import FOLDER, example_source, examples
from lociscope.simulate import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

MOST_BYTES = 400_000


def test_three_whole_fields_within_their_size() -> None:
    assert len(examples()) == 3
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MOST_BYTES
    assert len(list(FOLDER.iterdir())) == 1 + 3 * len(CHANNEL_NAMES)
    for example in examples():
        field = read_field(example_source(example))
        assert field.pixels.shape == (400, 400, 4)
        assert field.pixel_size == example.pixel_size
        assert set(example.locations) <= set(LABELS)


def test_they_are_of_the_present_simulator_version() -> None:
    assert {each.simulator_version for each in examples()} == {VERSION}, "run docs/_generate/service_examples.py"


def test_the_shipped_bundle_reads_them_correctly() -> None:
    predicted = open_bundle().predict([read_field(example_source(example)) for example in examples()])
    places = [{LABELS[each] for each in row} for row in predicted.predicted]
    found = dict(zip(predicted.ids, places, strict=True))
    assert found == {example.id: {*example.locations} for example in examples()}


@pytest.mark.slow
def test_the_examples_can_be_made_again(load_script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    load_script("docs/_generate/service_examples").main(tmp_path)
    assert (tmp_path / "examples.json").read_bytes() == (FOLDER / "examples.json").read_bytes()
    from PIL import Image

    for path in FOLDER.glob("*.jpg"):
        with Image.open(path) as shipped, Image.open(tmp_path / path.name) as drawn:
            difference = np.abs(np.asarray(shipped, int) - np.asarray(drawn, int))
        assert difference.mean() < 1, path.name  # another build of libjpeg may round otherwise
