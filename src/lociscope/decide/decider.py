"""Decide from the probabilities of several members: combined probability, locations, prediction sets and a status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lociscope.decide.calibration import Calibration
from lociscope.decide.checks import check_truth
from lociscope.decide.conformal import PredictionSets, UnsureRule, compute_confidence
from lociscope.decide.crossfit import cross_val_predict
from lociscope.decide.ensemble import Combiner, Ensemble, check_member_stack, fit_ensemble
from lociscope.decide.metrics import jaccard
from lociscope.decide.thresholds import Policy, Thresholds

if TYPE_CHECKING:
    import numpy as np

CALIBRATED_AFTER: dict[str, Literal["platt", "none"]] = {"mean": "platt", "logits": "platt"}
"""Plain means need calibration afterwards; the other combiners return calibrated probabilities."""

COVERAGE = 0.9


@dataclass(frozen=True, slots=True)
class Decider:
    """The fitted pipeline that turns the probabilities of the members into decisions.

    Attributes:
        ensemble: Combines the members.
        calibration: Calibrates the combined probabilities; its method is `none` where the combiner calibrates.
        thresholds: The threshold of each class.
        sets: Prediction sets.
        unsure: Flags decisions that are likely wrong.
    """

    ensemble: Ensemble
    calibration: Calibration
    thresholds: Thresholds
    sets: PredictionSets
    unsure: UnsureRule

    def predict(self, members: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities (n, classes) of members (members, n, classes)."""
        return self.calibration.predict(self.ensemble.predict(members))

    def decide(self, probability: np.ndarray, *, fill_blank: bool = False) -> tuple[np.ndarray, list[str]]:
        """Decide the locations and the status of each field.

        Args:
            probability: (n, classes), from `predict`.
            fill_blank: As in `Thresholds.predict`; the status is that of the decision before filling.

        Returns:
            Decisions (n, classes) of bool, and for each field `ok`, `unsure` or `negative`.
        """
        decided = self.thresholds.predict(probability)
        status = self.unsure.predict(probability, decided)
        return self.thresholds.predict(probability, fill_blank=fill_blank), status


def fit_combination(
    truth: np.ndarray, members: np.ndarray, combiner: Combiner, prior: np.ndarray | None = None
) -> tuple[Ensemble, Calibration]:
    """Fit a combiner and, where it needs one, the calibration after it."""
    ensemble = fit_ensemble(truth, members, combiner, prior)
    calibration = Calibration(CALIBRATED_AFTER.get(combiner, "none"), prior=prior)
    return ensemble, calibration.fit(truth, ensemble.predict(members))


def predict_out_of_fold(
    truth: np.ndarray,
    members: np.ndarray,
    combiner: Combiner,
    fold: np.ndarray,
    prior: np.ndarray | None = None,
) -> np.ndarray:
    """Return probabilities (n, classes), each field predicted by a combination that was fitted without its fold."""

    def fit_predict(train_truth: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        ensemble, calibration = fit_combination(train_truth, train, combiner, prior)
        return calibration.predict(ensemble.predict(test))

    return cross_val_predict(fit_predict, truth, members, fold)


def fit_decider(
    truth: np.ndarray,
    members: np.ndarray,
    combiner: Combiner,
    policy: Policy,
    out_of_fold: np.ndarray,
    *,
    prior: np.ndarray | None = None,
    seed: int = 0,
) -> Decider:
    """Fit the combination on all fields, and the later steps on out-of-fold probabilities.

    Args:
        truth: (n, classes), 0 or 1.
        members: (members, n, classes), 0–1.
        combiner: How members are combined.
        policy: How thresholds are chosen.
        out_of_fold: (n, classes), probabilities of the same combiner from `predict_out_of_fold`.
        prior: (classes,) shares; by default those of the competition for 28 classes.
        seed: Random seed of the resamples of the thresholds.
    """
    truth, members = check_truth(truth), check_member_stack(members)
    ensemble, calibration = fit_combination(truth, members, combiner, prior)
    thresholds = Thresholds(policy, prior=prior, seed=seed).fit(truth, out_of_fold)
    decided = thresholds.predict(out_of_fold)
    overlap = jaccard.per_row(truth, decided)
    unsure = UnsureRule().fit(overlap, compute_confidence(out_of_fold, decided))
    return Decider(ensemble, calibration, thresholds, PredictionSets(COVERAGE).fit(truth, out_of_fold), unsure)
