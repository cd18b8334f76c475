"""The predictor: arrays and Fields in, Predictions out; other inputs raise an error."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fixtures.pixels import patches

import lociscope
from lociscope.errors import LociscopeError
from lociscope.images.discovery.naming import Rules
from lociscope.images.discovery.sources import find_fields
from lociscope.images.field import Field
from lociscope.images.io.read import read_field
from lociscope.predict.predictor import BATCH_SIZE, Predictor, batched, open_bundle
from lociscope.warnings import FieldWarning, WarningKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return open_bundle(tiny_bundle)


def noise(*shape: int, kind: type[np.generic] = np.uint8) -> np.ndarray:
    return (patches(shape) if len(shape) > 2 else np.zeros(shape)).astype(kind)


def test_one_array_several_and_fields_agree(predictor: Predictor) -> None:
    stack = noise(3, 32, 32, 4)
    several = predictor.predict(stack)
    assert several.ids == ["0", "1", "2"]
    assert several.probability.shape == (3, 28)
    assert several.embedding is None
    np.testing.assert_allclose(predictor.predict(stack[1]).probability, several.probability[1:2], atol=1e-6)
    fields = [Field(name, pixels) for name, pixels in zip("abc", stack, strict=True)]
    named = predictor.predict(iter(fields))
    assert named.ids == ["a", "b", "c"]
    np.testing.assert_array_equal(named.probability, several.probability)
    np.testing.assert_allclose(predictor.predict(fields[2]).probability, several.probability[2:], atol=1e-6)


def test_more_fields_than_one_call_takes(predictor: Predictor) -> None:
    stack = noise(BATCH_SIZE + 3, 16, 16, 4)
    together = predictor.predict(stack, embeddings=True)
    one_by_one = [predictor.predict(pixels).probability[0] for pixels in stack]
    np.testing.assert_allclose(together.probability, one_by_one, atol=1e-5)
    assert together.embedding is not None
    assert together.embedding.shape == (BATCH_SIZE + 3, 4)


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32, np.float64])
def test_the_type_of_pixels_does_not_matter(predictor: Predictor, kind: type[np.generic]) -> None:
    pixels = noise(32, 32, 4)
    pixels[0, 0] = 255
    scaled = pixels.astype(kind) * (257 if kind is np.uint16 else 1)
    expected = predictor.predict(pixels).probability
    np.testing.assert_allclose(predictor.predict(scaled).probability, expected, atol=0.01)


def test_locations_reach_their_threshold(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    made = open_bundle(str(make_bundle(tmp_path / "b", threshold=0.9))).predict(noise(1, 16, 16, 4))
    assert made.predicted == [tuple(np.flatnonzero(made.probability[0] >= 0.9))]
    assert made.status == ["ok"]
    none = open_bundle(make_bundle(tmp_path / "c", threshold=1.0)).predict(noise(1, 16, 16, 4))
    assert (none.predicted, none.status) == ([()], ["unsure"])


def test_an_empty_plane_is_predicted_and_noticed(predictor: Predictor) -> None:
    dark = noise(32, 32, 4)
    dark[..., 1] = 0
    assert predictor.predict(dark, pixel_size=164 / 32).warnings == [
        (FieldWarning(WarningKind.EMPTY_CHANNEL, ("green",)),)
    ]
    black = predictor.predict(np.zeros((16, 16, 4), np.uint16), pixel_size=164 / 16)
    assert len(black.warnings[0]) == 4
    assert np.isfinite(black.probability).all()


def test_no_field_at_all_gives_no_row(predictor: Predictor) -> None:
    assert len(predictor.predict([])) == 0
    assert predictor.predict(noise(0, 16, 16, 4)).probability.shape == (0, 28)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (noise(16, 16), r"received \(16, 16\)\. Join the channels"),
        (
            noise(4, 16, 12),
            r"received \(4, 16, 12\), whose channels come first\. Move them with np\.moveaxis\(pixels, 0, -1\)",
        ),
        (noise(16, 16, 3), "Fill a channel that was not imaged with zeros"),
        (noise(0, 16, 4), r"shape \(0, 16, 4\)"),
        (np.full((8, 8, 4), np.nan), "not finite"),
        (np.zeros((8, 8, 4), complex), "type complex128; expected integers or floats"),
        (np.zeros((8, 8, 4), bool), "type bool"),
        (np.full((8, 8, 4), "x"), "type <U1"),
    ],
    ids=str,
)
def test_other_inputs_raise_an_error(predictor: Predictor, given: np.ndarray, sentence: str) -> None:
    with pytest.raises(LociscopeError, match=sentence):
        predictor.predict(given)


def test_embeddings_of_a_model_without_are_refused(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    without = open_bundle(make_bundle(tmp_path / "b", embedding=False))
    assert len(without.predict(noise(16, 16, 4))) == 1
    with pytest.raises(LociscopeError, match="has no output 'embedding'"):
        without.predict(noise(16, 16, 4), embeddings=True)


def test_the_package_opens_a_bundle(tiny_bundle: Path) -> None:
    assert lociscope.open_bundle(tiny_bundle).bundle.card.name == "tiny0"


def test_batches_keep_order_and_hold_the_rest() -> None:
    assert list(batched(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batched([], 3)) == []


@pytest.mark.slow
def test_real_cells_at_four_times_the_sampling_are_put_to_scale(real_data: Path) -> None:
    """The dictionary's pictures are 70 µm wide: more are right when a µm is as many input pixels as in training."""
    folder = real_data / "hpa_dictionary"
    with (folder / "labels.csv").open(newline="") as lines:
        truth = {row["file"][:-4]: int(row["class_index"]) for row in csv.DictReader(lines)}
    rules = Rules(allow_missing=("yellow",), pixel_size=0.085)
    fields = [read_field(source) for source in find_fields([folder], rules)[0]]
    shipped = open_bundle()
    right = []
    for each in (fields, [Field(field.id, field.pixels, None, field.missing) for field in fields]):
        likeliest = shipped.predict(each).probability.argmax(axis=1)
        right.append(sum(truth[field.id] == place for field, place in zip(each, likeliest, strict=True)))
    assert len(fields) == 35
    assert right[0] > right[1]
