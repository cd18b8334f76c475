from __future__ import annotations

import numpy as np
import pytest

from lociscope.simulate.canvas import Canvas
from lociscope.simulate.optics import Optics, record, sample_optics, shot_noise, vignette

PLAIN = Optics(
    sigma=0.1, haze=0.0, haze_sigma=2.0, photons=1000, exposure=0.9, background=0.0, offset=0.0, uneven=0.0, fine=0.0
)


@pytest.mark.parametrize("mean", [0.5, 3.0, 50.0])
def test_shot_noise_has_poissons_mean_and_variance(mean: float) -> None:
    counts = shot_noise(np.random.default_rng(0), np.full((400, 400), mean, np.float32))
    assert counts.mean() == pytest.approx(mean, rel=0.05)
    assert counts.var() == pytest.approx(mean, rel=0.3)


def test_fewer_photons_are_noisier() -> None:
    canvas = Canvas(128, 0.32)
    light = np.ones(canvas.shape, np.float32)
    noise = [
        record(np.random.default_rng(1), canvas, light, Optics(**_with(photons=photons))).std()
        for photons in (20, 200, 2000)
    ]
    assert noise[0] > noise[1] > noise[2]


def _with(**changes: float) -> dict[str, float]:
    return {name: getattr(PLAIN, name) for name in Optics.__slots__} | changes


def test_sixteen_bits_show_the_same_picture() -> None:
    canvas = Canvas(64, 0.32)
    light = canvas.noise(np.random.default_rng(2), 3) ** 2
    eight = record(np.random.default_rng(1), canvas, light, PLAIN)
    sixteen = record(np.random.default_rng(1), canvas, light, PLAIN, full_scale=65535)
    assert sixteen.dtype == np.uint16
    assert np.abs(sixteen / 257 - eight).max() <= 0.51


def test_darkness_stays_dark() -> None:
    canvas = Canvas(64, 0.32)
    assert record(np.random.default_rng(0), canvas, canvas.blank(), PLAIN).max() <= 2


def test_corners_are_darker() -> None:
    light = vignette(Canvas(64, 0.32), 0.2)
    assert light[32, 32] > 0.99
    assert light[0, 0] == pytest.approx(0.8, abs=0.02)


def test_each_channel_has_its_settings() -> None:
    one, two = (sample_optics(np.random.default_rng(4)) for _ in range(2))
    assert one == two
    assert len({optics.photons for optics in one}) == 4
