"""A whole decision, fitted: members' probabilities in; one probability, places, sets and a status out."""

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
"""Plain means are calibrated afterwards; the other combiners come out calibrated."""

COVERAGE = 0.9


@dataclass(frozen=True, slots=True)
class Decider:
    """Everything that turns members' probabilities into decisions.

    Attributes:
        ensemble: Combines the members.
        calibration: Corrects what comes out; of method `none` where the combiner did that.
        thresholds: Decides.
        sets: Prediction sets.
        unsure: Which decisions deserve no belief.
    """

    ensemble: Ensemble
    calibration: Calibration
    thresholds: Thresholds
    sets: PredictionSets
    unsure: UnsureRule

    def predict(self, members: np.ndarray) -> np.ndarray:
        """Calibrated probabilities (n, classes) of members (members, n, classes)."""
        return self.calibration.predict(self.ensemble.predict(members))

    def decide(self, probability: np.ndarray, *, fill_blank: bool = False) -> tuple[np.ndarray, list[str]]:
        """Places and statuses.

        Args:
            probability: (n, classes), of `predict`.
            fill_blank: As in `Thresholds.predict`; the status is that of the decision before it was filled.

        Returns:
            Decisions (n, classes) of bool, and for each field `ok`, `unsure` or `negative`.
        """
        decided = self.thresholds.predict(probability)
        status = self.unsure.predict(probability, decided)
        return self.thresholds.predict(probability, fill_blank=fill_blank), status


def fit_combination(
    truth: np.ndarray, members: np.ndarray, combiner: Combiner, prior: np.ndarray | None = None
) -> tuple[Ensemble, Calibration]:
    """Fits a combiner and, where it needs one, the calibration behind it."""
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
    """Probabilities (n, classes) of each field by a combination that was fitted without its fold."""

    def fit_predict(known: np.ndarray, seen: np.ndarray, unseen: np.ndarray) -> np.ndarray:
        ensemble, calibration = fit_combination(known, seen, combiner, prior)
        return calibration.predict(ensemble.predict(unseen))

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
    """Fits the combination on all fields, and what follows it on out-of-fold probabilities.

    Args:
        truth: (n, classes), 0 or 1.
        members: (members, n, classes), 0–1.
        combiner: How members are combined.
        policy: How thresholds are chosen.
        out_of_fold: (n, classes), `predict_out_of_fold` probabilities of the same combiner.
        prior: (classes,) shares; default the competition's for 28 classes.
        seed: Decides the resamples of the thresholds.
    """
    known, array = check_truth(truth), check_member_stack(members)
    ensemble, calibration = fit_combination(known, array, combiner, prior)
    thresholds = Thresholds(policy, prior=prior, seed=seed).fit(known, out_of_fold)
    decided = thresholds.predict(out_of_fold)
    right = jaccard.per_row(known, decided)
    unsure = UnsureRule().fit(right, compute_confidence(out_of_fold, decided))
    return Decider(ensemble, calibration, thresholds, PredictionSets(COVERAGE).fit(known, out_of_fold), unsure)
