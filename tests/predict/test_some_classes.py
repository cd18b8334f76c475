"""A bundle that knows some of the classes: the others are null, never predicted and never scored, everywhere."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
from fixtures.codes import raises_code

from lociscope.artifacts.bundle import encode_reference, read_bundle, read_reference
from lociscope.artifacts.predictions import PROBABILITY_COLUMNS, Predictions
from lociscope.data.explore.contradictions import find_contradictions
from lociscope.errors import Code
from lociscope.images.field import Field
from lociscope.labels import N_LABELS, expand_classes, find_known, to_nullable
from lociscope.microscope.conditions import Facts, compute_urgency
from lociscope.microscope.rules import parse_rule
from lociscope.predict.cells import shrink
from lociscope.predict.contract import Model
from lociscope.predict.explain import explain_field
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.predict.reference import measure_reference
from lociscope.predict.summaries import summarize
from lociscope.report.metrics import measure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KNOWN = (0, 2, 7, 25)
UNKNOWN = [number for number in range(N_LABELS) if number not in KNOWN]


@pytest.fixture(scope="module")
def bundle(make_bundle: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("some") / "bundle", threshold=0.1, classes=KNOWN)


@pytest.fixture(scope="module")
def predictions(bundle: Path) -> Predictions:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 4), np.uint8)
    return open_bundle(bundle).predict(pixels)


def test_unknown_classes_are_never_predicted(bundle: Path, predictions: Predictions) -> None:
    assert np.isnan(predictions.probability[:, UNKNOWN]).all()
    assert np.isfinite(predictions.probability[:, KNOWN]).all()
    assert {number for numbers in predictions.predicted for number in numbers} <= {*KNOWN}
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 4), np.uint8)
    turned = open_bundle(bundle, tta=True).predict(pixels)
    np.testing.assert_array_equal(find_known(turned.probability), find_known(predictions.probability))
    assert Model(bundle).predict(np.zeros((32, 32, 4), np.uint8)) <= {*KNOWN}


def test_files_hold_null(predictions: Predictions, tmp_path: Path) -> None:
    for name in ("p.parquet", "p.csv"):
        predictions.write(tmp_path / name)
        again = Predictions.read(tmp_path / name)
        np.testing.assert_allclose(again.probability, predictions.probability, atol=1e-6)
        assert again.predicted == predictions.predicted
    stored = pq.read_table(tmp_path / "p.parquet")["probability"].to_pylist()
    assert [number for number, value in enumerate(stored[0]) if value is None] == UNKNOWN
    row = next(csv.DictReader(io.StringIO((tmp_path / "p.csv").read_text(encoding="utf-8"))))
    assert [number for number, name in enumerate(PROBABILITY_COLUMNS) if row[name] == ""] == UNKNOWN
    assert json.loads(json.dumps(to_nullable(predictions.probability[0])))[1] is None


def test_a_missing_probability_of_one_field_is_refused(predictions: Predictions, tmp_path: Path) -> None:
    broken = predictions.take(range(len(predictions)))
    broken.probability[2, KNOWN[1]] = np.nan
    broken.write(tmp_path / "p.parquet")
    with raises_code(Code.INVALID_VALUE):
        Predictions.read(tmp_path / "p.parquet")


def test_a_submission_names_a_known_class(predictions: Predictions, tmp_path: Path) -> None:
    blank = Predictions(["a"], predictions.probability[:1], [()], ["unsure"], [()])
    blank.write_submission(tmp_path / "s.csv")
    (numbers,) = Predictions.read_submission(tmp_path / "s.csv").predicted
    assert numbers == (int(np.nanargmax(predictions.probability[0])),)


def test_scores_are_those_of_the_known_classes() -> None:
    rng = np.random.default_rng(1)
    truth = (rng.random((60, N_LABELS)) < 0.3).astype(np.uint8)
    probability = rng.random((60, N_LABELS)).astype(np.float32)
    probability[:, UNKNOWN] = np.nan
    metrics = measure(truth, probability, probability >= 0.5, "fields", resamples=20)
    assert len(metrics.unknown) == len(UNKNOWN)
    assert [number for number, each in enumerate(metrics.classes) if each.f1 is not None] == [*KNOWN]
    other = truth.copy()
    other[:, UNKNOWN] = 1 - other[:, UNKNOWN]
    again = measure(other, probability, probability >= 0.5, "fields", resamples=20)
    assert again.figures == metrics.figures


def test_labels_of_unknown_classes_are_not_judged() -> None:
    rng = np.random.default_rng(2)
    targets: list[tuple[int, ...]] = [(int(rng.integers(N_LABELS)),) for _ in range(200)]
    probability = rng.random((200, N_LABELS))
    probability[:, UNKNOWN] = np.nan
    ids = [str(number) for number in range(200)]
    found = find_contradictions(ids, targets, probability)
    assert found
    assert all({*each.labels, *each.suggested} <= {*KNOWN} for each in found)


def test_evidence_is_that_of_a_known_class(bundle: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 4), np.uint8)
    explained = explain_field(open_bundle(bundle), Field("a", pixels))
    assert {each.location for each in explained.evidence} <= {*KNOWN}
    assert all(np.isfinite(each.map).all() for each in explained.evidence)


def test_a_reference_is_stored_and_read(bundle: Path) -> None:
    opened = open_bundle(bundle)
    rng = np.random.default_rng(3)
    fields = [Field(str(n), rng.integers(0, 256, (32, 32, 4), np.uint8)) for n in range(3)]
    reference, summary = measure_reference(opened, fields, "fields")
    assert np.isnan(reference.probability[:, UNKNOWN]).all()
    assert all(summary["rates"][number] == 0 for number in UNKNOWN)
    again = read_reference(replace(opened.bundle, reference=encode_reference(reference)))
    assert again is not None
    np.testing.assert_array_equal(again.probability, reference.probability)
    reference.probability[0, KNOWN[0]] = np.nan
    with raises_code(Code.CORRUPT):
        read_reference(replace(opened.bundle, reference=encode_reference(reference)))


def test_cells_summaries_and_urgency_ignore_unknown_classes(predictions: Predictions) -> None:
    cells = shrink(predictions.probability[0], predictions.probability)
    np.testing.assert_array_equal(find_known(cells), find_known(predictions.probability))
    (row,) = summarize(predictions, ["plate"], [("p",)] * len(predictions))
    assert row["p01"] is None
    assert row["p00"] == pytest.approx(float(predictions.probability[:, 0].mean()), abs=1e-6)
    urgent = compute_urgency(parse_rule("status = unsure"), Facts(predictions.probability[0], "unsure"))
    assert urgent == pytest.approx(1 - np.nanmax(predictions.probability[0]))


def test_the_selftest_covers_the_known_classes(bundle: Path) -> None:
    opened = read_bundle(bundle)
    assert opened.card.classes == KNOWN
    assert find_known(opened.selftest.probabilities).sum() == len(KNOWN)
    assert Predictor(opened).engine.outputs


def test_classes_are_expanded() -> None:
    np.testing.assert_array_equal(expand_classes(np.ones((2, 1)), (3,), 0).sum(axis=1), [1, 1])
    full = np.zeros((1, N_LABELS))
    assert expand_classes(full, tuple(range(N_LABELS))) is full
