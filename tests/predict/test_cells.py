"""Each cell of a field is predicted from its own pixels, shrunk towards the field."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from msgspec import structs

from lociscope.artifacts.bundle import read_bundle
from lociscope.channels import GREEN
from lociscope.decide.logistic import logit
from lociscope.images.field import Field
from lociscope.images.segmentation.geometry import measure_geometry
from lociscope.predict.cell_source import segment_field
from lociscope.predict.cells import CELL_WEIGHT, FIELD_WEIGHT, crop_cells, fill_input, predict_cells, shrink
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.simulate import simulate_field

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return open_bundle(tiny_bundle, threads=1)


def two_cells() -> tuple[Field, np.ndarray]:
    """A field of 16 px, the network's size: a bright and a dark cell."""
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[2:7, 2:7], pixels[9:14, 8:15] = 200, 100
    labels = np.zeros((16, 16), np.int32)
    labels[2:7, 2:7], labels[9:14, 8:15] = 5, 8
    return Field("a1", pixels, 164 / 16), labels


def test_crops_are_black_outside_their_cell() -> None:
    field, labels = two_cells()
    labels[6, 6] = 8
    crops = list(crop_cells(field.pixels, labels, measure_geometry(labels, 1.0)))
    assert [crop.shape for crop, _ in crops] == [(5, 5, 4), (8, 9, 4)]
    first, mask = crops[0]
    assert not first[4, 4].any()
    assert not mask[4, 4]
    assert (first[mask] == 200).all()


def test_a_crop_of_a_scaled_field_shows_the_same_cell() -> None:
    field, labels = two_cells()
    coarse = list(crop_cells(field.pixels, labels.repeat(4, 0).repeat(4, 1), measure_geometry(labels, 1.0)))
    fine = measure_geometry(labels.repeat(4, 0).repeat(4, 1), 0.25)
    same = list(crop_cells(field.pixels, labels.repeat(4, 0).repeat(4, 1), fine))
    assert len(coarse) == len(same) == 2
    for (one, _), (other, _) in zip(crop_cells(field.pixels, labels, measure_geometry(labels, 1.0)), same, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_cell_smaller_than_a_pixel_of_the_network_has_one() -> None:
    labels = np.zeros((160, 160), np.int32)
    labels[41:43, 42:44] = 1
    pixels = np.full((16, 16, 4), 9, np.uint8)
    ((crop, mask),) = crop_cells(pixels, labels, measure_geometry(labels, 0.1))
    assert crop.shape == (1, 1, 4)
    assert mask.all()


@pytest.mark.parametrize("shape", [(3, 5), (16, 2), (40, 7), (31, 50)])
def test_an_input_is_filled_with_the_cell(shape: tuple[int, int]) -> None:
    crop = np.arange(1, shape[0] * shape[1] * 4 + 1).reshape(*shape, 4)
    filled = fill_input(crop, 16, 12)
    assert filled.shape == (16, 12, 4)
    assert np.isin(filled, crop).all()
    if max(shape) <= 12:
        assert np.isin(crop, filled).all()


def test_shrinking_is_the_stated_formula_and_keeps_the_order() -> None:
    answer, own = np.array([0.2, 0.9]), np.array([[0.1, 0.5], [0.6, 0.5]])
    mean = logit(own).mean(axis=0)
    expected = FIELD_WEIGHT * logit(answer) + (1 - FIELD_WEIGHT) * mean + CELL_WEIGHT * (logit(own) - mean)
    found = shrink(answer, own)
    np.testing.assert_allclose(logit(found.astype(float)), expected, atol=1e-5)
    assert found[0, 0] < found[1, 0]
    assert found[0, 1] == found[1, 1]
    assert shrink(answer, np.empty((0, 2))).shape == (0, 2)


def test_each_cell_is_predicted_from_its_own_pixels(predictor: Predictor) -> None:
    field, labels = two_cells()
    segmented = segment_field(field, predictor.bundle.card.input, labels)
    answer = predictor.predict(field).probability[0]
    found = predict_cells(predictor, segmented, answer)
    means = [segmented.scaled[labels == number].mean(axis=0) / 255 for number in (5, 8)]
    assert found.intensity == pytest.approx([mean[GREEN] for mean in means], abs=1e-6)
    own = np.concatenate(
        [predictor.engine.run(np.full((1, 16, 16, 4), 255 * mean, np.uint8))["probabilities"] for mean in means]
    )
    np.testing.assert_allclose(found.probability, shrink(answer, own), atol=0.02)
    assert found.distance == pytest.approx(np.abs(found.probability - answer).sum(axis=1), abs=1e-5)
    assert found.predicted == [tuple(np.flatnonzero(row >= 0.5).tolist()) for row in found.probability]


def test_a_network_that_standardises_gets_raw_pixels(tiny_bundle: Path) -> None:
    """Percentiles would make a dim field bright; such a network receives the pixels of the file."""
    field, labels = two_cells()
    dim = Field(field.id, (field.pixels // 4).astype(np.uint8), field.pixel_size)
    bundle = read_bundle(tiny_bundle)
    spec = structs.replace(bundle.card.input, normalisation="standardise")
    predictor = Predictor(replace(bundle, card=structs.replace(bundle.card, input=spec)), 1)
    segmented = segment_field(dim, spec, labels)
    answer = predictor.predict(dim).probability[0]
    found = predict_cells(predictor, segmented, answer)
    means = [dim.pixels[labels == number].mean(axis=0) for number in (5, 8)]
    own = np.concatenate(
        [predictor.engine.run(np.full((1, 16, 16, 4), mean, np.float32))["probabilities"] for mean in means]
    )
    np.testing.assert_allclose(found.probability, shrink(answer, own), atol=0.02)
    assert segmented.uncut.max() <= dim.pixels.max()
    assert segmented.scaled.max() == 255


def test_a_field_without_cells_has_no_rows(predictor: Predictor) -> None:
    field, labels = two_cells()
    segmented = segment_field(field, predictor.bundle.card.input, np.zeros_like(labels))
    found = predict_cells(predictor, segmented, np.full(28, 0.5, np.float32))
    assert found.probability.shape == (0, 28)
    assert (found.predicted, found.status, len(found.distance)) == ([], [], 0)


def test_cells_that_show_a_location_score_higher_than_cells_of_the_field_that_do_not() -> None:
    predictor = open_bundle(threads=1)
    field = simulate_field(4, seed=3, size=512, locations=(2, 21))
    shown = {cell.cell: cell.strengths[2] > 0 for cell in field.table}
    segmented = segment_field(
        Field("a1", field.pixels, field.pixel_size), predictor.bundle.card.input, field.cells.astype(np.int32)
    )
    found = predict_cells(predictor, segmented, predictor.predict(segmented.field).probability[0])
    assert len(found.status) == len(shown) > 5
    nucleated = (field.nuclei > 0) & (field.cells > 0)
    with_nucleus = set(np.unique(field.cells[nucleated]).tolist())
    is_whole = np.array([number in with_nucleus for number in segmented.geometry.number.tolist()])
    # cells without nucleus cannot show nucleoli
    assert found.probability[is_whole, 2].mean() > found.probability[~is_whole, 2].mean()
