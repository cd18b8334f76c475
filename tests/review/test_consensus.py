"""Consensus of reviewers, and Cohen's kappa."""

from __future__ import annotations

import numpy as np
import pytest

from lociscope.review.consensus import compute_kappa, find_consensus, measure_agreement
from lociscope.review.records import Answer, Verdict


def answer(item: int, reviewer: str, *labels: int, verdict: Verdict = Verdict.LABELLED, saw: bool = False) -> Answer:
    return Answer(item, reviewer, verdict, labels, "note" if saw else "", saw, f"2026-05-0{item}")


def test_kappa_is_cohen_s_example() -> None:
    # Twenty proposals are accepted by both, fifteen rejected by both, five and ten by one of them: 0.4.
    one = np.array([True] * 25 + [False] * 25)
    other = np.array([True] * 20 + [False] * 5 + [True] * 10 + [False] * 15)
    assert compute_kappa(one, other) == pytest.approx(0.4)
    assert compute_kappa(one, ~one) == pytest.approx(-1)
    assert compute_kappa(one, one) == 1
    assert compute_kappa(np.ones(4, bool), np.ones(4, bool)) is None


def test_kappa_agrees_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    one = rng.random(200) < 0.3
    other = np.where(rng.random(200) < 0.2, ~one, one)
    assert compute_kappa(one, other) == pytest.approx(metrics.cohen_kappa_score(one, other))


def test_labels_need_more_than_half_of_the_reviewers() -> None:
    answers = [
        answer(1, "ann", 0, 3), answer(1, "bob", 0), answer(1, "cid", 0, 3, saw=True),
        answer(2, "ann", 0), answer(2, "bob", 5),
        answer(3, "ann"), answer(3, "bob", verdict=Verdict.CANNOT_TELL),
        answer(4, "ann", verdict=Verdict.CANNOT_TELL),
    ]  # fmt: skip
    agreed, disputed, negative, unknown = find_consensus(answers)
    assert (agreed.labels, agreed.reviewers, agreed.saw_model, agreed.notes) == (
        (0, 3),
        ("ann", "bob", "cid"),
        True,
        ("note",),
    )
    assert disputed.labels is None
    assert (negative.labels, negative.reviewers, negative.cannot_tell) == ((), ("ann",), ("bob",))
    assert (unknown.labels, unknown.reviewers) == (None, ())


def test_agreement_counts_what_both_labelled() -> None:
    answers = [answer(item, "ann", item % 2) for item in range(1, 7)]
    answers += [answer(item, "bob", 1 if item == 2 else item % 2) for item in range(1, 6)]
    answers += [answer(9, "cid", 3), answer(6, "bob", verdict=Verdict.CANNOT_TELL)]
    (found,) = measure_agreement(answers)
    assert (found.reviewers, found.fields, found.same) == (("ann", "bob"), 5, 0.8)
    ann = np.array([True, False, True, False, True])
    assert found.by_location["Nuclear membrane"] == compute_kappa(ann, ann | (np.arange(5) == 1))
    assert set(found.by_location) == {"Nucleoplasm", "Nuclear membrane"}
    assert found.kappa == pytest.approx(1 - (2 / 140) / (2 * (5 / 140) * (135 / 140)))
