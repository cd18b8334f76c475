"""Samples of a log, of Predictions, and of a bundle."""

from __future__ import annotations

import numpy as np
import pytest

from lociscope.artifacts.bundle import Reference, read_bundle, read_reference
from lociscope.artifacts.predictions import Predictions
from lociscope.errors import LociscopeError
from lociscope.images.statistics import STATISTICS
from lociscope.monitor import Sample
from lociscope.monitor import samples as module
from lociscope.prediction_log.rows import Window

MADE = Predictions(["a", "b"], np.zeros((2, 28), np.float32), [(3, 5), ()], ["ok"] * 2, [()] * 2)


def test_a_log_s_rows() -> None:
    figures = np.zeros((2, len(STATISTICS)), np.float32)
    sample = Sample.from_log(Window(MADE, figures, ["c" * 64] * 2, [""] * 2, [""] * 2), "log")
    assert (sample.ids, sample.bundle, sample.embedding) == (["a", "b"], "c" * 64, None)
    assert np.argwhere(sample.locations).tolist() == [[0, 3], [0, 5]]
    with pytest.raises(LociscopeError, match=r"log has 3 statistics a field, expected 34: another"):
        Sample.from_log(Window(MADE, figures[:, :3], ["c" * 64] * 2, [""] * 2, [""] * 2), "log")


def test_predictions_have_no_statistics() -> None:
    sample = Sample.from_predictions(MADE, None, "P")
    assert (sample.statistics, sample.bundle, len(sample)) == (None, None, 2)


def test_the_shipped_bundle_has_a_reference() -> None:
    bundle = read_bundle()
    sample = Sample.from_bundle(bundle)
    reference = read_reference(bundle)
    assert reference is not None
    assert bundle.card.reference is not None
    assert len(sample) == bundle.card.reference["fields"] >= 300
    assert sample.statistics is not None
    assert sample.embedding is not None
    assert bundle.card.reference["rates"] == sample.locations.mean(axis=0).round(4).tolist()
    medians = np.median(sample.statistics, axis=0)
    np.testing.assert_allclose(list(bundle.card.reference["medians"].values()), medians, atol=1e-3)
    assert sample.bundle == bundle.sha256
    assert sample.simulated


def test_a_bundle_without_a_reference_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = read_bundle()
    monkeypatch.setattr(module, "read_reference", lambda _: None)
    with pytest.raises(LociscopeError, match="carries no reference"):
        Sample.from_bundle(bundle)
    odd = Reference(("other",), np.zeros((2, 1)), np.zeros((2, 28)), np.zeros((2, 0)))
    monkeypatch.setattr(module, "read_reference", lambda _: odd)
    sample = Sample.from_bundle(bundle)
    assert (sample.statistics, sample.embedding) == (None, None)
