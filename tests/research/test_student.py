"""A student of the teacher of compartment features: crops, the shipped weights, and the joined graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.bundle import read_bundle
from lociscope.images.segmentation.features import FEATURES

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


@pytest.fixture
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("research/student")


def test_crops_differ_and_are_the_same_again(script: ModuleType) -> None:
    fields = np.random.default_rng(0).integers(0, 256, (3, 256, 256, 4), np.uint8)
    first, again = (np.random.default_rng(7) for _ in range(2))
    one = [script.cut_crop(fields, first) for _ in range(12)]
    other = [script.cut_crop(fields, again) for _ in range(12)]
    assert {crop.shape for crop in one} == {(128, 128, 4)}
    assert {crop.dtype for crop in one} == {np.dtype(np.uint8)}
    assert all((a == b).all() for a, b in zip(one, other, strict=True))
    assert len({crop.tobytes() for crop in one}) == 12


def test_the_teacher_is_the_mean_of_its_heads(script: ModuleType) -> None:
    random = np.random.default_rng(0)
    w1, b1, w2, b2 = (random.normal(size=shape) for shape in ((2, 5, 8), (2, 8), (2, 8, 28), (2, 28)))
    teacher = script.Teacher(np.zeros(5), np.ones(5), w1, b1, w2, b2)
    x = random.normal(size=(3, 5))
    expected = sum(np.maximum(x @ w1[k] + b1[k], 0) @ w2[k] + b2[k] for k in range(2)) / 2
    np.testing.assert_allclose(teacher.logits(x), expected, rtol=1e-4, atol=1e-4)
    assert (teacher.standardize(np.array([[np.nan, 9, -9, 1, 0]])) == [[0, 3, -3, 1, 0]]).all()


@pytest.mark.slow
def test_the_student_begins_as_the_shipped_network_and_joins_it(script: ModuleType) -> None:
    """Its backbone gives the shipped embedding; joined, the log odds are the mean of both."""
    import keras
    import onnxruntime

    random = np.random.default_rng(0)
    n = len(FEATURES)
    shapes = ((2, n, 8), (2, 8), (2, 8, 28), (2, 28))
    teacher = script.Teacher(np.zeros(n), np.ones(n), *(0.1 * random.normal(size=shape) for shape in shapes))
    student = script.build_student(script.FIELD)
    shipped = read_bundle()
    inputs = shipped.selftest.input
    session = onnxruntime.InferenceSession(shipped.model, providers=["CPUExecutionProvider"])
    (embedding,) = session.run(["embedding"], {"field": inputs})
    backbone = keras.Model(student.input, student.get_layer("mix").input)
    np.testing.assert_allclose(np.asarray(backbone(inputs)).mean(axis=(1, 2)), embedding, atol=1e-4)

    joined = script.join_graphs(shipped.model, script.export_student(script.answer(student, teacher)))
    both = onnxruntime.InferenceSession(joined, providers=["CPUExecutionProvider"])
    found, same = both.run(["probabilities", "embedding"], {"field": inputs})
    outputs = student(inputs)
    assert np.asarray(outputs["features"]).shape == (len(inputs), len(FEATURES))
    heads = teacher.logits(np.clip(np.asarray(outputs["features"], np.float64), -3, 3))
    own = (np.asarray(outputs["logits"], np.float64) + heads) / 2
    network = shipped.selftest.probabilities
    expected = 1 / (1 + np.exp(-(np.log(network / (1 - network)) + own) / 2))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(same, embedding, atol=1e-5)
