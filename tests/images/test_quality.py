"""Warnings about pixels."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.card import InputSpec
from lociscope.channels import CHANNEL_NAMES
from lociscope.images.discovery.sources import find_fields
from lociscope.images.extent import make_tiles
from lociscope.images.field import Field
from lociscope.images.io.read import read_field
from lociscope.images.preprocess import prepare, preprocess
from lociscope.images.quality import (
    BLURRED_SLOPE,
    CROPPED_SHARE,
    InputMeasures,
    Measures,
    cropped_share,
    find_warnings,
)
from lociscope.simulate import simulate_field
from lociscope.warnings import FieldWarning, WarningKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RNG = np.random.default_rng(0)
SPEC = InputSpec(height=256, width=256, low=0.5, high=99.9)
EMPTY_GREEN = FieldWarning(WarningKind.EMPTY_CHANNEL, ("green",))


def warnings_of(pixels: np.ndarray, missing: tuple[str, ...] = ()) -> tuple[FieldWarning, ...]:
    """The warnings of a field that a network of 256 px sees whole."""
    whole = preprocess(pixels, 256, 256, SPEC)
    return find_warnings(whole, InputMeasures(whole.pixels), 256, missing)


def kinds(pixels: np.ndarray) -> set[WarningKind]:
    return {warning.kind for warning in warnings_of(pixels)}


@cache
def simulated(seed: int = 0) -> np.ndarray:
    return simulate_field(seed, seed=1, size=256, locations=[23]).pixels


CONTAINERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "8 bits": lambda x: x,
    "12 in 16 bits from 32768": lambda x: x.astype(np.uint16) * 16 + 32768,
    "float": lambda x: x.astype(np.float32) / 250,
    "negative": lambda x: x.astype(np.int16) - 300,
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_container_causes_no_warning(container: str) -> None:
    assert warnings_of(CONTAINERS[container](simulated())) == ()


@pytest.mark.parametrize("container", CONTAINERS)
def test_empty_and_missing_planes_are_named(container: str) -> None:
    pixels = simulated().copy()
    pixels[..., 1] = RNG.integers(3, 9, pixels.shape[:2])
    pixels[..., 3] = 7
    pixels = CONTAINERS[container](pixels)
    assert warnings_of(pixels) == (EMPTY_GREEN, FieldWarning(WarningKind.EMPTY_CHANNEL, ("yellow",)))
    assert warnings_of(pixels, ("yellow",)) == (FieldWarning(WarningKind.MISSING_CHANNEL, ("yellow",)), EMPTY_GREEN)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
def test_an_all_black_field(kind: type[np.number]) -> None:
    expected = tuple(FieldWarning(WarningKind.EMPTY_CHANNEL, (name,)) for name in CHANNEL_NAMES)
    assert warnings_of(np.zeros((4, 4, 4), kind)) == expected


def test_a_plane_of_little_structure_is_faint() -> None:
    pixels = simulated().astype(np.uint16) * 10
    noise = RNG.normal(0, 1, pixels.shape[:2]) * pixels[..., 1].std()
    for share in np.geomspace(1, 30, 40):
        pixels[..., 1] = np.rint(simulated()[..., 1] * 10.0 + share * noise + 20_000)
        if warnings := warnings_of(pixels):
            break
    assert warnings == (FieldWarning(WarningKind.FAINT_CHANNEL, ("green",)),)


@pytest.mark.parametrize("container", CONTAINERS)
def test_saturated_planes(container: str) -> None:
    pixels = simulated().copy()
    level = np.percentile(pixels[..., 0], 94)
    pixels[..., 0] = np.minimum(pixels[..., 0], level)
    assert warnings_of(CONTAINERS[container](pixels)) == (FieldWarning(WarningKind.SATURATED, ("red",)),)
    pixels = simulated().copy()
    pixels[..., 0] = np.minimum(pixels[..., 0], np.percentile(pixels[..., 0], 99))
    assert warnings_of(CONTAINERS[container](pixels)) == ()


def test_few_levels_are_not_saturated() -> None:
    pixels = simulated().copy()
    pixels[..., 0] = pixels[..., 0] // 60
    assert warnings_of(pixels) == ()


@pytest.mark.parametrize("container", CONTAINERS)
def test_repeated_channels(container: str) -> None:
    pixels = simulated().copy()
    pixels[..., 3] = pixels[..., 0]
    assert warnings_of(CONTAINERS[container](pixels)) == (
        FieldWarning(WarningKind.REPEATED_CHANNEL, ("red", "yellow")),
    )
    pixels[..., 0] = pixels[..., 3] = 0
    assert kinds(pixels) == {WarningKind.EMPTY_CHANNEL}


def as_bytes(plane: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(255 * (plane - plane.min()) / np.ptp(plane)), np.uint8)


def test_figures_of_a_plane() -> None:
    plane = np.zeros((64, 64), np.uint8)
    plane[16:48, 16:48] = 200
    found = Measures(plane)
    assert (found.PercentMaximal, found.PercentMinimal) == (25.0, 75.0)
    assert found.parts == pytest.approx(1.0)
    noise = Measures(as_bytes(RNG.normal(0, 1, (128, 128))))
    assert noise.PowerLogLogSlope == pytest.approx(0, abs=0.2)
    assert noise.parts == pytest.approx(2 / np.pi, abs=0.03)  # a bell curve cut in the middle
    rough = np.fft.fft2(RNG.normal(0, 1, (256, 256)))
    distance = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
    brown = np.fft.ifft2(rough / np.maximum(distance, 1 / 256)).real
    assert Measures(as_bytes(brown)).PowerLogLogSlope == pytest.approx(-2, abs=0.2)  # amplitude as 1/f
    assert Measures(np.full((16, 16), 7, np.uint8)).parts == 0


def discs(*centres: tuple[int, int], side: int = 256, radius: int = 20) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    plane = RNG.integers(0, 20, (side, side)).astype(np.uint8)
    for row, column in centres:
        plane[np.hypot(y - row, x - column) < radius] += 150
    return plane


def test_cropped_cells() -> None:
    assert cropped_share(discs((128, 128), (60, 60), (190, 60))) == 0
    assert cropped_share(discs((0, 128))) == 1
    assert cropped_share(discs((0, 128), (128, 128), (60, 60))) == pytest.approx(0.2, abs=0.03)
    field = simulated().copy()
    field[..., 2] = discs((0, 100), (100, 0), (255, 200), (128, 128))
    assert FieldWarning(WarningKind.CROPPED_CELLS, value=61) in warnings_of(field)


@pytest.mark.parametrize("plane", [np.zeros((256, 256)), RNG.integers(0, 255, (256, 256)), np.mgrid[:256, :256][0]])
def test_planes_without_nuclei_have_no_cropped_nuclei(plane: np.ndarray) -> None:
    assert cropped_share(plane) < CROPPED_SHARE


@pytest.mark.slow
def test_simulated_fields_rarely_have_cropped_cells() -> None:
    """The figure in `quality`: at most 3 in 100."""
    cut = [cropped_share(simulate_field(number, seed=7, size=256).pixels[..., 2]) for number in range(100)]
    assert np.mean(np.array(cut) > CROPPED_SHARE) <= 0.03


def swapped(pixels: np.ndarray, channel: int) -> np.ndarray:
    order = [0, 1, 2, 3]
    order[2], order[channel] = order[channel], order[2]
    return pixels[..., order]


def blurred(plane: np.ndarray, sigma: float) -> np.ndarray:
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(plane.shape[0]), np.fft.fftfreq(plane.shape[1]), indexing="ij"))
    soft = np.fft.ifft2(np.fft.fft2(plane) * np.exp(-2 * (np.pi * sigma * frequency) ** 2)).real
    return np.clip(soft, 0, 255).astype(np.uint8)


@pytest.mark.slow
def test_a_nucleus_channel_without_nuclei() -> None:
    fields = [simulated(seed) for seed in range(16)]
    assert all(warnings_of(pixels) == () for pixels in fields)
    for number, name, least in ((0, "red", 7), (3, "yellow", 14)):
        found = [each for pixels in fields for each in warnings_of(swapped(pixels, number))]
        found = [each for each in found if each.kind == WarningKind.NO_NUCLEI]
        assert least <= len(found)
        assert all(name in each.channels for each in found)


def test_a_nucleus_channel_that_is_missing_or_small_is_not_judged() -> None:
    pixels = simulated()
    assert warnings_of(pixels, ("blue",)) == (FieldWarning(WarningKind.MISSING_CHANNEL, ("blue",)),)
    small = preprocess(swapped(pixels, 0), 128, 128, SPEC)
    found_in_small = {warning.kind for warning in find_warnings(small, InputMeasures(small.pixels), 128)}
    assert WarningKind.NO_NUCLEI not in found_in_small


def test_an_unsharp_field() -> None:
    pixels = simulate_field(0, seed=1, size=256).pixels.copy()
    pixels[..., 0] = blurred(pixels[..., 0], 2)
    assert warnings_of(pixels) == (FieldWarning(WarningKind.UNSHARP, ("red",)),)


@pytest.mark.slow
def test_real_fields_are_taken_as_they_are_and_swaps_are_warnings_of(real_data: Path) -> None:
    """The figures in `quality`: 65 fields, not one false alarm, nine in ten swaps found."""
    folders = [real_data / name for name in ("hpa2018/train", "hpa2021/train", "cm4ai", "hpa_website")]
    fields = [read_field(source) for folder in folders for source in find_fields([folder])[0]]
    assert len(fields) == 65
    assert not [field.id for field in fields if warnings_of(field.pixels)]
    inputs = [prepare(field.pixels, SPEC) for field in fields]
    quarters = [
        Field("", each.pixels[: len(each.pixels) // 4, : len(each.pixels) // 4], 164 / len(each.pixels))
        for each in fields
    ]
    assert sum(cropped_share(make_tiles(each, SPEC).whole.pixels[..., 2]) > CROPPED_SHARE for each in quarters) == 42
    for number, least in ((0, 0.95), (1, 0.8), (3, 0.85)):
        found = [WarningKind.NO_NUCLEI in kinds(swapped(each, number)) for each in inputs]
        assert np.mean(found) >= least
    slopes = [Measures(blurred(each[..., 0], 2)).PowerLogLogSlope for each in inputs]
    assert np.mean(np.array(slopes) < BLURRED_SLOPE) >= 0.95
