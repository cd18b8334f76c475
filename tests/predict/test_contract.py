"""The special prize's contract: an array of HPA's shape in, a set of classes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from fixtures.pixels import patches

import lociscope
from lociscope.errors import Code, LociscopeError
from lociscope.predict.contract import Model, time_calls

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def planes(kind: type[np.unsignedinteger] = np.uint8, side: int = 64, seed: int = 0) -> list[np.ndarray]:
    """Four planes (side, side, 1), as HPA's template makes them."""
    pixels = patches((side, side, 4), seed).astype(kind) * kind(np.iinfo(kind).max // 255)
    return [pixels[..., channel, None] for channel in range(4)]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_the_classes_are_those_of_the_predictor(tiny_bundle: Path, kind: type[np.unsignedinteger]) -> None:
    image = np.stack(planes(kind), axis=-1)
    assert image.shape == (64, 64, 1, 4)
    expected = set(lociscope.open_bundle(tiny_bundle).predict(image[:, :, 0]).predicted[0])
    assert len(expected) > 1
    model = Model(tiny_bundle, threads=1)
    found = model.predict(image)
    assert type(found) is set
    assert found == expected == model.predict(image[:, :, 0]) == model.predict(np.asfortranarray(image))


def test_the_set_is_never_empty(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", threshold=0.999999)
    image = np.stack(planes(), axis=-1)
    row = lociscope.open_bundle(bundle).predict(image[:, :, 0])
    assert row.predicted == [()]
    assert Model(bundle).predict(image) == {int(row.probability[0].argmax())}
    assert len(Model(bundle).predict(np.zeros_like(image))) == 1


def test_the_shipped_model_predicts_a_field_of_hpas_size() -> None:
    image = np.zeros((2048, 2048, 1, 4), np.uint8)
    image[::2, 500:900] = 200
    ((classes, seconds),) = time_calls(Model(), [image])
    assert classes <= set(range(28))
    assert classes
    assert seconds > 0


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((64, 64), r"\(y, x, 1, 4\), channels RGBY; received \(64, 64\)"),
        ((1, 64, 64, 4), r"received \(1, 64, 64, 4\)"),
        ((64, 64, 1, 3), r"has the shape \(64, 64, 3\)"),
        ((0, 64, 1, 4), r"has the shape \(0, 64, 4\)"),
    ],
)
def test_other_shapes_are_refused(tiny_bundle: Path, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(LociscopeError, match=said) as caught:
        Model(tiny_bundle).predict(np.zeros(shape, np.uint8))
    assert caught.value.code == Code.INVALID_VALUE
