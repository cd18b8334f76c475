"""What reviewers agree on: the labels of each field, and Cohen's kappa of each two reviewers."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.labels import LABELS, to_multi_hot
from lociscope.review.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lociscope.review.records import Answer


class Consensus(NamedTuple):
    """The answers about one field together.

    Attributes:
        item: Number of the field.
        labels: The class numbers that more than half of the reviewers with labels named; None if there are none such
            reviewers, or if for a class exactly half of them named it.
        reviewers: Those with labels.
        cannot_tell: Those without.
        time: Of the last answer.
        notes: Of all.
        saw_model: Whether any of them had seen the model's answer before.
    """

    item: int
    labels: tuple[int, ...] | None
    reviewers: tuple[str, ...]
    cannot_tell: tuple[str, ...]
    time: str
    notes: tuple[str, ...]
    saw_model: bool


class Agreement(NamedTuple):
    """How far two reviewers agree.

    Attributes:
        reviewers: The two.
        fields: Number of fields that both labelled.
        same: Share of these with the same set of labels.
        kappa: Cohen's, over all decisions about fields and locations; None where it is not defined.
        by_location: The same for each location that either named, by its name.
    """

    reviewers: tuple[str, str]
    fields: int
    same: float
    kappa: float | None
    by_location: dict[str, float | None]


def find_consensus(answers: Sequence[Answer]) -> list[Consensus]:
    """Return the consensus of each field that has an answer, in the order of the fields."""
    by_item: dict[int, list[Answer]] = {}
    for answer in answers:
        by_item.setdefault(answer.item, []).append(answer)
    return [_agree(item, group) for item, group in sorted(by_item.items())]


def measure_agreement(answers: Sequence[Answer]) -> list[Agreement]:
    """Return the agreement of each two reviewers that labelled a field in common."""
    labels: dict[str, dict[int, tuple[int, ...]]] = {}
    for answer in answers:
        if answer.verdict == Verdict.LABELLED:
            labels.setdefault(answer.reviewer, {})[answer.item] = answer.labels
    return [
        _compare((one, other), labels[one], labels[other])
        for one, other in combinations(sorted(labels), 2)
        if labels[one].keys() & labels[other].keys()
    ]


def compute_kappa(one: np.ndarray, other: np.ndarray) -> float | None:
    """Return Cohen's kappa of two series of decisions; None if both always decide the same way.

    Cohen, Educational and Psychological Measurement 20, 37–46 (1960).

    Args:
        one: (n,) of bool.
        other: (n,) of bool.
    """
    observed = float(np.mean(one == other))
    expected = float(one.mean() * other.mean() + (1 - one.mean()) * (1 - other.mean()))
    return None if expected == 1 else (observed - expected) / (1 - expected)


def _agree(item: int, answers: Sequence[Answer]) -> Consensus:
    labelled = [answer for answer in answers if answer.verdict == Verdict.LABELLED]
    votes = [sum(number in answer.labels for answer in labelled) for number in range(len(LABELS))]
    disputed = any(2 * each == len(labelled) for each in votes)
    labels = tuple(number for number, each in enumerate(votes) if 2 * each > len(labelled))
    return Consensus(
        item,
        None if disputed or not labelled else labels,
        tuple(sorted(answer.reviewer for answer in labelled)),
        tuple(sorted(answer.reviewer for answer in answers if answer.verdict == Verdict.CANNOT_TELL)),
        max(answer.time for answer in answers),
        tuple(answer.note for answer in answers if answer.note),
        any(answer.saw_model for answer in answers),
    )


def _compare(
    reviewers: tuple[str, str], one: Mapping[int, tuple[int, ...]], other: Mapping[int, tuple[int, ...]]
) -> Agreement:
    shared = sorted(one.keys() & other.keys())
    here, there = (to_multi_hot([labels[item] for item in shared]).astype(bool) for labels in (one, other))
    either = np.flatnonzero((here | there).any(axis=0))
    return Agreement(
        reviewers,
        len(shared),
        float(np.mean((here == there).all(axis=1))),
        compute_kappa(here.ravel(), there.ravel()),
        {LABELS[number]: compute_kappa(here[:, number], there[:, number]) for number in either.tolist()},
    )
