"""Predictions whose label rates are matched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.predictions import Predictions
from lociscope.decide.prior import HPA_2018
from lociscope.errors import Code, LociscopeError
from lociscope.labels import N_LABELS
from lociscope.predict.out_of_distribution import STATUS as UNLIKE
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.workflows.match import HPA, MIN_FIELDS, match_table, read_rates

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FIELDS = MIN_FIELDS + 10


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return open_bundle(tiny_bundle, threads=1)


def write_table(folder: Path, fields: int = FIELDS, unlike: int = 0) -> Path:
    probability = np.random.default_rng(0).beta(1, 6, (fields, N_LABELS)).astype(np.float32)
    status = [UNLIKE if number < unlike else "ok" for number in range(fields)]
    path = folder / "plate.parquet"
    Predictions([str(n) for n in range(fields)], probability, [()] * fields, status, [()] * fields).write(path)
    return path


def test_means_become_the_rates_and_the_order_stays(predictor: Predictor, tmp_path: Path) -> None:
    table = write_table(tmp_path, unlike=3)
    path = match_table(predictor, table, HPA_2018)
    before, after = Predictions.read(table), Predictions.read(path)
    assert path.name == "plate.matched.parquet"
    assert after.ids == before.ids
    np.testing.assert_allclose(after.probability[3:].mean(axis=0), HPA_2018, atol=1e-5)
    assert (np.argsort(after.probability[3:], axis=0) == np.argsort(before.probability[3:], axis=0)).all()
    thresholds = np.asarray(predictor.bundle.card.decide.thresholds)
    assert all(set(after.predicted[row]) == {*np.flatnonzero(after.probability[row] >= thresholds)} for row in (5, 40))


def test_fields_unlike_the_training_keep_what_was_predicted(predictor: Predictor, tmp_path: Path) -> None:
    table = write_table(tmp_path, unlike=3)
    before, after = Predictions.read(table), Predictions.read(match_table(predictor, table, HPA_2018))
    np.testing.assert_array_equal(after.probability[:3], before.probability[:3])
    assert after.status[:3] == [UNLIKE] * 3


def test_unknown_classes_stay_unknown(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    known = (0, 2, 7, 25)
    predictor = open_bundle(make_bundle(tmp_path / "bundle", classes=known), threads=1)
    probability = np.full((FIELDS, N_LABELS), np.nan, np.float32)
    probability[:, known] = np.random.default_rng(0).random((FIELDS, len(known)))
    table = tmp_path / "some.csv"
    names = [str(number) for number in range(FIELDS)]
    Predictions(names, probability, [()] * FIELDS, ["ok"] * FIELDS, [()] * FIELDS).write(table)
    after = Predictions.read(match_table(predictor, table, HPA_2018)).probability
    np.testing.assert_allclose(after[:, known].mean(axis=0), HPA_2018[list(known)], atol=1e-5)
    assert np.isnan(np.delete(after, known, axis=1)).all()


def test_few_fields_are_refused(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(LociscopeError) as caught:
        match_table(predictor, write_table(tmp_path, MIN_FIELDS + 1, unlike=2), HPA_2018)
    assert caught.value.code == Code.NOT_ENOUGH_DATA


def test_rates_of_the_competition_and_of_labels(tmp_path: Path) -> None:
    assert read_rates(HPA) is HPA_2018
    labels = tmp_path / "labels.csv"
    labels.write_text("Id,Target\na,0 25\nb,0\nc,25\n", encoding="utf-8")
    rates = read_rates(labels)
    assert rates[[0, 25, 1]].tolist() == [2.5 / 4, 2.5 / 4, 0.5 / 4]
    labels.write_text("Id,Target\n", encoding="utf-8")
    with pytest.raises(LociscopeError) as caught:
        read_rates(labels)
    assert caught.value.code == Code.NOTHING_FOUND
