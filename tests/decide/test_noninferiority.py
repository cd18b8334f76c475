"""Non-inferiority of a candidate by margins, overall and by slice."""

from __future__ import annotations

import numpy as np

from lociscope.decide.noninferiority import Comparison, compare_candidate


def make_decisions(truth: np.ndarray, errors: float, seed: int) -> np.ndarray:
    """Return decisions that differ from the truth at a rate, alike for both kinds of error."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(truth.shape) < errors, ~truth, truth)


def compare(truth: np.ndarray, candidate: np.ndarray, current: np.ndarray, **options: object) -> Comparison:
    rows = np.arange(len(truth))
    slices = {"HeLa": rows % 2 == 0, "U-2 OS": rows % 2 == 1, "few": rows < 19}
    names = {number: f"class {number}" for number in range(truth.shape[1])}
    return compare_candidate(
        truth, candidate, current, margin=0.01, slice_margin=0.05, slices=slices, names=names, **options  # type: ignore[arg-type]
    )  # fmt: skip


TRUTH = np.random.default_rng(0).random((600, 4)) < 0.3


def test_the_same_decisions_pass() -> None:
    current = make_decisions(TRUTH, 0.1, 1)
    found = compare(TRUTH, current, current)
    assert (found.fields, found.gain, found.low, found.noninferior) == (600, 0, 0, True)
    assert [each.name for each in found.slices] == ["class 0", "class 1", "class 2", "class 3", "HeLa", "U-2 OS"]
    assert not any(each.worse for each in found.slices)


def test_a_better_candidate_passes_and_a_worse_one_does_not() -> None:
    good, bad = make_decisions(TRUTH, 0.05, 1), make_decisions(TRUTH, 0.15, 2)
    assert compare(TRUTH, good, bad).noninferior
    found = compare(TRUTH, bad, good)
    assert not found.noninferior
    assert found.gain < -0.05


def test_few_fields_do_not_show_that_a_candidate_is_no_worse() -> None:
    truth = TRUTH[:25]
    found = compare(truth, make_decisions(truth, 0.1, 1), make_decisions(truth, 0.1, 2))
    assert not found.noninferior
    assert not any(each.worse for each in found.slices)


def test_a_loss_in_one_location_is_found_although_the_mean_gains() -> None:
    current, candidate = make_decisions(TRUTH, 0.1, 1), TRUTH.copy()
    candidate[:, 2] = make_decisions(TRUTH, 0.3, 3)[:, 2]
    found = compare(TRUTH, candidate, current)
    assert found.noninferior
    assert [each.name for each in found.slices if each.worse] == ["class 2"]


def test_a_loss_in_one_cell_line_is_found() -> None:
    current = make_decisions(TRUTH, 0.1, 1)
    candidate = np.where(np.arange(600)[:, None] % 2 == 0, make_decisions(TRUTH, 0.25, 3), TRUTH)
    assert "HeLa" in [each.name for each in compare(TRUTH, candidate, current).slices if each.worse]


def test_slices_of_an_equal_candidate_are_rarely_worse() -> None:
    worse = 0
    for seed in range(20):
        truth = np.random.default_rng(seed).random((200, 4)) < 0.3
        found = compare(truth, make_decisions(truth, 0.1, seed + 100), make_decisions(truth, 0.1, seed + 200))
        worse += any(each.worse for each in found.slices)
    assert worse <= 3  # binomial of 0.05: above it once in 60


def test_groups_widen_the_interval() -> None:
    truth = np.repeat(TRUTH[:40], 15, axis=0)
    current, candidate = (np.repeat(make_decisions(TRUTH[:40], 0.1, seed), 15, axis=0) for seed in (1, 2))
    alone = compare(truth, candidate, current)
    grouped = compare(truth, candidate, current, groups=np.repeat(np.arange(40), 15))
    assert grouped.low < alone.low
    assert grouped.gain == alone.gain
