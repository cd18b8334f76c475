"""Which fields people should label: each criterion finds its own, diverse, and some are random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lociscope.artifacts.predictions import Predictions
from lociscope.review.queue import DOUBTS, score_fields, select_fields
from lociscope.review.records import Reason


def make_predictions(n: int = 200, seed: int = 0) -> Predictions:
    """Return certain predictions of one of three classes, with embeddings near one of three corners."""
    rng = np.random.default_rng(seed)
    which = np.arange(n) % 3
    probability = rng.uniform(0, 0.03, (n, 28)).astype(np.float32)
    probability[np.arange(n), which] = rng.uniform(0.97, 1, n)
    embedding = (rng.normal(0, 0.5, (n, 4)) + np.eye(3, 4)[which]).astype(np.float32)
    return Predictions(
        [f"f{number}" for number in range(n)], probability, [(int(each),) for each in which], ["ok"] * n, [()] * n,
        embedding,
    )  # fmt: skip


def test_each_criterion_finds_its_own_fields() -> None:
    made = make_predictions()
    made.probability[10, :6] = 0.5  # uncertain
    made.probability[20, 27] = 0.9  # rods and rings, which no other field has
    assert made.embedding is not None
    made.embedding[30] = 3  # far from all others
    second = made.probability.copy()
    second[40, :9] = 1 - second[40, :9]
    scores = score_fields(made, second, np.random.default_rng(0))
    assert {reason: int(score.argmax()) for reason, score in scores.items()} == {
        Reason.UNCERTAIN: 10,
        Reason.DISAGREEMENT: 40,
        Reason.NOVEL: 30,
        Reason.RARE: 20,
    }
    selected = select_fields(made, 8, second=second, random_share=0)
    doubts = [reason in DOUBTS for _, reason in selected]
    assert doubts == [True, True, True, False] * 2
    assert set(selected) >= {
        (10, Reason.UNCERTAIN),
        (40, Reason.DISAGREEMENT),
        (30, Reason.NOVEL),
        (20, Reason.RARE),
    }


def test_fields_unlike_the_training_are_novel_without_embeddings() -> None:
    made = replace(make_predictions(), embedding=None)
    made.status[7] = "unlike-training"
    assert score_fields(made, None, np.random.default_rng(0))[Reason.NOVEL].argmax() == 7


@pytest.mark.parametrize("count", [1, 2, 7, 30, 199, 200, 500])
@pytest.mark.parametrize("share", [0, 0.3, 0.5, 1])
def test_each_field_is_selected_once_and_the_random_ones_are_spread(count: int, share: float) -> None:
    selected = select_fields(make_predictions(), count, random_share=share)
    rows = [row for row, _ in selected]
    assert len(rows) == len(set(rows)) == min(count, 200)
    random = [place for place, (_, reason) in enumerate(selected) if reason == Reason.RANDOM]
    assert len(random) == round(share * len(rows))
    if len(random) > 2:
        assert max(np.diff(random)) <= len(rows) / (len(random) - 1) + 1


def test_the_random_part_is_a_fair_sample() -> None:
    made = make_predictions(40)
    made.probability[:5, :9] = 0.5
    counts = np.zeros(40)
    for seed in range(400):
        for row, reason in select_fields(made, 20, random_share=0.5, seed=seed):
            counts[row] += reason == Reason.RANDOM
    assert counts.mean() == 100
    assert counts[:5].mean() == pytest.approx(100, abs=15)  # as often as any other field


def test_similar_fields_are_not_selected_again_and_again() -> None:
    made = make_predictions(300)
    # Forty copies of one uncertain field: without diversity they fill the queue.
    made.probability[:40, :3] = 0.5
    made.probability[40:50, 3:9] = 0.45
    assert made.embedding is not None
    made.embedding[:40] = made.embedding[0]
    selected = select_fields(made, 20, random_share=0)
    assert sum(row < 40 for row, _ in selected) <= 2
