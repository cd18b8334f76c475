"""Generate pictures of other things than stained cells, for an out-of-distribution detector to learn from.

They need no files: noise, stripes, text, dead leaves (which have the statistics of photographs), and fields that are
shuffled or blurred until no structure is left.
"""

from __future__ import annotations

import string
from collections.abc import Callable

import numpy as np

from lociscope.images.field import Field
from lociscope.images.preprocess import HPA_FIELD_UM

SIDE = 512
"""Side of a picture in px."""

Kind = Callable[[np.random.Generator, np.ndarray], np.ndarray]
"""(generator, pixels of a field of cells (y, x, 4)) → pixels (y, x, 4) of uint8 or uint16."""


def make_pictures(bases: list[np.ndarray], per_kind: int, seed: int = 0) -> list[Callable[[], Field]]:
    """Return functions that each generate one picture, of all kinds in turn.

    Args:
        bases: Pixels of fields of cells, (y, x, 4), at least one.
        per_kind: Number of pictures of each kind.
        seed: Of the pictures.
    """

    def make(name: str, kind: Kind, number: int) -> Callable[[], Field]:
        def generate() -> Field:
            rng = np.random.default_rng([seed, number, *name.encode()])
            pixels = kind(rng, bases[number % len(bases)])
            return Field(f"{name} {number}", pixels, HPA_FIELD_UM / max(pixels.shape[:2]))

        return generate

    return [make(name, kind, number) for number in range(per_kind) for name, kind in KINDS.items()]


def to_bytes(pixels: np.ndarray) -> np.ndarray:
    """Convert 0–1 to uint8."""
    return np.asarray(np.rint(np.clip(pixels, 0, 1) * 255), np.uint8)


def stack_channels(rng: np.random.Generator, draw: Callable[[], np.ndarray], same: float = 0.5) -> np.ndarray:
    """Return four channels (y, x, 4): one picture (y, x) in all of them, with probability `same`, or four pictures."""
    if rng.random() < same:
        return np.repeat(draw()[..., None], 4, axis=-1)
    return np.stack([draw() for _ in range(4)], axis=-1)


def make_spectrum_noise(rng: np.random.Generator, slope: float, side: int = SIDE) -> np.ndarray:
    """Return Gaussian noise (side, side) of mean 0 and deviation 1, whose amplitude falls with frequency^−slope."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    frequency[0, 0] = 1
    terms = np.fft.rfft2(rng.normal(size=(side, side))) * frequency**-slope
    terms[0, 0] = 0
    made = np.fft.irfft2(terms, s=(side, side))
    return np.asarray(made / made.std())


def make_noise(rng: np.random.Generator, _: np.ndarray) -> np.ndarray:
    """Return noise of any spectrum, clipped or not, with a part that the channels share or without."""
    slope = rng.uniform(0.4, 2.5)
    shared = make_spectrum_noise(rng, slope) if rng.random() < 0.4 else 0
    made = np.stack([make_spectrum_noise(rng, slope) + shared for _ in range(4)], axis=-1)
    made = np.maximum(made, rng.uniform(-3, 0.5))
    made -= made.min()
    return to_bytes(made / np.percentile(made, 99.9))


def make_stripes(rng: np.random.Generator, _: np.ndarray) -> np.ndarray:
    """Return waves, stripes and chessboards."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE

    def draw() -> np.ndarray:
        cycles, angle = rng.uniform(2, 60), rng.uniform(0, np.pi)
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        wave = np.sin(2 * np.pi * cycles * along)
        other = np.sin(2 * np.pi * cycles * across)
        made = (wave, np.sign(wave), np.sign(wave * other))[rng.integers(3)]
        return np.asarray(made / 2 + 0.5)

    return to_bytes(stack_channels(rng, draw))


def make_text(rng: np.random.Generator, _: np.ndarray) -> np.ndarray:
    """Return random words of one size, light on dark or dark on light."""
    from PIL import Image, ImageDraw, ImageFont

    letters = list(string.ascii_letters + string.digits)

    def draw() -> np.ndarray:
        dark, size = rng.random() < 0.5, int(rng.choice([12, 18, 28, 48, 90]))
        page = Image.new("L", (SIDE, SIDE), 0 if dark else 255)
        words = ("".join(rng.choice(letters, rng.integers(2, 9))) for _ in range(SIDE))
        lines = [" ".join(next(words) for _ in range(SIDE // (4 * size) + 1)) for _ in range(rng.integers(1, 25))]
        ImageDraw.Draw(page).multiline_text(
            (float(rng.integers(0, 20)), float(rng.integers(0, 20))), "\n".join(lines),
            fill=255 if dark else 0, font=ImageFont.load_default(size), spacing=int(size * rng.uniform(0.1, 1)),
        )  # fmt: skip
        return np.asarray(page, np.float32) / 255

    return to_bytes(stack_channels(rng, draw) * rng.uniform(0.3, 1))


def make_dead_leaves(rng: np.random.Generator, _: np.ndarray) -> np.ndarray:
    """Return opaque shapes of all sizes on each other, a model of photographs (Lee, Mumford, Huang, IJCV 2001)."""
    side = SIDE // 2
    textures = [make_spectrum_noise(rng, slope, side) for slope in (1.0, 1.5)]
    match rng.integers(3):
        case 0:
            made = np.repeat(_draw_leaves(rng, textures)[..., None], 4, axis=-1)
        case 1:
            made = np.stack([_draw_leaves(rng, textures) for _ in range(4)], axis=-1)
        case _:  # a picture in colour
            shared = np.clip(_draw_leaves(rng, textures), 0, 1)
            made = np.stack([shared ** rng.uniform(0.5, 2) * rng.uniform(0.5, 1) for _ in range(4)], axis=-1)
    return to_bytes(made.repeat(2, axis=0).repeat(2, axis=1))


def _draw_leaves(rng: np.random.Generator, textures: list[np.ndarray]) -> np.ndarray:
    side = len(textures[0])
    y, x = np.mgrid[:side, :side]
    made = np.full((side, side), rng.random())
    smallest, largest, amount = rng.uniform(3, 12), rng.uniform(30, 120), rng.uniform(0, 0.15)
    for _ in range(rng.integers(60, 300)):
        radius = (smallest**-2 - rng.random() * (smallest**-2 - largest**-2)) ** -0.5
        cy, cx = rng.uniform(-20, side + 20, 2)
        angle, aspect = rng.uniform(0, np.pi), rng.uniform(0.4, 1)
        along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        across = ((y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)) / aspect
        box = rng.random() < 0.4
        inside = np.maximum(abs(along), abs(across)) < radius if box else along**2 + across**2 < radius**2
        made[inside] = (rng.random() + amount * textures[rng.integers(len(textures))])[inside]
    return made


def randomize_phases(rng: np.random.Generator, field: np.ndarray) -> np.ndarray:
    """Return the spectrum of a field with the phases of noise."""
    terms = np.fft.rfft2(field.astype(float), axes=(0, 1))
    noise = np.fft.rfft2(rng.normal(size=field.shape[:2]))[..., None]
    made = np.fft.irfft2(terms * noise / np.abs(noise), s=field.shape[:2], axes=(0, 1))
    return to_bytes((made - made.min((0, 1))) / np.maximum(np.ptp(made, (0, 1)), 1e-9))


def shuffle_blocks(rng: np.random.Generator, field: np.ndarray) -> np.ndarray:
    """Return the square blocks of a field in random order."""
    side = int(rng.choice([4, 8, 16, 32]))
    n = min(field.shape[:2]) // side
    blocks = field[: n * side, : n * side].reshape(n, side, n, side, 4).swapaxes(1, 2).reshape(n * n, side, side, 4)
    made = blocks[rng.permutation(n * n)].reshape(n, n, side, side, 4).swapaxes(1, 2)
    return made.reshape(n * side, n * side, 4)


def blur(rng: np.random.Generator, field: np.ndarray) -> np.ndarray:
    """Return a field far out of focus."""
    from scipy.ndimage import gaussian_filter

    sigma = rng.uniform(0.016, 0.047) * max(field.shape[:2])
    return np.asarray(gaussian_filter(field, (sigma, sigma, 0)))


KINDS: dict[str, Kind] = {
    "noise": make_noise,
    "stripes": make_stripes,
    "text": make_text,
    "dead leaves": make_dead_leaves,
    "random phases": randomize_phases,
    "shuffled blocks": shuffle_blocks,
    "strong blur": blur,
}
