"""The small residual network: what it gives, what it refuses, and that it can be stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.errors import UsageError
from lociscope.labels import N_LABELS
from lociscope.models import build_network, load_network

if TYPE_CHECKING:
    from pathlib import Path


def test_its_outputs_and_size() -> None:
    network = build_network("small", 256, {})
    assert network.count_params() == 625_308
    shapes = {name: tuple(output.shape) for name, output in network.output.items()}
    assert shapes == {
        "probabilities": (None, N_LABELS),
        "embedding": (None, 128),
        "evidence": (None, 16, 16, N_LABELS),
    }


def test_any_size_will_do() -> None:
    assert build_network("small", 67, {"width": 0.25}).output["evidence"].shape == (None, 5, 5, N_LABELS)


def test_the_evidence_is_the_classifier() -> None:
    outputs = build_network("small", 64, {"width": 0.25})(np.random.default_rng(0).random((2, 64, 64, 4), np.float32))
    logits = np.asarray(outputs["evidence"]).mean(axis=(1, 2))
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), np.asarray(outputs["probabilities"]), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"width": 0.0}, "0.1–8"), ({"dropout": 0.95}, "0–0.9"), ({"depth": 3}, "no option 'depth'")],
)
def test_wrong_options_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        build_network("small", 64, options)


def test_it_survives_a_keras_archive(tmp_path: Path) -> None:
    network = build_network("small", 64, {"width": 0.25})
    network.save(tmp_path / "network.keras")
    x = np.random.default_rng(2).random((2, 64, 64, 4), np.float32)
    again = load_network(tmp_path / "network.keras")
    np.testing.assert_array_equal(again(x)["probabilities"], network(x)["probabilities"])
