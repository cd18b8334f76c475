"""Select the fields that people should label: uncertain, disputed, novel and rare ones, diverse, and some at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.decide.doubt import doubt
from lociscope.review.records import Reason

if TYPE_CHECKING:
    from lociscope.artifacts.predictions import Predictions

RANDOM_SHARE = 0.3
"""Share of the queue that is sampled at random: without it, the accuracy cannot be measured."""

DOUBTS = (Reason.UNCERTAIN, Reason.DISAGREEMENT)
"""Criteria that take three turns of four: their labels teach most (`benchmarks/review_queue.py`)."""

NEIGHBOURS = 5
MAX_COMPARED = 2000
"""Fields to which the novelty of a field is measured; of more, a sample."""

POSSIBLE = 0.2
"""Probability from which a field may show a location."""

UNLIKE_TRAINING = "unlike-training"


def select_fields(
    predictions: Predictions,
    count: int,
    *,
    second: np.ndarray | None = None,
    random_share: float = RANDOM_SHARE,
    seed: int = 0,
) -> list[tuple[int, Reason]]:
    """Select fields, in the order in which to review them.

    The random part is drawn first, from all fields. The criteria then take turns, three of four those of `DOUBTS`: each
    takes the field that ranks highest by it, is not taken yet, and is not too similar to those that are. Random fields
    are spread evenly over the queue, so that a queue that is reviewed in part still measures the accuracy.

    Args:
        predictions: The fields.
        count: How many to select.
        second: (n, 28) probabilities of a second model, for disagreement.
        random_share: Share of the queue that is sampled at random, 0–1.
        seed: Seed of the sample.

    Returns:
        Rows of the predictions, with the reason of each.
    """
    rng = np.random.default_rng(seed)
    n = len(predictions)
    count = min(count, n)
    random = rng.permutation(n)[: round(random_share * count)].tolist()
    targeted = _select_targeted(predictions, count - len(random), set(random), second, rng)
    places = {round(place) for place in np.linspace(0, count - 1, len(random))} if random else set()
    sampled, chosen = iter((row, Reason.RANDOM) for row in random), iter(targeted)
    return [next(sampled) if place in places else next(chosen) for place in range(count)]


def score_fields(
    predictions: Predictions, second: np.ndarray | None, rng: np.random.Generator
) -> dict[Reason, np.ndarray]:
    """Return the scores of each criterion, (n,), higher for fields that should be labelled."""
    probability = np.nan_to_num(predictions.probability)
    scores = {Reason.UNCERTAIN: doubt(predictions.probability)}
    if second is not None:
        scores[Reason.DISAGREEMENT] = np.nanmean(np.abs(predictions.probability - second), axis=1)
    unlike = np.array([status == UNLIKE_TRAINING for status in predictions.status])
    if predictions.embedding is not None and len(predictions) > NEIGHBOURS:
        novelty = _measure_novelty(predictions.embedding, rng)
        scores[Reason.NOVEL] = novelty + unlike * (novelty.max() + 1)
    elif unlike.any():
        scores[Reason.NOVEL] = unlike.astype(np.float64)
    rates = probability.mean(axis=0)
    rarity = -np.log(np.maximum(rates, 1e-6))
    scores[Reason.RARE] = np.max(np.where(probability >= POSSIBLE, rarity * probability, 0.0), axis=1)
    return scores


def _select_targeted(
    predictions: Predictions, count: int, taken: set[int], second: np.ndarray | None, rng: np.random.Generator
) -> list[tuple[int, Reason]]:
    scores = score_fields(predictions, second, rng)
    # Stable, with ties in random order: equal scores would otherwise prefer the first fields of a plate.
    shuffled = rng.permutation(len(predictions))
    orders = {reason: shuffled[np.argsort(-score[shuffled], kind="stable")] for reason, score in scores.items()}
    vectors = _normalize(predictions)
    closest = _typical_distance(vectors, rng)
    doubts = [reason for reason in orders if reason in DOUBTS]
    others = [reason for reason in orders if reason not in DOUBTS]
    selected: list[tuple[int, Reason]] = []
    nearest = np.full(len(predictions), np.inf)
    taken = set(taken)
    turn = 0
    while len(selected) < count:
        reason = doubts[turn % len(doubts)]
        if others and turn % 4 == 3:
            reason = others[turn // 4 % len(others)]
        turn += 1
        free = [row for row in orders[reason].tolist() if row not in taken]
        row = next((row for row in free if nearest[row] > closest), free[0])
        taken.add(row)
        selected.append((row, reason))
        nearest = np.minimum(nearest, np.linalg.norm(vectors - vectors[row], axis=1))
    return selected


def _normalize(predictions: Predictions) -> np.ndarray:
    """Return vectors whose distances say how similar fields are: embeddings, else probabilities."""
    vectors = np.nan_to_num(predictions.probability if predictions.embedding is None else predictions.embedding)
    vectors = vectors.astype(np.float64)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))


def _typical_distance(vectors: np.ndarray, rng: np.random.Generator) -> float:
    """Return the distance below which fields are too similar: half of that of the 10 % closest of random pairs."""
    if len(vectors) < 2:
        return 0.0
    pairs = rng.integers(len(vectors), size=(2, 1000))
    distances = np.linalg.norm(vectors[pairs[0]] - vectors[pairs[1]], axis=1)[pairs[0] != pairs[1]]
    return float(np.quantile(distances, 0.1)) / 2 if distances.size else 0.0


def _measure_novelty(embedding: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the mean distance of each field to its nearest neighbours."""
    vectors = embedding.astype(np.float64)
    vectors = (vectors - vectors.mean(axis=0)) / np.maximum(vectors.std(axis=0), 1e-6)
    others = vectors if len(vectors) <= MAX_COMPARED else vectors[rng.permutation(len(vectors))[:MAX_COMPARED]]
    found = np.empty(len(vectors))
    for start in range(0, len(vectors), 256):
        part = vectors[start : start + 256]
        squares = np.sum(part**2, axis=1)[:, None] + np.sum(others**2, axis=1) - 2 * part @ others.T
        # The smallest distance is that to the field itself, or nearly.
        nearest = np.partition(np.maximum(squares, 0), NEIGHBOURS, axis=1)[:, 1 : NEIGHBOURS + 1]
        found[start : start + 256] = np.sqrt(nearest).mean(axis=1)
    return found
