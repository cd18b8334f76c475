from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lociscope.simulate.canvas import Canvas, enlarge, unit

CANVAS = Canvas(64, 0.5)


@given(y=st.floats(0.3, 31.7), x=st.floats(0.3, 31.7), weight=st.floats(0.1, 9))
def test_a_point_keeps_its_weight_and_its_place(y: float, x: float, weight: float) -> None:
    picture = CANVAS.points(np.array([y]), np.array([x]), np.array([weight]))
    rows, columns = np.mgrid[:64, :64]
    assert picture.sum() == pytest.approx(weight, rel=1e-4)
    assert (picture * (rows + 0.5)).sum() / picture.sum() * 0.5 == pytest.approx(y, abs=1e-3)
    assert (picture * (columns + 0.5)).sum() / picture.sum() * 0.5 == pytest.approx(x, abs=1e-3)


@given(y=st.floats(-1e4, 1e4), x=st.floats(-1e4, 1e4), radius=st.floats(0.01, 40), stretch=st.floats(1, 30))
@settings(max_examples=50)
def test_stamps_may_lie_anywhere(y: float, x: float, radius: float, stretch: float) -> None:
    picture = CANVAS.discs(np.array([y]), np.array([x]), radius, 1.0, stretch=stretch)
    assert picture.shape == (64, 64)
    assert np.isfinite(picture).all()
    assert picture.min() >= 0


def test_a_disc_has_its_area_at_any_scale() -> None:
    for size, pixel in ((64, 0.5), (256, 0.125)):
        picture = Canvas(size, pixel).discs(np.array([16.0]), np.array([15.0]), 4.0)
        assert picture.sum() * pixel**2 == pytest.approx(np.pi * 16, rel=0.05)


def test_a_ring_is_dark_inside() -> None:
    ring = CANVAS.discs(np.array([16.0]), np.array([16.0]), 4.0, hollow=1.0)
    assert ring[32, 32] < 0.05
    assert ring.max() > 0.5


def test_dots_finer_than_a_pixel_grow_dim() -> None:
    at = np.array([16.25])
    peaks = [CANVAS.dots(at, at, sigma).max() for sigma in (0.05, 0.2, 2.0)]
    assert peaks[0] < peaks[1] < peaks[2] <= 1


def test_many_dots_are_the_sum_of_few() -> None:
    rng = np.random.default_rng(3)
    (y, x), sigma = rng.uniform(0, 32, (2, 500)), rng.uniform(0.1, 1, 500)
    whole = CANVAS.dots(y, x, sigma)
    halves = sum(CANVAS.dots(y[k::2], x[k::2], sigma[k::2]) for k in (0, 1))
    np.testing.assert_allclose(whole, halves, atol=1e-4)


def test_a_stroke_is_as_bright_per_length_whatever_its_pieces() -> None:
    one = np.array([[[5.0, 5.0], [5.0, 25.0]]])
    many = np.stack([np.full(41, 5.0), np.linspace(5, 25, 41)], 1)[None]
    assert CANVAS.strokes(one).sum() == pytest.approx(40, rel=0.01)
    assert CANVAS.strokes(many).sum() == pytest.approx(40, rel=0.01)


def test_nothing_to_draw_is_a_blank() -> None:
    nothing = np.zeros(0)
    assert not CANVAS.dots(nothing, nothing, nothing).any()
    assert not CANVAS.strokes(np.zeros((0, 3, 2))).any()
    assert not unit(CANVAS.blank()).any()


@pytest.mark.parametrize("wavelength", [0.6, 1.5, 6])
def test_noise_has_mean_0_and_variance_1(wavelength: float) -> None:
    noise = Canvas(256, 0.5).noise(np.random.default_rng(0), wavelength)
    assert noise.shape == (256, 256)
    assert abs(noise.mean()) < 0.15
    assert 0.8 < noise.std() < 1.2


def test_noise_finer_than_a_pixel_is_averaged_away() -> None:
    noise = [Canvas(128, 0.5).noise(np.random.default_rng(0), wavelength).std() for wavelength in (0.1, 0.25, 0.5)]
    assert noise == pytest.approx([0.2, 0.5, 1.0], rel=0.05)


def test_noise_is_smooth_over_its_wavelength() -> None:
    noise = Canvas(256, 0.5).noise(np.random.default_rng(0), 10)
    assert np.abs(np.diff(noise, axis=0)).max() < 0.3


@pytest.mark.parametrize("sigma", [0.05, 0.5, 8.0])
def test_blur_keeps_the_light(sigma: float) -> None:
    canvas = Canvas(128, 0.5)
    picture = canvas.discs(np.array([32.0]), np.array([32.0]), 5.0)
    assert canvas.blur(picture, sigma).sum() == pytest.approx(picture.sum(), rel=0.05)


def test_enlarging_keeps_a_slope() -> None:
    small = np.arange(16, dtype=np.float32)[:, None] + np.zeros((16, 16), np.float32)
    large = enlarge(small, 64)
    assert large.shape == (64, 64)
    np.testing.assert_allclose(np.diff(large[4:-4, 5]), 0.25, atol=1e-5)
