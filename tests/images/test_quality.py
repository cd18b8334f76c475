"""What is noticed about pixels."""

from pathlib import Path

import numpy as np
import pytest

from lociscope.card import InputSpec
from lociscope.images.extent import tiles_of
from lociscope.images.quality import BLURRED_SLOPE, CUT_SHARE, measure, share_cut, warnings_of, warnings_of_input
from lociscope.images.read import read_field
from lociscope.images.sources import find_fields
from lociscope.simulate import draw_field

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("kind", "top"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_empty_planes_are_named(kind: type[np.number], top: float) -> None:
    pixels = (np.random.default_rng(0).random((16, 16, 4)) * top).astype(kind)
    pixels[0, 0, 0] = top
    assert warnings_of(pixels) == ()
    pixels[..., 1] = pixels[0, 0, 1]
    pixels[..., 3] = 0
    assert warnings_of(pixels) == ("empty plane: green", "empty plane: yellow")
    assert warnings_of(pixels, ("yellow",)) == ("missing channel: yellow", "empty plane: green")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
def test_an_all_black_field(kind: type[np.number]) -> None:
    expected = tuple(f"empty plane: {name}" for name in ("red", "green", "blue", "yellow"))
    assert warnings_of(np.zeros((4, 4, 4), kind)) == expected


def test_one_bright_pixel_is_something() -> None:
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[3, 5] = (3, 4, 5, 6)
    pixels[6, 6] = (0, 1, 2, 3)  # no channel repeats another
    assert warnings_of(pixels) == ()
    pixels[3, 5] = pixels[6, 6] = 2
    assert len(warnings_of(pixels)) == 4


def test_saturated_planes() -> None:
    pixels = RNG.integers(0, 200, (90, 90, 4), np.uint8)
    pixels[:1, :60, 0] = 255
    assert warnings_of(pixels) == ()
    pixels[:9, :, 0] = 255
    assert warnings_of(pixels) == ("saturated: red",)
    assert warnings_of(pixels.astype(np.uint16) * 257) == ("saturated: red",)


def test_high_background() -> None:
    pixels = RNG.integers(0, 150, (90, 90, 4), np.uint8)
    pixels[..., 3] += 100
    assert warnings_of(pixels) == ("high background: yellow",)


def test_repeated_channels() -> None:
    pixels = RNG.integers(0, 200, (30, 30, 4), np.uint8)
    pixels[..., 3] = pixels[..., 0]
    assert warnings_of(pixels) == ("repeated channel: red and yellow",)
    pixels[..., 0] = pixels[..., 3] = 0
    assert "repeated" not in "".join(warnings_of(pixels))


def test_figures_of_a_plane() -> None:
    plane = np.zeros((64, 64), np.uint8)
    plane[16:48, 16:48] = 200
    found = measure(plane)
    assert (found.PercentMaximal, found.PercentMinimal) == (25.0, 75.0)
    assert found.parts == pytest.approx(1.0)
    noise = measure(RNG.normal(0, 1, (128, 128)))
    assert noise.PowerLogLogSlope == pytest.approx(0, abs=0.2)
    assert noise.parts == pytest.approx(2 / np.pi, abs=0.03)  # a bell curve cut in the middle
    rough = np.fft.fft2(RNG.normal(0, 1, (256, 256)))
    distance = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
    brown = np.fft.ifft2(rough / np.maximum(distance, 1 / 256)).real
    assert measure(brown).PowerLogLogSlope == pytest.approx(-2, abs=0.2)  # amplitude as 1/f
    assert measure(np.full((16, 16), 7, np.uint16)).parts == 0


def discs(*centres: tuple[int, int], side: int = 256, radius: int = 20) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    plane = RNG.integers(0, 20, (side, side)).astype(np.uint8)
    for row, column in centres:
        plane[np.hypot(y - row, x - column) < radius] += 150
    return plane


def test_cells_cut_off() -> None:
    assert share_cut(discs((128, 128), (60, 60), (190, 60))) == 0
    assert share_cut(discs((0, 128))) == 1
    assert share_cut(discs((0, 128), (128, 128), (60, 60))) == pytest.approx(0.2, abs=0.03)
    field = RNG.integers(0, 200, (256, 256, 4), np.uint8)
    field[..., 2] = discs((0, 100), (100, 0), (255, 200), (128, 128))
    assert warnings_of(field) == ("cells cut off: 61 % of the nuclei",)
    assert warnings_of(field.astype(np.uint16) * 257) == warnings_of(field)
    assert warnings_of(field[:50, :50]) == ()


@pytest.mark.parametrize("plane", [np.zeros((256, 256)), RNG.random((256, 256)), np.mgrid[:256, :256][0]])
def test_what_holds_no_nuclei_has_none_cut_off(plane: np.ndarray) -> None:
    assert share_cut(plane) < CUT_SHARE


@pytest.mark.slow
def test_simulated_fields_are_rarely_cut_off() -> None:
    """The figure in `quality`: at most 2 in 100."""
    cut = [share_cut(draw_field(number, seed=7, size=256).pixels[..., 2]) for number in range(100)]
    assert np.mean(np.array(cut) > CUT_SHARE) <= 0.02


def swapped(pixels: np.ndarray, channel: int) -> np.ndarray:
    order = [0, 1, 2, 3]
    order[2], order[channel] = order[channel], order[2]
    return pixels[..., order]


def blurred(plane: np.ndarray, sigma: float) -> np.ndarray:
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(plane.shape[0]), np.fft.fftfreq(plane.shape[1]), indexing="ij"))
    soft = np.fft.ifft2(np.fft.fft2(plane) * np.exp(-2 * (np.pi * sigma * frequency) ** 2)).real
    return np.clip(soft, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
def test_a_nucleus_channel_without_nuclei(seed: int) -> None:
    pixels = draw_field(seed, seed=1, size=256, places=[23]).pixels
    assert warnings_of_input(pixels) == ()
    for number, name in ((0, "red"), (3, "yellow")):
        (said, *_) = warnings_of_input(swapped(pixels, number))
        assert said.startswith("blue shows no nuclei, ")
        assert name in said
    assert warnings_of_input(pixels, ("blue",)) == ()
    assert warnings_of_input(np.zeros((256, 256, 4), np.uint8)) == ()
    assert warnings_of_input(swapped(pixels, 0)[:64, :64]) == ()  # too little to judge by


def test_an_unsharp_field() -> None:
    pixels = draw_field(0, seed=1, size=256).pixels.copy()
    pixels[..., 0] = blurred(pixels[..., 0], 2)
    assert warnings_of_input(pixels) == ("unsharp: red",)


@pytest.mark.slow
def test_real_fields_are_taken_as_they_are_and_swaps_are_noticed(real_data: Path) -> None:
    """The figures in `quality`: 65 fields, not one false alarm, nine in ten swaps found."""
    spec = InputSpec(height=256, width=256, low=0.5, high=99.9, floor=0.04)
    folders = [real_data / name for name in ("hpa2018/train", "hpa2021/train", "cm4ai", "hpa_website")]
    fields = [read_field(source) for folder in folders for source in find_fields([folder])[0]]
    assert len(fields) == 65
    assert not [field.id for field in fields if warnings_of(field.pixels)]
    quarters = [field.pixels[: len(field.pixels) // 4, : len(field.pixels) // 4, 2] for field in fields]
    assert sum(share_cut(each) > CUT_SHARE for each in quarters) == 39
    inputs = [tiles_of(field, spec)[0][0] for field in fields]
    assert not [said for each in inputs if (said := warnings_of_input(each))]
    for number, least in ((0, 0.95), (1, 0.8), (3, 0.85)):
        noticed = [any("no nuclei" in said for said in warnings_of_input(swapped(each, number))) for each in inputs]
        assert np.mean(noticed) >= least
    slopes = [measure(blurred(each[..., 0], 2)).PowerLogLogSlope for each in inputs]
    assert np.mean(np.array(slopes) < BLURRED_SLOPE) >= 0.95
