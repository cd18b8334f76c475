"""How common each place is: the prior that probabilities assume, and how to change it."""

from __future__ import annotations

import numpy as np

from lociscope.decide.checks import check_probability
from lociscope.errors import Code, LociscopeError

HPA_2018_FIELDS = 31_072
HPA_2018_COUNTS: tuple[int, ...] = (
    *(12885, 1254, 3621, 1561, 1858, 2513, 1008, 2822, 53, 45, 28, 1093, 688, 537),
    *(1066, 21, 530, 210, 902, 1482, 172, 3777, 802, 2965, 322, 8228, 328, 11),
)
"""Labelled fields of each of the 28 classes in the competition's training table of 31,072 fields."""

HPA_2018: np.ndarray = np.array(HPA_2018_COUNTS) / HPA_2018_FIELDS
"""(28,) the share of the competition's training fields that carry each label."""


def default_prior(classes: int) -> np.ndarray | None:
    """The prior taken where none is given: the competition's for 28 classes, none for another number."""
    return HPA_2018 if classes == len(HPA_2018) else None


def shrink_counts(truth: np.ndarray, prior: np.ndarray | None) -> np.ndarray:
    """Positives of each class, drawn toward a prior where the data do not contradict it.

    The prior is worth one positive, which for a rare class is thousands of fields. So it is mixed with a flat one,
    each weighted by how likely it makes the count (a robust mixture prior, Schmidli et al. 2014, Biometrics 70:1023):
    a class that is far more common here than the prior says is taken as it is.

    Args:
        truth: (n, classes), 0 or 1.
        prior: (classes,) shares above 0; None takes the flat prior alone.

    Returns:
        (classes,) of float64, above 0 and below n also where the truth holds none or all.
    """
    n, found = len(truth), truth.sum(axis=0).astype(np.float64)
    flat = n * (found + 0.5) / (n + 1)
    if prior is None:
        return np.asarray(flat)
    fields = 1 / np.asarray(prior, np.float64)
    informed = np.minimum(n * (found + 1) / (n + fields), n - 0.5)
    # Under a rate drawn from an exponential of mean `prior` the count is geometric; under a flat one it is uniform.
    fits = np.log(fields / (n + fields)) + found * np.log(n / (n + fields)) + np.log(n + 1)
    trust = 1 / (1 + np.exp(-np.clip(fits, -50, 50)))
    return np.asarray(trust * informed + (1 - trust) * flat)


def reweighted(probability: np.ndarray, assumed: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Probabilities under another prior, by the odds rule (Saerens et al. 2002, Neural Computation 14:21).

    Args:
        probability: (n, classes), calibrated where places are as common as `assumed`.
        assumed: (classes,) shares above 0 and below 1.
        wanted: (classes,) shares in 0–1.

    Returns:
        (n, classes), float64.

    Raises:
        LociscopeError: Shares outside their range, or another number of classes.
    """
    p = check_probability(probability)
    old, new = np.asarray(assumed, np.float64), np.asarray(wanted, np.float64)
    if old.shape != (p.shape[1],) or new.shape != old.shape:
        raise LociscopeError(
            f"A prior holds one share per class; received {old.shape} and {new.shape} for {p.shape[1]} classes.",
            code=Code.INVALID_VALUE,
        )
    if not ((old > 0) & (old < 1) & (new >= 0) & (new <= 1)).all():
        raise LociscopeError(
            "The assumed prior lies above 0 and below 1, the wanted one within 0–1, in every class.",
            code=Code.INVALID_VALUE,
        )
    yes, no = p * new / old, (1 - p) * (1 - new) / (1 - old)
    return np.asarray(yes / np.maximum(yes + no, np.finfo(np.float64).tiny))
