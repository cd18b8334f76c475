"""A changed mix of locations, separated from changed images."""

from __future__ import annotations

import numpy as np
import pytest

from lociscope.images.statistics import STATISTICS
from lociscope.monitor import Sample, compare_samples
from lociscope.monitor.label_mix import estimate_shares, match_fields
from lociscope.monitor.report import CauseKind


def make_mix(shares: tuple[float, float, float], n: int, seed: int, shift: float = 0) -> Sample:
    """Return fields of three locations, each with embeddings around a corner."""
    rng = np.random.default_rng(seed)
    which = rng.choice(3, n, p=shares)
    probability = np.full((n, 28), 0.02, np.float32)
    probability[np.arange(n), which] = rng.uniform(0.6, 0.98, n)
    embedding = (rng.normal(0, 0.3, (n, 4)) + 2 * np.eye(3, 4)[which] + shift).astype(np.float32)
    statistics = rng.normal(10, 1, (n, len(STATISTICS))).astype(np.float32)
    return Sample(
        f"mix {seed}", [f"m{seed}_{number}" for number in range(n)], probability > 0.5, statistics, embedding, "a" * 64,
        probability=probability,
    )  # fmt: skip


EVEN, ODD = (0.5, 0.3, 0.2), (0.1, 0.2, 0.7)


def test_other_proteins_are_a_changed_mix_and_not_changed_images() -> None:
    reference = make_mix(EVEN, 300, 0)
    drift = compare_samples(make_mix(ODD, 60, 1), reference)
    assert drift.drifted
    assert [cause.kind for cause in drift.causes] == [CauseKind.LABEL_MIX]
    estimates = [each.estimate for each in drift.locations[:3]]
    assert estimates == pytest.approx(ODD, abs=0.12)


def test_the_same_mix_of_changed_images_is_no_changed_mix() -> None:
    drift = compare_samples(make_mix(EVEN, 60, 1, shift=0.5), make_mix(EVEN, 300, 0))
    assert drift.drifted
    assert [cause.kind for cause in drift.causes] == [CauseKind.NEW_PATTERN]


def test_a_changed_mix_of_changed_images_is_both_and_the_images_are_named() -> None:
    drift = compare_samples(make_mix(ODD, 60, 1, shift=1.5), make_mix(EVEN, 300, 0))
    assert [cause.kind for cause in drift.causes] == [CauseKind.NEW_PATTERN]


def test_shares_are_estimated_from_probabilities() -> None:
    rng = np.random.default_rng(0)

    # Two overlapping beta distributions, calibrated for a share of 0.2: p = 0.2 f1 / (0.2 f1 + 0.8 f0).
    def sample(share: float, n: int) -> np.ndarray:
        positive = rng.random(n) < share
        x = np.where(positive, rng.normal(1, 1, n), rng.normal(-1, 1, n))
        odds = 0.25 * np.exp(2 * x)
        return np.asarray((odds / (1 + odds))[:, None])

    reference = sample(0.2, 20_000)
    for share in (0.05, 0.2, 0.6):
        assert estimate_shares(sample(share, 20_000), reference)[0] == pytest.approx(share, abs=0.02)
    unknown = estimate_shares(np.full((5, 1), np.nan), np.full((9, 1), np.nan))
    assert np.isnan(unknown).all()


def test_matched_fields_have_the_same_mix() -> None:
    window, reference = make_mix(ODD, 50, 1), make_mix(EVEN, 400, 0)
    matched = match_fields(window, reference, np.random.default_rng(0))
    assert matched is not None
    here, there = window.take(matched[0]), reference.take(matched[1])
    shares = [each.locations[:, :3].mean(axis=0) for each in (here, there)]
    np.testing.assert_allclose(*shares)
    assert len(here) == 50
    assert len(there) % 50 == 0


def test_locations_that_the_reference_lacks_cannot_be_matched() -> None:
    window, reference = make_mix((0.0, 0.0, 1.0), 50, 1), make_mix((0.5, 0.5, 0.0), 400, 0)
    assert match_fields(window, reference, np.random.default_rng(0)) is None


def test_other_proteins_in_other_cells_are_both_named() -> None:
    window = make_mix(ODD, 60, 1)
    assert window.statistics is not None
    window.statistics[:, STATISTICS.index("Correlation_red_blue")] += 4
    drift = compare_samples(window, make_mix(EVEN, 300, 0))
    assert [cause.kind for cause in drift.causes] == [CauseKind.LABEL_MIX, CauseKind.OTHER_CELLS]
