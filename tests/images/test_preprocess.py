"""Same cells, same input: whatever the container, its gain and its offset, and a few broken pixels."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lociscope
from lociscope.artifacts.card import InputSpec
from lociscope.images.discovery.sources import find_fields
from lociscope.images.field import Field
from lociscope.images.io.read import read_field
from lociscope.images.preprocess import measure_structure, prepare, preprocess
from lociscope.images.scale import resize
from lociscope.labels import N_LABELS
from lociscope.simulate import simulate_field

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPEC = InputSpec(height=128, width=128, low=0.5, high=99.9)


@cache
def simulated(seed: int) -> np.ndarray:
    return simulate_field(seed, seed=11, size=256).pixels


def difference(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(prepare(one, SPEC).astype(int) - prepare(other, SPEC).astype(int)).max())


# === Gain, offset and container ===

CONTAINERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "interleaved": np.ascontiguousarray,
    "8-in-16": lambda x: x.astype(np.uint16),
    "full 16": lambda x: x.astype(np.uint16) * 257,
    "12-in-16 from 32768": lambda x: x.astype(np.uint16) * 16 + 32768,
    "big-endian": lambda x: (x.astype(np.uint16) * 3).astype(">u2"),
    "signed 8": lambda x: (x.astype(np.int16) - 128).astype(np.int8),
    "signed 16, negative": lambda x: x.astype(np.int16) - 5,
    "signed 16, all negative": lambda x: (x.astype(np.int32) - 32768).astype(np.int16),
    "signed 32": lambda x: x.astype(np.int32) * 1000 - 7,
    "signed 32 near its end": lambda x: x.astype(np.int32) + (2**31 - 300),
    "unsigned 32, full range": lambda x: x.astype(np.uint32) * 16843009,
    "signed 64": lambda x: x.astype(np.int64) * 10**9 - 10**12,
    "float 0-1": lambda x: x.astype(np.float32) / 255,
    "float 0-1.02": lambda x: x.astype(np.float32) / 250,
    "half": lambda x: x.astype(np.float16),
    "double": lambda x: x / 255,
    "tiny": lambda x: x.astype(np.float32) * np.float32(1e-35),
    "huge": lambda x: x.astype(np.float32) * np.float32(1e36),
    "z-scored": lambda x: (x - x.mean(axis=(0, 1))) / x.std(axis=(0, 1)),
    "percentiles": lambda x: (x - np.percentile(x, 1)) / np.percentile(x, 99.8),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_container_does_not_matter(container: str) -> None:
    pixels = simulated(0)
    assert difference(pixels, CONTAINERS[container](pixels)) <= 1


@settings(max_examples=25)
@given(st.integers(0, 3), st.lists(st.integers(1, 200), min_size=4, max_size=4), st.integers(0, 14_000))
def test_whole_gains_and_offsets_of_each_channel_do_not_matter(seed: int, gains: list[int], offset: int) -> None:
    pixels = simulated(seed)
    assert difference(pixels, pixels.astype(np.uint16) * np.array(gains, np.uint16) + np.uint16(offset)) <= 1


@settings(max_examples=25)
@given(st.integers(0, 3), st.floats(0.8, 200), st.integers(-30_000, 30_000))
def test_rounding_to_a_camera_costs_little(seed: int, gain: float, offset: int) -> None:
    """A pixel and both percentiles move by half a level; the rare pixel that only now is an outlier moves by more."""
    pixels = simulated(seed)
    scaled = np.rint(pixels * gain + offset).astype(np.int32)
    levels = np.ptp(pixels, axis=(0, 1)).min() * min(gain, 1)
    change = np.abs(prepare(pixels, SPEC).astype(int) - prepare(scaled, SPEC).astype(int))
    assert np.percentile(change, 99.9) <= 1 + 2 * 255 / levels


def test_each_channel_is_scaled_by_its_own_percentiles() -> None:
    y, x = np.mgrid[:256, :256]
    cone = np.hypot(y - 128, x - 90)[..., None]
    made = prepare(np.concatenate([cone, 0.5 * cone + 20], -1), InputSpec(height=256, width=256, low=0.5, high=99.9))
    assert made.dtype == np.uint8
    low, high = np.percentile(cone, (0.5, 99.9))
    for channel in (0, 1):
        expected = 255 * np.clip((cone[..., 0] - low) / (high - low), 0, 1)
        np.testing.assert_allclose(made[..., channel], expected, atol=0.51)


def test_the_input_is_not_changed() -> None:
    pixels = simulated(0).copy()
    pixels[5, 5] = 255
    before = pixels.copy()
    pixels.flags.writeable = False
    prepare(pixels, SPEC)
    np.testing.assert_array_equal(pixels, before)


# === Hot and dead pixels ===


def broken(pixels: np.ndarray, value: int, seed: int, number: int = 20) -> np.ndarray:
    random = np.random.default_rng(seed)
    pixels = pixels.copy()
    for channel in range(4):
        pixels[random.integers(0, 256, number), random.integers(0, 256, number), channel] = value
    return pixels


@pytest.mark.parametrize(("value", "most"), [(65535, 40), (0, 110)])
@pytest.mark.parametrize("layout", ["planes", "interleaved"])
def test_broken_pixels_change_the_input_where_they_are_and_not_its_scale(value: int, most: int, layout: str) -> None:
    """A dead pixel among bright ones cannot be told from a grain; shrunk, it is a fourth of what it was."""
    pixels = simulated(1).astype(np.uint16) * 16 + 1000
    other = broken(pixels, value, 7)
    if layout == "interleaved":
        pixels, other = np.ascontiguousarray(pixels), np.ascontiguousarray(other)
    change = np.abs(prepare(pixels, SPEC).astype(int) - prepare(other, SPEC).astype(int))
    assert change.max() <= most
    assert (change > 2).sum() <= 4 * 20


@pytest.mark.parametrize("value", [0, 65535])
def test_broken_lines_and_margins_do_not_change_the_scale(value: int) -> None:
    pixels = simulated(1).astype(np.uint16) * 16 + 1000
    other = pixels.copy()
    other[:, [60, 61, 160]] = other[:5] = value
    change = np.abs(prepare(pixels, SPEC).astype(int) - prepare(other, SPEC).astype(int))[3:]
    change[:, [29, 30, 31, 79, 80, 81]] = 0
    assert change.max() <= 3


def test_two_hot_pixels_side_by_side_and_at_the_edge() -> None:
    pixels = simulated(1).astype(np.uint16) * 16
    other = pixels.copy()
    other[100, 100:102] = other[0, 0] = other[255, 17] = 65535
    assert difference(pixels, other) <= 40


def test_a_spot_that_optics_made_stays() -> None:
    y, x = np.mgrid[:256, :256]
    plane = 5 * np.random.default_rng(0).random((256, 256)) + 20 * np.exp(-((y - 128) ** 2 + (x - 128) ** 2) / 4000)
    plane += 200 * np.exp(-((y - 50) ** 2 + (x - 60) ** 2) / (2 * 0.6**2))
    field = np.repeat(plane.astype(np.uint8)[..., None], 4, axis=-1)
    assert prepare(field, InputSpec(height=256, width=256, low=0.5, high=100))[50, 60, 0] == 255


# === Empty channels ===

NOISE: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "black": lambda _, shape: np.zeros(shape),
    "constant": lambda _, shape: np.full(shape, 700.0),
    "read noise": lambda random, shape: random.normal(100, 3, shape),
    "strong noise": lambda random, shape: random.normal(30_000, 5000, shape),
    "shot noise": lambda random, shape: random.poisson(1.3, shape),
    "single photons": lambda random, shape: (random.random(shape) < 0.01).astype(float),
    "columns of a sensor": lambda random, shape: random.normal(500, 3, shape) + random.normal(0, 3, (1, shape[1])),
    "hot pixels on nothing": lambda random, shape: 100 + 60_000.0 * (random.random(shape) < 1e-4),
    "salt": lambda random, shape: 100 + 60_000.0 * (random.random(shape) < 0.002),
}


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("size", [256, 512])
@pytest.mark.parametrize("seed", range(2))
def test_an_empty_channel_is_black(noise: str, size: int, seed: int) -> None:
    pixels = np.repeat(np.repeat(simulated(0), size // 256, 0), size // 256, 1).astype(np.uint16)
    pixels[..., 1] = np.clip(NOISE[noise](np.random.default_rng(seed), (size, size)), 0, 65535)
    made = preprocess(pixels, 128, 128, SPEC)
    assert made.structure.tolist() == [1, 0, 1, 1]
    assert not made.pixels[..., 1].any()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("value", [0, 1, 100])
@pytest.mark.parametrize("size", [1, 16, 23])
def test_a_constant_channel_is_black(kind: type[np.number], value: int, size: int) -> None:
    made = prepare(np.full((size, size, 4), value, kind), SPEC)
    assert made.shape == (128, 128, 4)
    assert not made.any()


@pytest.mark.parametrize("counts", [3, 12, 200])
def test_few_counts_are_not_empty(counts: int) -> None:
    """Structure counts, not brightness: a protein of three grey levels is seen."""
    pixels = simulated(2).copy()
    pixels[..., 1] = np.rint(pixels[..., 1] * (counts / pixels[..., 1].max()))
    made = preprocess(pixels, 128, 128, SPEC)
    assert made.structure[1] > 0.5
    assert made.pixels[..., 1].max() > 120


def test_structure_grows_with_the_signal() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (128, 128)).astype(np.float32)
    cells = np.asarray(resize(simulated(0), 128, 128)[..., 1])
    cells = (cells - cells.mean()) / cells.std()
    found = [measure_structure(noise + np.float32(share) * cells) for share in (0, 0.1, 0.3, 0.5, 1)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("size", [128, 256, 512])
def test_simulated_channels_are_not_mistaken_for_noise(size: int) -> None:
    """The claim of `measure_structure`, for every class."""
    for label in range(N_LABELS):
        assert (
            preprocess(
                simulate_field(label, seed=5, size=size, locations=[label]).pixels, 256, 256, SPEC
            ).structure.min()
            == 1
        )


@pytest.mark.slow
def test_real_channels_are_not_mistaken_for_noise(real_data: Path) -> None:
    for folder in ("hpa2018/train", "hpa2021/train", "cm4ai"):
        for source in find_fields([real_data / folder])[0]:
            assert preprocess(read_field(source).pixels, 256, 256, SPEC).structure.min() == 1, source.id


# === What the shipped network says ===

SLIGHTEST = 0.01
"""Largest difference of a probability that a container may make."""


def answers(fields: list[Field], change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    made = [Field(field.id, change(field.pixels), field.pixel_size) for field in fields]
    return np.asarray(lociscope.open_bundle().predict(made).probability)


REAL: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "a bright DAPI": lambda x: x.astype(np.uint16) * np.array((4, 4, 100, 4), np.uint16) + np.uint16(100),
    "hot pixels of a 16-bit camera": lambda x: broken(x.astype(np.uint16) * 16 + 100, 65535, 3),
    "dead pixels": lambda x: broken(x.astype(np.uint16) * 16 + 32768, 0, 4),
    "float 0-1.02": CONTAINERS["float 0-1.02"],
    "z-scored": CONTAINERS["z-scored"],
    "signed 16, negative": CONTAINERS["signed 16, negative"],
    "unsigned 32, full range": CONTAINERS["unsigned 32, full range"],
    "12-in-16 from 32768": CONTAINERS["12-in-16 from 32768"],
}


@pytest.mark.parametrize("change", REAL)
def test_probabilities_of_simulated_fields_stay(change: str) -> None:
    fields = [Field(str(seed), simulated(seed), 0.64) for seed in range(4)]
    assert np.abs(answers(fields, REAL[change]) - answers(fields, lambda x: x)).max() <= SLIGHTEST


@pytest.mark.slow
@pytest.mark.parametrize("change", REAL)
def test_probabilities_of_real_fields_stay(real_data: Path, change: str) -> None:
    fields = [read_field(source) for source in find_fields([real_data / "hpa2018/train"])[0]]
    assert np.abs(answers(fields, REAL[change]) - answers(fields, lambda x: x)).max() <= SLIGHTEST
