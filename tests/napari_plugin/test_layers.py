"""Fields of layers, and layers and rows of predictions, without napari."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from lociscope.errors import Code, LociscopeError
from lociscope.labels import LABELS
from lociscope.napari_plugin.layers import (
    NOT_SURE,
    LayerPredictions,
    find_label,
    guess_channels,
    list_rows,
    make_cell_layer,
    make_fields,
    predict_layers,
)
from lociscope.napari_plugin.reader import make_sample
from lociscope.predict.predictor import open_bundle


@dataclass
class FakeLayer:
    """What `lociscope.napari_plugin.layers` reads of an image layer."""

    name: str
    data: Any = field(default_factory=lambda: np.zeros((8, 8), np.uint8))
    metadata: dict[str, Any] = field(default_factory=dict)
    scale: tuple[float, ...] = (1.0, 1.0)
    units: tuple[str, ...] | None = None
    rgb: bool = False
    multiscale: bool = False


def layers_of(shape: tuple[int, ...] = (8, 8), **options: Any) -> dict[Any, Any]:
    names = ("red", "green", "blue", "yellow")
    return {
        name: FakeLayer(f"x {name}", np.full(shape, number, np.uint8), **options) for number, name in enumerate(names)
    }


# === Fields ===


def test_channels_are_guessed_by_metadata_then_by_stain() -> None:
    declared = FakeLayer("DAPI", metadata={"lociscope": {"channel": "red"}})
    layers = [FakeLayer("whatever"), declared, FakeLayer("Hoechst"), FakeLayer("GFP"), FakeLayer("a DAPI")]
    found = guess_channels(layers)
    assert {name: layer.name for name, layer in found.items()} == {"red": "DAPI", "blue": "Hoechst", "green": "GFP"}


def test_fields_have_their_channels_in_order_rgby() -> None:
    (made,) = make_fields(layers_of())
    assert made.pixels.shape == (8, 8, 4)
    assert made.pixels[0, 0].tolist() == [0, 1, 2, 3]
    assert (made.id, made.pixel_size, made.missing) == ("x green", None, ())


def test_a_stack_is_as_many_fields() -> None:
    made = make_fields(layers_of((3, 8, 9)))
    assert [each.id for each in made] == ["x green 0", "x green 1", "x green 2"]
    assert made[0].pixels.shape == (8, 9, 4)
    about = {"lociscope": {"channel": "green", "ids": ["a", "b", "c"], "pixel_size": 0.2}}
    made = make_fields(layers_of((3, 8, 9), metadata=about))
    assert [(each.id, each.pixel_size) for each in made] == [("a", 0.2), ("b", 0.2), ("c", 0.2)]


def test_a_channel_that_was_not_imaged_is_zeros() -> None:
    layers = layers_of() | {"yellow": None}
    (made,) = make_fields(layers)
    assert made.missing == ("yellow",)
    assert made.pixels[..., 3].max() == 0


def test_the_pixel_size_is_that_of_the_user_else_of_the_scale_in_micrometres() -> None:
    scaled = layers_of(scale=(0.3, 0.3), units=("micrometer", "micrometer"))
    assert make_fields(scaled)[0].pixel_size == 0.3
    assert make_fields(scaled, 0.1)[0].pixel_size == 0.1
    assert make_fields(layers_of(scale=(0.3, 0.3), units=("pixel", "pixel")))[0].pixel_size is None
    unknown = {"lociscope": {"channel": "green", "ids": ["a"], "pixel_size": None}}
    assert make_fields(layers_of(units=("um", "um"), metadata=unknown))[0].pixel_size is None


def test_the_largest_level_of_a_pyramid_is_predicted() -> None:
    layers = layers_of(multiscale=True)
    for layer in layers.values():
        layer.data = [layer.data, layer.data[::2, ::2]]
    assert make_fields(layers)[0].pixels.shape == (8, 8, 4)


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"green": None}, Code.MISSING_CHANNEL, "protein"),
        ({"red": FakeLayer("wide", np.zeros((8, 9), np.uint8))}, Code.INVALID_VALUE, "'wide' (1, 8, 9)"),
        ({"red": FakeLayer("photo", np.zeros((8, 8, 3), np.uint8), rgb=True)}, Code.INVALID_VALUE, "'photo'"),
        ({"red": FakeLayer("deep", np.zeros((2, 2, 8, 8), np.uint8))}, Code.INVALID_VALUE, "(2, 2, 8, 8)"),
    ],
)
def test_layers_that_are_no_field(change: dict[str, Any], code: Code, named: str) -> None:
    with pytest.raises(LociscopeError) as caught:
        make_fields(layers_of() | change)
    assert caught.value.code is code
    assert named in str(caught.value)


# === Predictions ===


@pytest.fixture(scope="module")
def made() -> LayerPredictions:
    """Predictions of two copies of a simulated field and their cells."""
    planes = [data for data, _, _ in make_sample()]
    names = ("red", "green", "blue", "yellow")
    layers = {name: FakeLayer(name, np.stack([plane, plane])) for name, plane in zip(names, planes, strict=True)}
    return predict_layers(open_bundle(), make_fields(layers), cells=True)  # type: ignore[arg-type]


def test_predictions_are_those_of_the_predictor(made: LayerPredictions) -> None:
    pixels = np.stack([data for data, _, _ in make_sample()], axis=-1)
    direct = open_bundle().predict(pixels)
    np.testing.assert_allclose(made.fields.probability[0], direct.probability[0], atol=1e-6)
    assert made.fields.predicted == direct.predicted * 2


def test_rows_are_fields_followed_by_their_cells(made: LayerPredictions) -> None:
    rows = list_rows(made)
    cells = [len(each.geometry.number) for each in made.segmented]
    assert cells[0] == cells[1] > 5
    assert len(rows) == 2 + sum(cells)
    heads = [row for row in rows if row.label == 0]
    assert [(row.field, row.name) for row in heads] == [(0, "green 0"), (1, "green 1")]
    assert heads[0].locations == ", ".join(LABELS[number] for number in heads[0].predicted)
    assert heads[0].probability == pytest.approx(float(np.nanmax(made.fields.probability[0])), abs=1e-3)


def test_a_label_names_one_cell_of_the_stack(made: LayerPredictions) -> None:
    data, options, kind = make_cell_layer(made, (1.0, 0.5, 0.5))
    rows = [row for row in list_rows(made) if row.label]
    assert (data.shape, kind) == ((2, 512, 512), "labels")
    assert not np.intersect1d(data[0][data[0] > 0], data[1]).size
    assert sorted({row.label for row in rows}) == np.unique(data[data > 0]).tolist() == options["features"]["index"]
    for row in rows[:3]:
        y, x = np.argwhere(data[row.field] == row.label).mean(axis=0)
        assert row.centre == pytest.approx((y, x), abs=1.0)


def test_a_single_field_has_a_layer_of_two_axes(made: LayerPredictions) -> None:
    one = LayerPredictions(made.fields.take([0]), made.segmented[:1], made.cells[:1])
    assert make_cell_layer(one, (0.5, 0.5))[0].shape == (512, 512)


def test_cells_have_the_colour_of_their_most_probable_location(made: LayerPredictions) -> None:
    _, options, _ = make_cell_layer(made, (1.0, 1.0, 1.0))
    rows = [row for row in list_rows(made) if row.label]
    colours = options["colours"]
    assert colours[None][3] == colours[0][3] == 0.0
    by_location: dict[Any, set[tuple[float, ...]]] = {}
    for row in rows:
        by_location.setdefault(row.predicted[:1], set()).add(colours[row.label])
    assert all(len(each) == 1 for each in by_location.values())
    assert len(set.union(*by_location.values())) == len(by_location)
    unsure = list_rows(made)[1]._replace(predicted=())
    from lociscope.napari_plugin.layers import _colour

    assert _colour(unsure) == NOT_SURE


def test_without_cells_there_are_only_fields(made: LayerPredictions) -> None:
    rows = list_rows(LayerPredictions(made.fields, [], []))
    assert [row.label for row in rows] == [0, 0]
    assert LayerPredictions(made.fields, [], []).offsets == []


def test_a_label_is_found_where_it_was_clicked(made: LayerPredictions) -> None:
    data, _, _ = make_cell_layer(made, (1.0, 1.0, 1.0))
    _, y, x = np.argwhere(data == data.max())[0]
    assert find_label(data, (1.2, y - 0.3, x + 0.3)) == data.max()
    for outside in ((1, -3, 0), (1, 512, 3), (2, 5, 5), (5, 5)):
        assert find_label(data, outside) == 0
