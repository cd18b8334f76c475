"""Rank candidates: cross-fitted thresholds, paired gains, correlation of errors, a shortlist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lociscope.decide.intervals import bootstrap, paired_bootstrap
from lociscope.decide.locations import THRESHOLD_GRID
from lociscope.decide.metrics import lrap, macro_average_precision, macro_f1
from lociscope.report import ranking
from lociscope.report.candidates import Candidate, read_candidate
from lociscope.report.ranking import compare_candidates, cross_fit_decisions, error_correlation, label_prior_scores
from lociscope.splits.folds import stratified_folds

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "RESAMPLES", 60)


def candidate(make_run: Make, name: str, **more: object) -> Candidate:
    return read_candidate(make_run(name, **more), name)


def test_figures_and_gains_are_those_of_the_bootstrap(make_run: Make) -> None:
    a, b = candidate(make_run, "a", specimens=20), candidate(make_run, "b", noise=0.5, seed=1, specimens=20)
    (group,) = compare_candidates([a, b])
    assert (group.base, group.fields, group.units) == ("a", 60, 20)
    first, second = group.models
    assert first.gains == {}
    again = {"groups": a.groups, "n": 60, "seed": 0, "level": 0.9}
    assert second.figures["lrap"] == bootstrap(lrap, b.truth, b.probability, **again)  # type: ignore[arg-type]
    paired = paired_bootstrap(lrap, b.truth, b.probability, a.probability, **again)  # type: ignore[arg-type]
    assert second.gains["lrap"] == paired
    assert paired.low > 0
    decided = cross_fit_decisions(a.truth, a.probability, a.groups)
    assert first.figures["macro_f1"].value == float(macro_f1(a.truth, decided))


def test_the_base_may_be_named(make_run: Make) -> None:
    both = [candidate(make_run, name) for name in "ab"]
    (group,) = compare_candidates(both, "b")
    assert group.base == "b"
    assert [bool(each.gains) for each in group.models] == [True, False]


def test_other_fields_are_another_league(make_run: Make) -> None:
    told: list[tuple[int, int]] = []
    given = [candidate(make_run, "a"), candidate(make_run, "b", validation=1), candidate(make_run, "c", seed=3)]
    same, other = compare_candidates(given, "a", lambda done, total: told.append((done, total)))
    assert [each.candidate.name for each in same.models] == ["a", "c"]
    assert [each.candidate.name for each in other.models] == ["b"]
    assert other.base == "b"
    assert other.shortlist is None
    assert told == [(1, 3), (2, 3), (3, 3)]
    relabelled = replace(given[0], name="d", truth=given[0].truth[::-1].copy())
    assert len(compare_candidates([given[0], relabelled])) == 2


def test_no_field_helps_to_choose_its_own_threshold() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random((100, 4)) < 0.3).astype(np.uint8)
    probability = np.clip(0.3 * truth + 0.6 * rng.random((100, 4)), 0, 1)
    groups = np.array([f"g{number % 20}" for number in range(100)])
    decided = cross_fit_decisions(truth, probability, groups)
    fold = stratified_folds(truth, 5, 0, groups)
    for number in range(5):
        elsewhere = fold != number
        scores = [float(macro_f1(truth[elsewhere], probability[elsewhere] >= cut)) for cut in THRESHOLD_GRID]
        expected = probability[~elsewhere] >= THRESHOLD_GRID[int(np.argmax(scores))]
        assert np.array_equal(decided[~elsewhere], expected)


def test_a_cross_fitted_threshold_flatters_less_than_the_best() -> None:
    rng = np.random.default_rng(1)
    gaps = []
    for _ in range(20):  # noise: whatever is chosen, it is chosen by luck
        truth, probability = (rng.random((60, 6)) < 0.2).astype(np.uint8), rng.random((60, 6))
        best = max(float(macro_f1(truth, probability >= cut)) for cut in THRESHOLD_GRID)
        gaps.append(best - float(macro_f1(truth, cross_fit_decisions(truth, probability))))
    assert min(gaps) >= 0
    assert np.mean(gaps) > 0.005


def test_two_fields_are_enough_to_decide() -> None:
    decided = cross_fit_decisions(np.eye(2, dtype=np.uint8), np.array([[0.9, 0.1], [0.2, 0.8]]))
    assert decided.shape == (2, 2)


def test_the_label_prior_never_looks() -> None:
    truth = np.zeros((10, 28), np.uint8)
    truth[:4, 0] = 1
    truth[:, 1] = 1
    scores = label_prior_scores(truth)
    assert scores["macro_auc"] == pytest.approx(0.5)
    assert scores["macro_average_precision"] == pytest.approx((0.4 + 1) / 2)
    assert scores["macro_f1"] == pytest.approx((2 * 4 / 14 + 1) / 2)


def test_errors_of_the_same_run_are_similar_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random((2000, 5)) < 0.3).astype(np.uint8)
    truth[:, 4] = 0
    noise = [rng.random(truth.shape) for _ in range(2)]
    a, b = (0.3 * truth + 0.6 * each for each in noise)
    half = 0.3 * truth + 0.3 * (noise[0] + noise[1])
    alike = error_correlation(truth, np.stack([a, b, half, 0.5 * a, np.full(truth.shape, 0.3)]))
    assert alike[:4, :4].diagonal() == pytest.approx(1)
    assert abs(alike[0, 1]) < 0.05
    assert alike[0, 2] == pytest.approx(np.sqrt(0.5), abs=0.05)
    assert alike[0, 3] == pytest.approx(1)
    assert np.isnan(alike[4]).all()


def test_a_shortlist_prefers_those_that_err_differently(make_run: Make) -> None:
    a = candidate(make_run, "a", fields=300)
    twin = replace(a, name="twin")
    b, bad = (candidate(make_run, "b", seed=2, fields=300), candidate(make_run, "bad", seed=3, noise=9.0, fields=300))
    found = compare_candidates([a, twin, b, bad])[0].shortlist
    assert found is not None
    assert {each.name for each in found.members} == {"a", "b"}
    assert sum(each.share for each in found.members) == pytest.approx(1)
    assert all(each.folds == 5 for each in found.members)
    assert found.best == max((a, b), key=lambda each: float(macro_average_precision(a.truth, each.probability))).name
    best = {"a": a, "b": b}[found.best].probability
    gain = found.figures["lrap"].value - float(lrap(a.truth, best))
    assert found.gains["lrap"].value == pytest.approx(gain)
    assert found.gains["macro_average_precision"].low > 0
    assert found.figures["macro_average_precision"].value > float(macro_average_precision(a.truth, a.probability))


def test_too_few_fields_suggest_nothing(make_run: Make) -> None:
    few = [candidate(make_run, name, fields=20, seed=number) for number, name in enumerate("ab")]
    assert compare_candidates(few)[0].shortlist is None
    assert compare_candidates([candidate(make_run, "only", fields=60)])[0].shortlist is None
