"""The figures of an acceptance report, against scikit-learn and by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.labels import LABELS, N_LABELS, to_multi_hot
from lociscope.report.acceptance import MORE_LABELS, ONE_LABEL, UNIFORM, VARIED, accept, score_classes
from lociscope.report.metrics import measure

if TYPE_CHECKING:
    from pathlib import Path


def bits(rows: list[set[int]]) -> np.ndarray:
    return to_multi_hot(rows).astype(bool)


@pytest.mark.slow
def test_the_figures_of_real_networks_equal_those_of_scikit_learn(real_data: Path) -> None:
    from scipy.stats import ks_2samp
    from sklearn import metrics as sk

    with np.load(real_data / "predictions" / "validation.npz") as saved:
        truth = saved["truth"].astype(int)
        probability = next(np.asarray(saved[name], float) for name in saved.files if name != "truth")
    probability = probability[0] if probability.ndim == 3 else probability
    decided = (probability >= 0.3).astype(int)
    found = measure(truth, probability, decided, "real fields", resamples=20)
    scored = truth.any(axis=0)
    t, d, p = truth[:, scored], decided[:, scored], probability[:, scored]
    values = {name: each.value for name, each in found.figures.items()}
    assert values["macro_f1"] == pytest.approx(sk.f1_score(t, d, average="macro", zero_division=0))
    assert values["macro_precision"] == pytest.approx(sk.precision_score(t, d, average="macro", zero_division=0))
    assert values["macro_recall"] == pytest.approx(sk.recall_score(t, d, average="macro"))
    assert values["exact_match"] == pytest.approx(sk.accuracy_score(truth, decided))
    assert values["decision_accuracy"] == pytest.approx(1 - sk.hamming_loss(truth, decided))
    assert values["macro_average_precision"] == pytest.approx(sk.average_precision_score(t, p))
    assert values["lrap"] == pytest.approx(sk.label_ranking_average_precision_score(truth, probability), abs=1e-6)
    assert found.acceptance is not None
    assert found.acceptance.micro_f1 == pytest.approx(sk.f1_score(truth, decided, average="micro"))
    scores = [each for each, has in zip(found.classes, scored, strict=True) if has]
    for name, expected in {
        "f1": sk.f1_score(t, d, average=None, zero_division=0),
        "precision": sk.precision_score(t, d, average=None, zero_division=0),
        "recall": sk.recall_score(t, d, average=None),
        "jaccard": sk.jaccard_score(t, d, average=None, zero_division=0),
        "average_precision": sk.average_precision_score(t, p, average=None),
    }.items():
        np.testing.assert_allclose([getattr(each, name) for each in scores], expected, atol=1e-9)
    for number in np.flatnonzero(scored):
        precision, recall, _ = sk.precision_recall_curve(truth[:, number], probability[:, number])
        curve = np.asarray(found.acceptance.curves[number])
        points = {(round(r, 4), round(q, 4)) for r, q in zip(recall.tolist(), precision.tolist(), strict=True)}
        assert {tuple(point) for point in curve.tolist()} <= points
    overlap = (truth & decided).sum(axis=1) / np.maximum((truth | decided).sum(axis=1), 1)
    many = truth.sum(axis=1) > 1
    test = found.acceptance.label_count.test
    assert test is not None
    assert test.statistic == pytest.approx(ks_2samp(overlap[~many], overlap[many]).statistic)


def test_confusions_name_what_was_missed_and_what_was_reported_instead() -> None:
    truth = bits([{0}, {0}, {0, 7}, {5}, {3}])
    decided = bits([{5}, {5, 2}, {7}, {5}, {3, 4}])
    found = np.asarray(accept(truth, decided.astype(float), decided, None).confusions)
    assert found[0, 5] == 2
    assert found[0, 2] == 1
    assert found.sum() == 3  # a wrong location without a missed one is no confusion, nor a missed one alone


def test_fields_are_split_by_labels_cell_line_and_variation() -> None:
    truth = bits([{0}] * 6 + [{0, 7}] * 6 + [set()])
    decided = bits([{0}] * 12 + [set()])
    lines = ["A", "A", "B", None, "A", *[None] * 7, ""]
    found = accept(
        truth,
        decided.astype(float),
        decided,
        None,
        lines,
        {0: True, 8: False},
    )
    one, more, none = found.label_count.subsets
    assert [each.name for each in (one, more, none)] == [ONE_LABEL, MORE_LABELS, "No label"]
    assert (one.figures["jaccard"].value, more.figures["jaccard"].value) == (1, 0.5)
    assert found.label_count.test is not None
    assert found.label_count.test.statistic == 1
    assert [(each.name, each.fields) for each in found.cell_lines] == [("A", 3), ("B", 1)]
    assert found.variation is not None
    assert [(each.name, each.fields) for each in found.variation.subsets] == [(VARIED, 1), (UNIFORM, 1)]
    assert [*found.levels] == ["28 classes", "19 classes of 2021", "3 compartments"]


def test_one_kind_of_field_has_no_test_and_a_class_without_positives_no_curve() -> None:
    truth = bits([{0}, {1}])
    found = accept(truth, truth * 0.5, truth, None)
    assert found.label_count.test is None
    assert found.variation is None
    assert [bool(curve) for curve in found.curves] == [True, True, *[False] * (N_LABELS - 2)]


def test_a_class_of_a_level_by_unknown_labels_alone_does_not_count() -> None:
    """The model knows nucleoli (2) and cytosol (25), but not nuclear bodies (5), which are of the nucleus, too."""
    truth = to_multi_hot([{2}, {5}, {5, 2}, {25}, {5}])
    predicted = to_multi_hot([{2}, {2}, {2}, {25}, {25}])
    probability = np.where(predicted, 0.9, 0.1)
    probability[:, [number for number in range(N_LABELS) if number not in (2, 25)]] = np.nan
    found = measure(truth, probability, predicted, "x", resamples=20)
    assert found.acceptance is not None
    # of the nucleus, fields 0 and 2 are right, and 1 and 4 do not count; of the cytosol, 3 is right and 4 is wrong
    nucleus, cytoplasm = 1.0, 2 / 3
    assert found.acceptance.levels["3 compartments"].value == pytest.approx((nucleus + cytoplasm) / 2)
    # of the 28 classes the unknown label is no excuse: a nucleolus that is not labelled is wrong
    assert found.acceptance.levels["28 classes"].value == pytest.approx((2 * 2 / (2 + 3) + 2 / 3) / 2)


def test_classes_have_intervals_unless_they_have_no_positives() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((60, N_LABELS)) < 0.3
    truth[:, 9] = False
    decided = truth ^ (rng.random(truth.shape) < 0.1)
    scores = score_classes(truth, decided * 0.8, decided, np.arange(60) // 2)
    for each in scores:
        if each.label == LABELS[9]:
            assert (each.f1, each.recall, each.intervals) == (None, None, {})
            continue
        assert set(each.intervals) == {"f1", "precision", "recall", "jaccard", "average_precision"}
        low, high = each.intervals["f1"]
        assert each.f1 is not None
        assert low <= each.f1 <= high
