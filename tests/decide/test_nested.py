"""Choosing, scoring the choice, and what is found."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from fixtures.codes import raises_code

from lociscope.decide.conformal import measure_coverage
from lociscope.decide.ensemble_report import EnsembleReport
from lociscope.decide.ensemble_scoring import build_ensemble_report, list_notes
from lociscope.decide.metrics import macro_f1
from lociscope.decide.nested import NestedResult, check_enough, nested_cross_validate
from lociscope.decide.selection import SelectionResult, select_combiner
from lociscope.decide.thresholds import POLICIES
from lociscope.errors import Code


class Networks(NamedTuple):
    truth: np.ndarray
    members: np.ndarray


@pytest.fixture(scope="module")
def selected(networks: Networks) -> SelectionResult:
    return select_combiner(*networks)


@pytest.fixture(scope="module")
def scored(networks: Networks) -> NestedResult:
    return nested_cross_validate(*networks, repeats=1)


@pytest.fixture(scope="module")
def findings(networks: Networks, selected: SelectionResult, scored: NestedResult) -> EnsembleReport:
    return build_ensemble_report(*networks, selected, scored)


def test_the_combiner_of_least_loss_is_kept(selected: SelectionResult) -> None:
    assert selected.losses[selected.combiner] == min(selected.losses.values())
    assert selected.combiner not in ("mean", "logits", "best")
    assert selected.decider.ensemble.combiner == selected.combiner


def test_choosing_is_deterministic(networks: Networks, selected: SelectionResult) -> None:
    again = select_combiner(*networks)
    assert again.losses == selected.losses
    assert again.decider.thresholds.thresholds_.tolist() == selected.decider.thresholds.thresholds_.tolist()


@pytest.mark.slow
def test_the_expected_score_covers_that_of_new_fields(
    findings: EnsembleReport, selected: SelectionResult, new_fields: Networks
) -> None:
    score = float(macro_f1(new_fields.truth, selected.decider.decide(selected.decider.predict(new_fields.members))[0]))
    assert findings.expected.low is not None
    assert findings.expected.high is not None
    assert findings.expected.low < score < findings.expected.high


def test_every_field_is_predicted_once_in_each_repeat(scored: NestedResult, networks: Networks) -> None:
    assert scored.probability.shape == (1, *networks.truth.shape)
    assert (scored.status != "").all()
    assert len(scored.selected) == 5
    assert measure_coverage(networks.truth, scored.sets[0]) == pytest.approx(0.9, abs=0.04)


def test_the_chosen_decisions_are_those_of_the_combiners_chosen(scored: NestedResult) -> None:
    (combiner,) = set(scored.selected)  # with these networks every fold selects the same one
    for policy in POLICIES:
        np.testing.assert_array_equal(scored.decided[combiner, policy], scored.decided["selected", policy])


def test_progress_is_reported(networks: Networks) -> None:
    told: list[tuple[int, int]] = []
    nested_cross_validate(
        networks.truth[:60],
        networks.members[:2, :60],
        combiners=("mean",),
        repeats=1,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(done, 5) for done in range(1, 6)]


def test_groups_are_never_on_both_sides(networks: Networks) -> None:
    groups = np.repeat(np.arange(60), 10)
    truth = np.repeat(networks.truth[::10], 10, axis=0)
    members = np.repeat(networks.members[:, ::10], 10, axis=1)
    kept = nested_cross_validate(truth, members, combiners=("stacked",), groups=groups, repeats=1)
    leaking = nested_cross_validate(truth, members, combiners=("stacked",), repeats=1)
    out_of_fold, easy = (macro_f1(truth, each.decided["selected", "searched"][0]).value for each in (kept, leaking))
    assert out_of_fold < easy


def test_findings_say_what_was_tried_and_why(findings: EnsembleReport, selected: SelectionResult) -> None:
    assert findings.combiner == selected.combiner
    assert f"'{selected.combiner}' has the lowest" in findings.why
    assert len(findings.trials) == 6 * len(POLICIES)
    assert findings.over_mean is not None
    assert findings.over_mean.level == 0.9
    assert len(findings.classes) == 6
    assert sum(findings.weights) == pytest.approx(1)
    assert findings.weights[3] < 0.05
    assert not findings.levels  # they exist for the 28 classes only
    assert findings.jaccard_ok is not None
    assert findings.jaccard_unsure is not None
    assert findings.jaccard_ok > findings.jaccard_unsure


def test_searched_thresholds_are_the_most_optimistic(findings: EnsembleReport) -> None:
    optimism = {
        policy: np.mean([trial.optimism for trial in findings.trials if trial.policy == policy]) for policy in POLICIES
    }
    assert optimism["searched"] > optimism["expected"] > -0.02
    assert optimism["searched"] > optimism["constant"]


def test_findings_survive_the_way_to_disk(findings: EnsembleReport) -> None:
    assert EnsembleReport.model_validate_json(findings.model_dump_json(by_alias=True)) == findings


def test_what_data_cannot_show_is_reported(networks: Networks) -> None:
    truth = networks.truth.copy()
    truth[:, 0] = truth[5:, 1] = False
    truth[0, 1] = True
    absent, few, single = list_notes(truth, networks.members[:1])
    assert absent.startswith("No field has the classes 0:")
    assert "classes 1 have fewer than 20" in few
    assert single.startswith("One member")


def test_too_few_fields_are_refused(networks: Networks) -> None:
    with raises_code(Code.NOT_ENOUGH_DATA):
        check_enough(1)
    with raises_code(Code.NOT_ENOUGH_DATA):
        nested_cross_validate(networks.truth[:29], networks.members[:, :29])
