"""Shares of the classes: the label prior of the competition, and class counts shrunk toward a prior."""

from __future__ import annotations

import numpy as np

HPA_2018_FIELDS = 31_072
HPA_2018_COUNTS: tuple[int, ...] = (
    *(12885, 1254, 3621, 1561, 1858, 2513, 1008, 2822, 53, 45, 28, 1093, 688, 537),
    *(1066, 21, 530, 210, 902, 1482, 172, 3777, 802, 2965, 322, 8228, 328, 11),
)
"""Labelled fields of each of the 28 classes in the competition's training table of 31,072 fields."""

HPA_2018: np.ndarray = np.array(HPA_2018_COUNTS) / HPA_2018_FIELDS
"""(28,) the share of the training fields of the competition that have each label."""


def default_prior(classes: int) -> np.ndarray | None:
    """Return the default prior: that of the competition for 28 classes, None for another number."""
    return HPA_2018 if classes == len(HPA_2018) else None


def shrink_counts(truth: np.ndarray, prior: np.ndarray | None) -> np.ndarray:
    """Shrink the positives of each class toward a prior where the data do not contradict it.

    The prior has the weight of one positive, which for a rare class is thousands of fields. Therefore it is mixed with
    a flat prior, each weighted by the likelihood of the count (a robust mixture prior, Schmidli et al. 2014,
    Biometrics 70:1023): the count of a class that is far more common here than in the prior is not shrunk.

    Args:
        truth: (n, classes), 0 or 1.
        prior: (classes,) shares above 0; None uses the flat prior alone.

    Returns:
        (classes,) of float64, above 0 and below n even where none or all fields are positives.
    """
    n, positives = len(truth), truth.sum(axis=0).astype(np.float64)
    flat = n * (positives + 0.5) / (n + 1)
    if prior is None:
        return np.asarray(flat)
    fields = 1 / np.asarray(prior, np.float64)
    informed = np.minimum(n * (positives + 1) / (n + fields), n - 0.5)
    # For a rate from an exponential distribution of mean `prior` the count is geometric; for a flat one it is uniform.
    fits = np.log(fields / (n + fields)) + positives * np.log(n / (n + fields)) + np.log(n + 1)
    weight = 1 / (1 + np.exp(-np.clip(fits, -50, 50)))
    return np.asarray(weight * informed + (1 - weight) * flat)
