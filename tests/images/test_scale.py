"""From any field to the network's input: by area, and alike for every bit depth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lociscope.card import InputSpec
from lociscope.images.scale import full_scale, percentiles, prepare, resize

PIXELS = np.random.default_rng(0).integers(0, 65536, (48, 60, 2), np.uint16)


def spec(height: int = 16, width: int = 16, floor: float = 0.04) -> InputSpec:
    return InputSpec(height=height, width=width, low=0.5, high=99.9, floor=floor)


def area_mean(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Every pixel cut into as many parts as it takes, then a plain mean over whole blocks."""
    rows, columns, channels = pixels.shape
    parts = pixels.astype(float).repeat(height, axis=0).repeat(width, axis=1)
    mean: np.ndarray = parts.reshape(height, rows, width, columns, channels).mean(axis=(1, 3))
    return mean


# === resize ===


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize(
    "size", [(48, 60), (24, 30), (12, 4), (1, 1), (48, 30), (47, 59), (13, 17), (32, 40), (48, 7), (5, 60), (36, 45)]
)
def test_shrinking_is_the_exact_mean_over_the_area(kind: type[np.number], size: tuple[int, int]) -> None:
    pixels = (PIXELS / 65535).astype(kind) if np.issubdtype(kind, np.floating) else PIXELS.astype(kind)
    small = resize(pixels, *size)
    assert small.shape == (*size, 2)
    assert small.dtype == np.float32
    np.testing.assert_allclose(small, area_mean(pixels, *size), rtol=2e-6, atol=1e-6)


@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 24), st.integers(1, 24))
def test_the_mean_stays_and_a_constant_stays(rows: int, columns: int, height: int, width: int) -> None:
    pixels = PIXELS[:rows, :columns]
    small = resize(pixels, height, width)
    assert small.shape == (height, width, 2)
    if height <= rows and width <= columns:
        np.testing.assert_allclose(small.mean(axis=(0, 1)), pixels.mean(axis=(0, 1)), rtol=1e-5)
    constant = resize(np.full((rows, columns, 1), 1234, np.uint16), height, width)
    np.testing.assert_allclose(constant, 1234, rtol=1e-6)


def test_enlarging_is_linear_between_the_centres_of_pixels() -> None:
    pixels = np.array([0, 100, 300], np.uint16).reshape(1, 3, 1)
    assert resize(pixels, 1, 6).ravel().tolist() == [0, 25, 75, 150, 250, 300]
    assert resize(pixels.reshape(3, 1, 1), 6, 1).ravel().tolist() == [0, 25, 75, 150, 250, 300]
    assert resize(np.full((1, 1, 2), 7, np.uint8), 3, 5).tolist() == [[[7, 7]] * 5] * 3


def test_one_axis_may_shrink_while_the_other_grows() -> None:
    pixels = np.array([[0, 100], [200, 300]], np.uint16)[..., None]
    np.testing.assert_allclose(resize(pixels, 1, 4)[0, :, 0], [100, 125, 175, 200])


# === prepare ===


def fields() -> st.SearchStrategy[np.ndarray]:
    """Fields of 8 bits whose brightest pixel is in the upper quarter, each channel of its own brightness."""

    def make(seed: int, size: int) -> np.ndarray:
        generator = np.random.default_rng(seed)
        gains = generator.uniform(0, 1, 4)
        gains[generator.integers(4)] = 1
        pixels = (generator.random((size, size, 4)) ** 3 * 255 * gains).astype(np.uint8)
        pixels[0, 0, gains.argmax()] = 255
        return pixels

    return st.builds(make, st.integers(0, 10_000), st.integers(8, 40))


@given(fields(), st.integers(8, 40))
def test_bit_depths_of_one_picture_agree_to_one_grey_level(eight: np.ndarray, size: int) -> None:
    wanted = spec(size, size)
    expected = prepare(eight, wanted).astype(int)
    others: dict[str, np.ndarray] = {
        "16-bit": eight.astype(np.uint16) * 257,
        "12-in-16": np.rint(eight * (4095 / 255)).astype(np.uint16),
        "14-in-16": np.rint(eight * (16383 / 255)).astype(np.uint16),
        "8-in-16": eight.astype(np.uint16),
        "float 0-1": eight.astype(np.float32) / 255,
        "double 0-1": eight / 255,
        "float 0-255": eight.astype(np.float32),
    }
    for name, pixels in others.items():
        assert np.abs(prepare(pixels, wanted).astype(int) - expected).max() <= 1, name


def test_each_channel_is_stretched_by_its_own_percentiles() -> None:
    ramp = np.linspace(0, 200, 256 * 256).reshape(256, 256, 1)
    made = prepare(np.concatenate([ramp, 0.5 * ramp + 20], axis=-1).astype(np.uint8), spec(256, 256))
    assert made.dtype == np.uint8
    for channel in (0, 1):
        assert (made[..., channel].min(), made[..., channel].max()) == (0, 255)
        assert abs(made[..., channel].mean() - 127.5) < 2


@pytest.mark.parametrize(("kind", "top"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_the_floor_keeps_a_nearly_empty_channel_dark(kind: type[np.number], top: float) -> None:
    share = np.random.default_rng(0).random((64, 64, 2))
    share[..., 1] = 0.1 + 0.01 * share[..., 1]  # noise of a hundredth of full scale on a pedestal
    pixels = (share * top).astype(kind)
    dark = prepare(pixels, spec(64, 64))
    assert dark[..., 0].max() == 255
    assert dark[..., 1].max() <= 255 * (0.01 + 1 / 255) / 0.04  # the 8-bit one is rounded to whole levels
    assert prepare(pixels, spec(64, 64, floor=0))[..., 1].max() == 255


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("value", [0, 1, 200])
@pytest.mark.parametrize("floor", [0, 0.04])
@pytest.mark.parametrize("size", [1, 16, 23])
def test_a_constant_channel_is_black(kind: type[np.number], value: int, floor: float, size: int) -> None:
    made = prepare(np.full((size, size, 4), value, kind), spec(floor=floor))
    assert made.shape == (16, 16, 4)
    assert not made.any()


@given(st.floats(1e-3, 1e3), st.floats(0, 1e3))
def test_gain_and_offset_of_floats_do_not_matter(gain: float, offset: float) -> None:
    pixels = np.random.default_rng(3).random((16, 16, 4))
    one, other = (prepare(each, spec(floor=0)).astype(int) for each in (pixels, gain * pixels + offset))
    assert np.abs(one - other).max() <= 1 + 1e-3 * offset / gain


def test_the_input_is_not_changed() -> None:
    pixels = PIXELS.copy()
    pixels.flags.writeable = False
    prepare(pixels, spec())
    np.testing.assert_array_equal(pixels, PIXELS)


# === full_scale ===


@pytest.mark.parametrize(
    ("kind", "top", "scale"),
    [
        (np.uint8, 3, 255),
        (np.uint16, 255, 255),
        (np.uint16, 256, 1023),
        (np.uint16, 4095, 4095),
        (np.uint16, 4096, 16383),
        (np.uint16, 65535, 65535),
        (np.uint32, 100_000, 100_000),
        (np.float32, 0, 1),
        (np.float32, 1, 1),
        (np.float32, 1.5, 255),
        (np.float64, 4000.5, 4095),
    ],
)
def test_the_scale_is_told_by_type_and_maximum(kind: type[np.number], top: float, scale: float) -> None:
    assert full_scale(np.array([[0, top]], kind)) == scale


def test_no_pixel_at_all() -> None:
    assert full_scale(np.empty((0, 0), np.uint16)) == 255


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(1, 4), (2, 4), (1000, 4), (77,)])
def test_percentiles_are_numpys(kind: type, shape: tuple[int, ...]) -> None:
    values: np.ndarray = (np.random.default_rng(0).random(shape) * 200).astype(kind)
    at = (0, 0.5, 33.3, 99.9, 100)
    np.testing.assert_allclose(percentiles(values, at), np.percentile(values.astype(float), at, axis=0), rtol=1e-6)
