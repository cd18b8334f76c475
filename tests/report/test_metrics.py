from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lociscope.decide.metrics import lrap, macro_f1
from lociscope.errors import LociscopeError
from lociscope.labels import LABELS, N_LABELS, to_multi_hot
from lociscope.report.metrics import Metrics, measure

if TYPE_CHECKING:
    from pathlib import Path


def sample(n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth of the first six classes, probabilities near it, and decisions."""
    rng = np.random.default_rng(seed)
    truth = to_multi_hot([[int(rng.integers(6))] for _ in range(n)])
    probability = np.clip(0.15 + 0.5 * truth + rng.normal(0, 0.2, truth.shape), 0, 1)
    return truth, probability, (probability >= 0.5).astype(np.uint8)


def test_figures_are_those_of_decide_with_a_90_percent_interval_around_them() -> None:
    truth, probability, decided = sample()
    made = measure(truth, probability, decided, "made-up fields", resamples=200)
    assert made.figures["lrap"].value == pytest.approx(lrap(truth, probability))
    assert made.figures["macro_f1"].value == pytest.approx(float(macro_f1(truth, decided)))
    for figure in made.figures.values():
        assert figure.level == 0.9
        assert figure.n == 60
        if figure.value is not None and figure.low is not None and figure.high is not None:
            assert figure.low <= figure.value <= figure.high
    assert made.absent == LABELS[6:]


def test_minutes_count_two_for_a_wrong_and_six_for_a_missed_location() -> None:
    truth = to_multi_hot([[0], [1]])
    decided = to_multi_hot([[2, 3], [1]])  # two wrong and one missed, and nothing wrong
    minutes = measure(truth, truth * 0.5, decided, "two fields", resamples=10).figures["minutes"]
    assert minutes.value == (2 * 2 + 6) / 2
    assert minutes.baseline == 2  # both locations, always: one wrong in each field


def test_gain_is_lrap_above_ranking_by_frequency() -> None:
    truth, probability, decided = sample()
    made = measure(truth, probability, decided, "fields", resamples=200)
    prior = lrap(truth, np.tile(truth.mean(axis=0), (len(truth), 1)))
    assert made.prior_lrap == made.figures["lrap"].baseline == pytest.approx(prior)
    assert made.gain_over_prior.value == pytest.approx(lrap(truth, probability) - prior)
    assert made.gain_over_prior.low is not None
    assert made.gain_over_prior.low > 0


def test_no_fixed_answer_beats_the_baseline_macro_f1() -> None:
    truth, probability, decided = sample()
    baseline = measure(truth, probability, decided, "fields", resamples=10).figures["macro_f1"].baseline
    assert baseline is not None
    for share in (0.05, 0.15, 0.5):
        fixed = np.tile((truth.mean(axis=0) >= share).astype(np.uint8), (len(truth), 1))
        assert baseline >= float(macro_f1(truth, fixed))


def test_groups_are_resampled_whole_and_widen_the_interval() -> None:
    truth, probability, decided = (np.repeat(array, 6, axis=0) for array in sample(30))
    alone = measure(truth, probability, decided, "fields")
    grouped = measure(truth, probability, decided, "fields", groups=np.repeat(np.arange(30), 6))
    assert (alone.groups, grouped.groups) == (None, 30)

    def width(made: Metrics) -> float:
        figure = made.figures["lrap"]
        assert figure.low is not None
        assert figure.high is not None
        return figure.high - figure.low

    assert width(grouped) > 1.5 * width(alone)


def test_what_is_not_defined_is_null() -> None:
    nothing = np.zeros((3, N_LABELS), np.uint8)
    made = measure(nothing, nothing * 0.5, nothing, "negative fields", resamples=10)
    values = json.loads(made.model_dump_json(by_alias=True))
    assert values["schema"] == 3
    assert values["figures"]["lrap"] | {"n": 0} == {
        "value": None, "low": None, "high": None, "n": 0, "level": 0.9, "baseline": None,
    }  # fmt: skip
    assert made.figures["minutes"].value == 0
    assert made.figures["jaccard"].value == 1
    assert all(each.f1 is None and each.average_precision is None for each in made.classes)


@settings(max_examples=15)
@given(st.integers(1, 30), st.integers(0, 1000))
def test_metrics_come_back_from_their_file(tmp_path_factory: pytest.TempPathFactory, n: int, seed: int) -> None:
    path = tmp_path_factory.mktemp("metrics") / "metrics.json"
    made = measure(*sample(n, seed), "fields", resamples=20)
    made.write(path)
    assert Metrics.read(path) == made


@pytest.mark.parametrize(
    ("text", "says"),
    [("{}", "states no schema"), ('{"schema": 99}', "newer"), ("[]", "is damaged"), ("{", "is damaged")],
)
def test_another_file_is_not_read_as_metrics(tmp_path_factory: pytest.TempPathFactory, text: str, says: str) -> None:
    path = tmp_path_factory.mktemp("metrics") / "metrics.json"
    path.write_text(text)
    with pytest.raises(LociscopeError, match=says):
        Metrics.read(path)


def test_a_file_of_schema_1_is_read(tmp_path: Path) -> None:
    made = measure(*sample(), "fields", resamples=20)
    values = json.loads(made.model_dump_json(by_alias=True)) | {"schema": 1}
    for figure in (*values["figures"].values(), values["gain_over_prior"]):
        figure["blind"] = figure.pop("baseline")
    (tmp_path / "metrics.json").write_text(json.dumps(values))
    assert Metrics.read(tmp_path / "metrics.json").figures == made.figures


def test_different_shapes_are_refused() -> None:
    truth, probability, decided = sample()
    with pytest.raises(LociscopeError, match="do not match"):
        measure(truth, probability, decided[:, :5], "fields")
    with pytest.raises(LociscopeError, match="do not match"):
        measure(truth[:, :19], probability[:, :19], decided[:, :19], "fields")
