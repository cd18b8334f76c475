"""A detector is fitted into a bundle: card, status, `models show`; what cannot be fitted is refused."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.bundle import read_bundle
from lociscope.artifacts.card import SCHEMA
from lociscope.data.unlike_pictures import KINDS, make_pictures
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.field import Field
from lociscope.predict.predictor import open_bundle
from lociscope.workflows import out_of_distribution

if TYPE_CHECKING:
    from pathlib import Path

MakeBundle = Callable[..., "Path"]
SIDE = 128


def cells(seed: int) -> np.ndarray:
    """Round nuclei in round cells, (SIDE, SIDE, 4) of uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    made = rng.random((SIDE, SIDE, 4)) * 3
    for cy, cx in rng.uniform(0, SIDE, (12, 2)):
        distance, radius = np.hypot(y - cy, x - cx), rng.uniform(5, 7)
        made[..., 2] += 150 * (distance < radius)
        around = np.clip(2.2 - distance / radius, 0, 1) * (distance > radius) * rng.uniform(60, 120)
        made[..., [0, 1, 3]] += (around * rng.uniform(0.8, 1.2, (SIDE, SIDE)))[..., None]
    return np.clip(made, 0, 255).astype(np.uint8)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulates and generates little."""

    def simulate(index: int, seed: int) -> SimpleNamespace:
        return SimpleNamespace(id=str(index), pixels=cells(index), pixel_size=164 / SIDE)

    monkeypatch.setattr(out_of_distribution, "simulate_field", simulate)
    monkeypatch.setattr(out_of_distribution, "PICTURES", 4)


@pytest.mark.slow
def test_known_fields_and_other_pictures(quick: None, make_bundle: MakeBundle, tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "b", side=64)
    fit = out_of_distribution.fit_out_of_distribution(folder, folder, fields=100, false_alarms=0.05)
    card = read_bundle(folder).card
    assert card.schema_ == SCHEMA
    assert card.out_of_distribution is not None
    assert card.out_of_distribution.fields == len(fit.held_out) == 100
    assert card.out_of_distribution.false_alarms == 0.05
    assert card.out_of_distribution.what.startswith("simulated fields")
    predictor = open_bundle(folder)
    new = predictor.predict([Field(str(seed), cells(seed), 164 / SIDE) for seed in range(1001, 1021)])
    assert new.status.count("unlike-training") <= 2
    pictures = make_pictures([cells(0)], 2, seed=9)
    marked = predictor.predict([generate() for generate in pictures]).status
    assert marked.count("unlike-training") >= 0.75 * len(pictures)
    assert predictor.predict(np.zeros((SIDE, SIDE, 4), np.uint8)).status == ["unlike-training"]
    assert predictor.predict(cells(3), embeddings=True).embedding is not None
    assert predictor.predict(cells(3)).embedding is None


@pytest.mark.slow
def test_real_fields_set_the_threshold(quick: None, make_bundle: MakeBundle, tmp_path: Path) -> None:
    from lociscope.images.io.write import write_planes

    for seed in range(12):
        write_planes(tmp_path / "real", f"r{seed}", cells(500 + seed))
    folder = make_bundle(tmp_path / "b", side=64)
    fit = out_of_distribution.fit_out_of_distribution(folder, tmp_path / "c", tmp_path / "real", fields=100)
    card = read_bundle(tmp_path / "c").card
    assert card.out_of_distribution is not None
    assert card.out_of_distribution.what == f"{tmp_path.name}/real"
    assert card.out_of_distribution.fields == 12
    assert fit.detector.threshold >= fit.held_out.max()  # 12 fields cannot state 4 %
    assert read_bundle(folder).detector is None


def test_what_cannot_be_fitted(make_bundle: MakeBundle, tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "b")
    with pytest.raises(LociscopeError, match="16 × 16 px, too small") as error:
        out_of_distribution.fit_out_of_distribution(folder, tmp_path / "c")
    assert error.value.code == Code.INVALID_VALUE
    for options, message in (({"false_alarms": 1.0}, "false-alarm rate"), ({"fields": 99}, "too few")):
        with pytest.raises(UsageError, match=message):
            out_of_distribution.fit_out_of_distribution(folder, tmp_path / "c", **options)
    assert not (tmp_path / "c").exists()


def test_pictures_are_those_of_their_seed() -> None:
    base = [cells(0)]
    one, again, other = ([generate().pixels for generate in make_pictures(base, 1, seed)] for seed in (1, 1, 2))
    assert len(one) == len(KINDS)
    for left, right, third in zip(one, again, other, strict=True):
        assert left.shape[-1] == 4
        np.testing.assert_array_equal(left, right)
        assert left.shape != third.shape or (left != third).any()
