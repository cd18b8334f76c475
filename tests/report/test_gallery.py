from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lociscope.channels import CHANNELS
from lociscope.images.field import Field
from lociscope.images.render import render_composite
from lociscope.labels import LABELS, N_LABELS
from lociscope.report.gallery import BARS, PICTURE_SIZE, GalleryField, list_verdicts, make_bars, make_card, make_layers
from lociscope.warnings import describe_warning, parse_warnings

THRESHOLDS = np.full(N_LABELS, 0.3)
LOCATIONS = st.sets(st.integers(0, N_LABELS - 1), max_size=5).map(lambda made: tuple(sorted(made)))


def shown(
    truth: tuple[int, ...] | None, predicted: tuple[int, ...], probability: np.ndarray | None = None, **more: object
) -> GalleryField:
    values: dict[str, object] = {"status": "ok", "warnings": ()} | more
    if probability is None:
        probability = np.full(N_LABELS, 0.1, np.float32)
        probability[list(predicted)] = 0.6
    pixels = np.zeros((8, 8, 4), np.uint8)
    return GalleryField(Field("a1", pixels), truth, probability, predicted, **values)  # type: ignore[arg-type]


def test_right_missed_and_wrong_locations() -> None:
    probability = np.linspace(0.9, 0.1, N_LABELS)
    verdicts = list_verdicts(shown((0, 20), (0, 3), probability))
    assert [(each.name, each.verdict, each.sign) for each in verdicts] == [
        (LABELS[0], "correct", "✓"),
        (LABELS[20], "missed", "○"),
        (LABELS[3], "wrong", "✗"),
    ]
    assert verdicts[1].rank == 21


@given(LOCATIONS, LOCATIONS)
def test_every_location_has_one_verdict(truth: tuple[int, ...], predicted: tuple[int, ...]) -> None:
    verdicts = {each.name: each.verdict for each in list_verdicts(shown(truth, predicted))}
    assert len(list_verdicts(shown(truth, predicted))) == len(verdicts) == len({*truth, *predicted})
    for label in range(N_LABELS):
        expected = {(1, 1): "correct", (1, 0): "missed", (0, 1): "wrong"}.get((label in truth, label in predicted))
        assert verdicts.get(LABELS[label]) == expected


def test_without_truth_nothing_is_judged() -> None:
    assert [each.verdict for each in list_verdicts(shown(None, (1, 2)))] == ["reported", "reported"]


@pytest.mark.parametrize(
    ("truth", "predicted", "says"),
    [
        ((), (), "No location reported, and none is labelled: correct."),
        ((3,), (), "No location reported."),
        (None, (), "No location reported."),
        ((), (3,), "No location is labelled."),
        ((3,), (3,), ""),
        (None, (3,), ""),
    ],
)
def test_an_empty_prediction_has_a_remark(truth: tuple[int, ...] | None, predicted: tuple[int, ...], says: str) -> None:
    assert make_card(shown(truth, predicted), THRESHOLDS).remark == says


def test_bars_are_the_likeliest_locations_against_their_own_thresholds() -> None:
    probability = np.linspace(0.1, 0.9, N_LABELS)
    thresholds = np.arange(N_LABELS) / 100
    bars = make_bars(shown((26,), (27,), probability), thresholds)
    assert [bar.name for bar in bars] == list(LABELS[: -1 - BARS : -1])
    assert [bar.threshold for bar in bars] == [0.27, 0.26, 0.25, 0.24, 0.23]
    assert [bar.reached for bar in bars] == [True, False, False, False, False]
    assert [bar.true for bar in bars] == [False, True, False, False, False]


def test_status_and_warnings_are_words() -> None:
    card = make_card(
        shown(None, (), status="unsure", warnings=parse_warnings(["empty plane: green", "new warning"])), THRESHOLDS
    )
    assert card.status == "Unsure: no location reaches its threshold."
    assert not card.ok
    assert card.warnings == [describe_warning(parse_warnings(["empty plane: green"])[0]), "new warning"]


def test_tinted_layers_add_up_to_the_composite() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 4), np.uint8).repeat(32, 0).repeat(32, 1)
    layers = make_layers(pixels)
    assert [(layer.name, layer.on) for layer in layers] == [
        ("red", True), ("green", True), ("blue", True), ("yellow", False),
    ]  # fmt: skip
    assert layers[3].tint == "rgb(255 255 0)"
    rendered = np.zeros((PICTURE_SIZE, PICTURE_SIZE, 3))
    for layer, channel in zip(layers, CHANNELS, strict=True):
        grey = np.asarray(Image.open(io.BytesIO(base64.b64decode(layer.source.split(",")[1]))))
        assert grey.shape == (PICTURE_SIZE, PICTURE_SIZE)
        if layer.on:
            rendered += grey[..., None] * np.array(channel.colour)
    assert np.abs(rendered - render_composite(pixels, PICTURE_SIZE)).mean() < 3
