"""Find labels that the picture contradicts, from the probabilities of a model: confident learning.

Northcutt, Jiang and Chuang, Journal of Artificial Intelligence Research 70, 1373–1411 (2021), for each class alone, as
Thyagarajan et al. extend it to several labels (arXiv:2211.13895). The library of these authors, cleanlab, is under the
AGPL, which lociscope cannot adopt; the rule is short.
"""

from __future__ import annotations

import numpy as np

from lociscope.data.explore.findings import Finding, FindingKind
from lociscope.decide.calibration import Calibration
from lociscope.decide.prior import HPA_2018
from lociscope.labels import N_LABELS, expand_classes, find_known, to_multi_hot

_SHRINK = 30.0
_SMALLEST = 1e-5


def find_contradictions(
    ids: list[str], targets: list[tuple[int, ...]], probability: np.ndarray, usable: np.ndarray | None = None
) -> list[Finding]:
    """Find the fields whose labels the model contradicts.

    A class is *confidently present* if its probability reaches the mean of the fields labelled with it, or one half,
    and *confidently absent* if it is at most the mean of the fields without it. A field is reported if a label is
    confidently absent and another class, which is not labelled, confidently present.

    Args:
        ids: Of n labelled fields.
        targets: Their classes.
        probability: (n, 28) in 0–1, of a model that was not trained on them; NaN for a class that it does not know,
            of which no label is judged.
        usable: (n,) of bool: fields whose pictures can be trusted; None for all.

    Returns:
        The findings, each with the most doubtful label, the class that the picture supports most, their calibrated
        probabilities, and the score of `score_contradictions`.
    """
    if not ids:
        return []
    truth = to_multi_hot(targets).astype(bool)
    calibrated = calibrate(truth, probability)
    scores = score_contradictions(truth, calibrated)
    absent, present = _find_confident(truth, calibrated)
    found = []
    for row, name in enumerate(ids):
        wrong, missed = truth[row] & absent[row], ~truth[row] & present[row]
        if not (wrong.any() and missed.any()) or (usable is not None and not usable[row]):
            continue
        label = int(np.where(wrong, calibrated[row], 2).argmin())
        instead = int(np.where(missed, calibrated[row], -1).argmax())
        figures = {
            "probability_of_label": float(calibrated[row, label]),
            "probability_of_suggested": float(calibrated[row, instead]),
        }
        found.append(
            Finding(
                FindingKind.CONTRADICTED_LABELS, (name,), float(scores[row]), (), (label,), (instead,), figures=figures
            )
        )
    return found


def calibrate(truth: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return (n, 28) probabilities that agree with how often these fields have each label.

    Args:
        truth: (n, 28) of bool.
        probability: (n, 28).
    """
    known = find_known(probability)
    clipped = np.clip(np.asarray(probability, float)[:, known], _SMALLEST, 1 - _SMALLEST)
    calibration = Calibration("platt", shrink=_SHRINK, prior=HPA_2018[known])
    calibration.fit(truth[:, known].astype(np.uint8), clipped)
    calibrated: np.ndarray = np.clip(calibration.predict(clipped), _SMALLEST, 1 - _SMALLEST)
    return expand_classes(calibrated, tuple(np.flatnonzero(known).tolist()))


def score_contradictions(truth: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return the log odds that one label was replaced by another, up to a constant.

    The odds of exchanging label a for class b are p(b) / (1 − p(b)) · (1 − p(a)) / p(a); their sum over all labels a
    and all other classes b is a product of two sums.

    Args:
        truth: (n, 28) of bool.
        probability: (n, 28), calibrated.

    Returns:
        (n,) of float; −inf for a field without labels.
    """
    logits = np.log(probability) - np.log1p(-probability)
    known = ~np.isnan(probability)
    instead = np.logaddexp.reduce(np.where(known & ~truth, logits, -np.inf), axis=1)
    wrong = np.logaddexp.reduce(np.where(known & truth, -logits, -np.inf), axis=1)
    return np.asarray(instead + wrong)


def _find_confident(truth: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, 28) whether a class is confidently absent, and whether it is confidently present."""
    absent, present = np.zeros(truth.shape, bool), np.zeros(truth.shape, bool)
    for label in range(N_LABELS):
        has = truth[:, label]
        if has.any() and not has.all():
            absent[:, label] = probability[:, label] <= probability[~has, label].mean()
            present[:, label] = probability[:, label] >= min(float(probability[has, label].mean()), 0.5)
    return absent, present
