"""Ways of combining, all one formula."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from fixtures.codes import raises_code

from lociscope.decide.ensemble import COMBINERS, Combiner, check_member_stack, fit_ensemble, transform_scale
from lociscope.decide.metrics import log_loss, macro_average_precision
from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from pathlib import Path


class Networks(NamedTuple):
    truth: np.ndarray
    members: np.ndarray


def test_plain_means_are_means(networks: Networks) -> None:
    mean = fit_ensemble(*networks, "mean").predict(networks.members)
    np.testing.assert_allclose(mean, networks.members.mean(axis=0))
    logits = fit_ensemble(*networks, "logits").predict(networks.members)
    odds = np.log(networks.members / (1 - networks.members)).clip(-9.21, 9.21).mean(axis=0)
    np.testing.assert_allclose(logits, 1 / (1 + np.exp(-odds)), rtol=2e-3)


@pytest.mark.parametrize("combiner", ["best", "greedy", "weighted", "stacked"])
def test_what_is_fitted_beats_the_mean_where_a_member_is_noise(
    combiner: Combiner, networks: Networks, new_fields: Networks
) -> None:
    mean = fit_ensemble(*networks, "mean").predict(new_fields.members)
    fitted = fit_ensemble(*networks, combiner).predict(new_fields.members)
    assert log_loss(new_fields.truth, fitted) < log_loss(new_fields.truth, mean)
    assert float(macro_average_precision(new_fields.truth, fitted)) > float(
        macro_average_precision(new_fields.truth, mean)
    )


def test_several_members_beat_the_best_alone(networks: Networks, new_fields: Networks) -> None:
    loss = {
        name: log_loss(new_fields.truth, fit_ensemble(*networks, name).predict(new_fields.members))
        for name in COMBINERS
    }
    assert max(loss["greedy"], loss["weighted"], loss["stacked"]) < loss["best"]


def test_noise_gets_no_weight(networks: Networks) -> None:
    for combiner in ("best", "greedy"):
        assert not fit_ensemble(*networks, combiner).weights_[3].any()
    weights = np.abs(fit_ensemble(*networks, "weighted").weights_).mean(axis=1)
    assert weights[3] < 0.1 * weights[:3].min()


def test_weights_of_rare_classes_stay_near_the_common_ones(networks: Networks) -> None:
    truth = networks.truth.copy()
    truth[np.flatnonzero(truth[:, 0])[2:], 0] = False
    common, own = (fit_ensemble(truth, networks.members, name).weights_ for name in ("weighted", "stacked"))
    moved = np.abs(own - common).sum(axis=0)
    assert moved[0] < 0.5 * moved[1:].min()
    assert np.ptp(common, axis=1).max() == 0


def test_classes_inform_each_other_only_when_stacked(networks: Networks) -> None:
    rng = np.random.default_rng(0)
    truth, members = networks.truth.copy(), networks.members
    truth[:, 5] = truth[:, 4] & (rng.random(len(truth)) < 0.9)  # 5 comes only with 4, and no member sees it
    stacked, weighted = fit_ensemble(truth, members, "stacked"), fit_ensemble(truth, members, "weighted")
    assert stacked.cross_ is not None
    assert stacked.cross_[:, 5].argmax() == 4
    assert log_loss(truth, stacked.predict(members)) < log_loss(truth, weighted.predict(members))


def test_members_are_known_by_position_not_by_name(networks: Networks) -> None:
    fitted = fit_ensemble(*networks, "stacked")
    turned = fit_ensemble(networks.truth, networks.members[::-1], "stacked")
    np.testing.assert_allclose(turned.predict(networks.members[::-1]), fitted.predict(networks.members), atol=1e-6)
    assert np.abs(fitted.predict(networks.members[::-1]) - fitted.predict(networks.members)).max() > 0.1


@pytest.mark.parametrize("combiner", COMBINERS)
def test_one_member_and_a_class_without_positives_are_enough(combiner: Combiner, networks: Networks) -> None:
    truth = networks.truth.copy()
    truth[:, 0] = False
    p = fit_ensemble(truth, networks.members[:1], combiner).predict(networks.members[:1])
    assert ((p >= 0) & (p <= 1)).all()


def test_square_roots_saturate_and_log_odds_do_not() -> None:
    p = np.array([[[0.0, 0.9, 1.0]]])
    assert transform_scale(p, "sqrt")[0, 0, 2] - transform_scale(p, "sqrt")[0, 0, 1] < 0.1
    assert transform_scale(p, "logit")[0, 0, 2] - transform_scale(p, "logit")[0, 0, 1] > 6
    assert transform_scale(p, "identity") is p


def test_wrong_members_are_refused(networks: Networks) -> None:
    fitted = fit_ensemble(*networks, "mean")
    with raises_code(Code.INVALID_VALUE):
        fitted.predict(networks.members[:3])
    with raises_code(Code.INVALID_VALUE):
        check_member_stack(networks.members[0])
    spoilt = networks.members.copy()
    spoilt[2, 5, 0] = np.nan
    with pytest.raises(LociscopeError, match="Member 3: Row 5"):
        fit_ensemble(networks.truth, spoilt)
    with raises_code(Code.INVALID_VALUE):
        fit_ensemble(networks.truth[:10], networks.members)
    with raises_code(Code.UNKNOWN_NAME):
        fit_ensemble(*networks, "stack")  # type: ignore[arg-type]


@pytest.mark.slow
def test_on_real_networks_the_stack_ranks_better_than_every_member(real_data: Path) -> None:
    from lociscope.decide.decider import predict_out_of_fold
    from lociscope.splits.folds import stratified_folds

    with np.load(real_data / "predictions/validation.npz") as file:
        truth = file["truth"].astype(bool)
        members = np.stack([file[name].astype(np.float64) for name in file if name != "truth"])
    out_of_fold = predict_out_of_fold(truth, members, "stacked", stratified_folds(truth))
    score = macro_average_precision(truth, out_of_fold).value
    assert score > max(macro_average_precision(truth, each).value for each in members)
