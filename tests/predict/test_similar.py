"""Similar fields: by cosine, most similar first; Predictions without embeddings are refused."""

from __future__ import annotations

import numpy as np
import pytest

from lociscope.artifacts.predictions import Predictions
from lociscope.errors import Code, LociscopeError
from lociscope.predict.similar import find_similar


def table(embedding: np.ndarray | None) -> Predictions:
    n = 4 if embedding is None else len(embedding)
    probability = np.zeros((n, 28), np.float32)
    return Predictions(
        [f"f{k}" for k in range(n)], probability, [(k,) for k in range(n)], ["ok"] * n, [()] * n, embedding
    )


def test_the_most_similar_first() -> None:
    rows = np.array([[1, 0], [10, 1], [0, 3], [-1, 0], [0, 0]], np.float32)
    found = find_similar(np.array([2.0, 0.0]), table(rows), number=5)
    assert [each.id for each in found] == ["f0", "f1", "f2", "f4", "f3"]
    np.testing.assert_allclose([each.similarity for each in found], [1, 10 / np.sqrt(101), 0, 0, -1], atol=1e-6)
    assert found[1].predicted == (1,)
    assert len(find_similar(np.array([2.0, 0.0]), table(rows), number=2)) == 2


def test_predictions_without_embeddings_and_of_another_model() -> None:
    with pytest.raises(LociscopeError, match="hold no embeddings") as error:
        find_similar(np.ones(2), table(None))
    assert error.value.code == Code.NOT_FOUND
    with pytest.raises(LociscopeError, match="3 numbers, those of the Predictions have 2") as error:
        find_similar(np.ones(3), table(np.ones((4, 2), np.float32)))
    assert error.value.code == Code.CONFLICT
