"""Grey levels and spectra of simulated fields beside those of real ones; `-s` prints the table of docs/explanation."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.channels import CHANNEL_NAMES
from lociscope.simulate import simulate_fields

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIZE = 512
NAMES = ("mean", "median", "99 %", "slope 6–60", "slope 60–230")


def spectrum(grey: NDArray[np.floating]) -> NDArray[np.floating]:
    """Mean power at each whole number of cycles a field."""
    power = np.abs(np.fft.fft2(grey - grey.mean())) ** 2
    cycles = np.fft.fftfreq(SIZE) * SIZE
    ring = np.hypot(*np.meshgrid(cycles, cycles)).astype(int).ravel()
    return np.asarray(np.bincount(ring, power.ravel()) / np.bincount(ring))


def slope(power: NDArray[np.floating], low: int, high: int) -> float:
    cycles = np.arange(low, high)
    return float(np.polyfit(np.log(cycles), np.log(power[cycles] + 1e-9), 1)[0])


def figures(pixels: NDArray[np.uint8]) -> NDArray[np.floating]:
    """(4, 5): for each channel the figures of `NAMES`."""
    rows = []
    for channel in range(4):
        grey = pixels[..., channel].astype(float)
        power = spectrum(grey)
        levels = (grey.mean(), np.median(grey), np.percentile(grey, 99))
        rows.append((*levels, slope(power, 6, 60), slope(power, 60, 230)))
    return np.array(rows)


def load(folder: Path, name: str) -> NDArray[np.uint8]:
    from PIL import Image

    planes = []
    for colour in CHANNEL_NAMES:
        with Image.open(folder / f"{name}_{colour}.png") as picture:
            planes.append(np.asarray(picture))
    return np.dstack(planes)


@pytest.mark.slow
def test_simulated_fields_have_the_light_and_grain_of_real_ones(real_data: Path) -> None:
    fields = real_data / "hpa2018" / "fields.csv"
    if not fields.is_file():
        pytest.skip(f"no {fields}")
    names = [row["Id"] for row in csv.DictReader(fields.read_text().splitlines())]
    real = np.array([figures(load(fields.parent / "train", name)) for name in names])
    simulated = np.array(
        [figures(field.pixels) for field in simulate_fields(range(0, 2 * len(names), 2), seed=5, size=SIZE)]
    )
    for channel, colour in enumerate(CHANNEL_NAMES):
        for column, name in enumerate(NAMES):
            one, two = real[:, channel, column], simulated[:, channel, column]
            print(f"{colour:7}{name:13}{one.mean():8.2f} ± {one.std():5.2f}{two.mean():8.2f} ± {two.std():5.2f}")
            # Both are samples of some 56; what differs by more than the spread of real fields is not in their manner.
            assert abs(one.mean() - two.mean()) < 1.5 * one.std() + 0.5
