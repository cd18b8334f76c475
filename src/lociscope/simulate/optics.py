"""Simulate the microscope's optics and camera: point spread, haze, uneven light, shot noise, offset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lociscope.channels import CHANNEL_NAMES

if TYPE_CHECKING:
    from lociscope.simulate.canvas import Canvas, Image

REFERENCE_PIXEL = 0.32
"""Pixel size in µm at which exposure and photons are meant. The competition's pictures of 512 px are every fourth pixel
of those of 2048 px, so finer pixels are as noisy as these; coarser ones are means of several, and less noisy."""
BRIGHTEST = 4000
"""The exposure is set by the brightest pixel of so many: few enough that the dots of a sparse location set it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optics:
    """How one channel is recorded.

    Attributes:
        sigma: Standard deviation of the point spread in µm.
        haze: Share of the light that comes from out of focus.
        haze_sigma: Its spread in µm.
        photons: Photons of a saturated pixel of 0.32 µm: the fewer, the noisier.
        exposure: Share of full scale that the brightest pixels reach, see `BRIGHTEST`.
        background: Light that falls everywhere, as a share of full scale.
        offset: Grey level subtracted at the end, as a share of full scale.
        uneven: How much darker the corners are, 0–1.
        fine: How much of its brightest light is finer than coarse pixels: peaks fall by this power of the pixel size.
    """

    sigma: float
    haze: float
    haze_sigma: float
    photons: float
    exposure: float
    background: float
    offset: float
    uneven: float
    fine: float


def sample_optics(rng: np.random.Generator) -> list[Optics]:
    """Sample the settings of the four channels of one specimen, in the order of `lociscope.channels`."""
    return [_channel_optics(rng, index) for index in range(len(CHANNEL_NAMES))]


def _channel_optics(rng: np.random.Generator, channel: int) -> Optics:
    photons = (65, 28, 140, 42)[channel] * np.exp(rng.normal(0, (1.1, 1.3, 0.7, 1.1)[channel]))
    return Optics(
        sigma=0.13 * np.exp(rng.normal(0, 0.28)) * (1.0, 1.0, 1.1, 1.0)[channel],
        haze=rng.uniform(0.0, 0.09) * (1.0, 0.8, 0.7, 1.0)[channel],
        haze_sigma=rng.uniform(1.5, 4),
        photons=float(photons),
        exposure=float(
            np.clip(np.exp(rng.normal((0.22, -0.5, -0.12, 0.05)[channel], (0.4, 0.45, 0.4, 0.4)[channel])), 0.2, 2.0)
        ),
        background=float(rng.gamma(1, (0.004, 0.003, 0.0015, 0.004)[channel])),
        offset=float(max(0, rng.uniform(-0.008, 0.022))),
        uneven=float(rng.uniform(0, 0.2)),
        fine=(0.25, 0.04, 0.0, 0.07)[channel],
    )


def record(
    rng: np.random.Generator, canvas: Canvas, light: Image, optics: Optics, *, full_scale: int = 255
) -> np.ndarray:
    """Record one channel as grey levels.

    Args:
        rng: Source of randomness.
        canvas: Size and scale of the picture.
        light: What shines, in any unit, (size, size).
        optics: The settings.
        full_scale: The highest grey level: 255 or 65535.

    Returns:
        Grey levels (size, size), uint8 or uint16.
    """
    seen = canvas.blur(light, optics.sigma)
    if optics.haze > 0:
        seen = (1 - optics.haze) * seen + optics.haze * canvas.blur(light, optics.haze_sigma)
    seen = seen * vignette(canvas, optics.uneven)
    peak = _find_bright_level(seen)
    exposure = optics.exposure * min(1.0, REFERENCE_PIXEL / canvas.pixel_size) ** optics.fine
    seen = seen * np.float32(exposure / peak) if peak > 0 else seen
    photons = optics.photons * max(1.0, (canvas.pixel_size / REFERENCE_PIXEL) ** 2)
    counted = shot_noise(rng, (seen + np.float32(optics.background)) * np.float32(photons)) / np.float32(photons)
    level = np.clip(counted - np.float32(optics.background * 0.7 + optics.offset), 0, 1) * full_scale
    return np.asarray(np.round(level), np.uint8 if full_scale < 256 else np.uint16)


def shot_noise(rng: np.random.Generator, photons: Image) -> Image:
    """Return counts of a multiplying detector: a continuous variable with the mean and variance of Poisson's law.

    Photons start avalanches of unequal size, so counts are skewed as a gamma variable is, twice as much as Poisson
    numbers: the dark is quiet, with single bright pixels. Wilson and Hilferty's cube root makes a gamma variable
    Gaussian; this is its inverse, several times faster than sampling random counts.
    """
    shape = np.maximum(photons, np.float32(0.02))
    width = np.float32(1 / 3) / np.sqrt(shape)
    root = np.float32(1) - width * width + width * rng.standard_normal(photons.shape, dtype=np.float32)
    np.maximum(root, 0, out=root)
    return np.asarray(shape * root * root * root)


def vignette(canvas: Canvas, uneven: float) -> Image:
    """Return the light over the field: 1 in the middle, 1 − `uneven` in the corners."""
    line = (np.arange(canvas.size, dtype=np.float32) + 0.5) / canvas.size * 2 - 1
    return np.float32(1) - np.float32(uneven / 2) * (line[:, None] ** 2 + line[None, :] ** 2)


def _find_bright_level(image: Image) -> float:
    """Return the value that one pixel of `BRIGHTEST` exceeds, estimated from every second row."""
    part = image[::2].ravel()
    rank = max(1, part.size // BRIGHTEST)
    return float(np.partition(part, -rank)[-rank])
