"""Pictures that are not fields of stained cells, by kind, each from a generator.

A detector learns from the kinds of `lociscope.data.unlike_pictures`. `TUNING` has these, with other seeds, and two at
which its author looked while measures were chosen. Nothing was chosen by the kinds in `HELD_OUT`. Photographs and
textures are those that scikit-image, scikit-learn and matplotlib ship.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from lociscope.data.unlike_pictures import KINDS, SIDE, Kind, make_spectrum_noise, stack_channels, to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "camera.png", "motorcycle_left.png", "china.jpg")
OTHER_PHOTOGRAPHS = ("coffee.png", "rocket.jpg", "flower.jpg", "grace_hopper.jpg", "clock_motion.png", "lfw")
TEXTURES = ("brick.png", "grass.png", "gravel.png")
PAGES = ("page.png", "text.png")
OTHER_PICTURES = ("retina.jpg", "ihc.png", "moon.png", "coins.png", "hubble_deep_field.jpg", "horse.png", "phantom.png")


# === Arrangements of pictures in four channels ===


def to_field(rng: np.random.Generator, draw: Callable[[], np.ndarray]) -> np.ndarray:
    """Arrange pictures (y, x) or (y, x, 3) in 0–1 in four channels, in one of the ways in which they may arrive."""
    picture = draw()
    colour = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, -1)
    grey = colour.mean(-1)
    match rng.integers(4):
        case 0:  # one grey picture in all channels
            made = np.repeat(crop(rng, grey)[..., None], 4, -1)
        case 1:  # a colour picture, and black or grey as the fourth channel
            some = crop(rng, colour)
            made = np.concatenate([some, (some.mean(-1) if rng.random() < 0.5 else 0 * some[..., 0])[..., None]], -1)
        case 2:  # another part of it in each channel
            made = np.stack([crop(rng, grey) for _ in range(4)], -1)
        case _:  # another picture in each channel
            others = [draw() for _ in range(4)]
            made = np.stack([crop(rng, each if each.ndim == 2 else each.mean(-1)) for each in others], -1)
    return to_bytes(made * rng.uniform(0.4, 1))


def crop(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Return a random part of a picture, resized to `SIDE`, perhaps mirrored."""
    side = int(min(picture.shape[:2]) * rng.uniform(0.6, 1))
    top, left = (int(rng.integers(length - side + 1)) for length in picture.shape[:2])
    part = picture[top : top + side, left : left + side]
    planes = part[..., None] if part.ndim == 2 else part
    resized = [
        np.asarray(Image.fromarray(planes[..., k].astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        for k in range(planes.shape[-1])
    ]
    made = np.clip(np.stack(resized, -1), 0, 1)
    made = made[:, ::-1] if rng.random() < 0.5 else made
    return np.asarray(made[..., 0] if part.ndim == 2 else made)


@cache
def load_picture(name: str) -> np.ndarray:
    """Return a shipped picture as (y, x) or (y, x, 3) in 0–1."""
    import matplotlib
    import skimage
    import sklearn.datasets

    if name == "lfw":
        faces = np.load(Path(skimage.__file__).parent / "data" / "lfw_subset.npy")
        return np.asarray(faces.reshape(-1, 25, 25), np.float32)
    folders = (
        Path(skimage.__file__).parent / "data",
        Path(sklearn.datasets.__file__).parent / "images",
        Path(matplotlib.get_data_path()) / "sample_data",
    )
    path = next(folder / name for folder in folders if (folder / name).exists())
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L" if picture.mode in ("L", "1") else "RGB"), np.float32) / 255


def pictures(*names: str) -> Kind:
    """Return the kind of fields that show these pictures."""

    def draw(rng: np.random.Generator, _: np.ndarray) -> np.ndarray:
        def one() -> np.ndarray:
            picture = load_picture(names[rng.integers(len(names))])
            return picture[rng.integers(len(picture))] if picture.shape[-1] == 25 else picture

        return to_field(rng, one)

    return draw


# === Generated kinds ===


def white_noise(rng: np.random.Generator, _: np.ndarray) -> np.ndarray:
    """Independent pixels: Gaussian, uniform, Poisson, or salt and pepper."""
    shape = (SIDE, SIDE, 4)
    match rng.integers(4):
        case 0:
            return to_bytes(rng.normal(rng.uniform(0.2, 0.6), rng.uniform(0.02, 0.2), shape))
        case 1:
            return rng.integers(0, 256, shape).astype(np.uint8)
        case 2:
            return np.minimum(rng.poisson(rng.uniform(1, 60), shape), 65535).astype(np.uint16)
        case _:
            return (255 * (rng.random(shape) < rng.uniform(0.02, 0.5))).astype(np.uint8)


def shapes(rng: np.random.Generator, _: np.ndarray) -> np.ndarray:
    """Rings, grids of dots, boxes, the regions of nearest points."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE

    def draw() -> np.ndarray:
        match rng.integers(4):
            case 0:
                cy, cx = rng.uniform(0, 1, 2)
                return np.asarray(np.sin(2 * np.pi * rng.uniform(4, 40) * np.hypot(y - cy, x - cx)) > 0, float)
            case 1:
                n = rng.uniform(4, 30)
                return np.asarray(np.hypot(n * y % 1 - 0.5, n * x % 1 - 0.5) < rng.uniform(0.15, 0.45), float)
            case 2:
                made = np.zeros((SIDE, SIDE))
                for _ in range(rng.integers(3, 60)):
                    top, left = rng.integers(0, SIDE, 2)
                    made[top : top + rng.integers(10, 160), left : left + rng.integers(10, 160)] = rng.random()
                return made
            case _:
                points = rng.random((rng.integers(8, 80), 2))
                nearest = np.argmin((y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2, -1)
                return np.asarray(rng.random(len(points))[nearest])

    return to_bytes(stack_channels(rng, draw))


def gradients(rng: np.random.Generator, _: np.ndarray) -> np.ndarray:
    """Straight and round gradients, with a little noise or without."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE

    def draw() -> np.ndarray:
        angle = rng.uniform(0, 2 * np.pi)
        cy, cx = rng.uniform(0, 1, 2)
        straight, far = x * np.cos(angle) + y * np.sin(angle), np.hypot(y - cy, x - cx)
        spot = np.exp(-(far**2) / rng.uniform(0.02, 0.5))
        made = (straight, spot, far, straight * spot)[rng.integers(4)]
        return np.asarray((made - made.min()) / np.ptp(made)) ** rng.uniform(0.5, 3)

    made = stack_channels(rng, draw)
    return to_bytes(made + rng.choice([0, 0, 0.01, 0.05]) * rng.normal(size=made.shape))


def blank(rng: np.random.Generator, _: np.ndarray) -> np.ndarray:
    """One value in each channel, with the noise of a camera or without."""
    level = rng.choice([0, 3, 40, 128, 255], 4) if rng.random() < 0.5 else np.full(4, rng.choice([0, 17, 128, 255]))
    made = np.broadcast_to(level / 255, (SIDE, SIDE, 4)).astype(float)
    return to_bytes(made + rng.choice([0, 0.004, 0.02]) * rng.normal(size=made.shape))


def shuffled_pixels(rng: np.random.Generator, field: np.ndarray) -> np.ndarray:
    """The pixels of a field in random order, the same for its channels or another for each."""
    flat = field.reshape(-1, 4)
    if rng.random() < 0.5:
        return flat[rng.permutation(len(flat))].reshape(field.shape)
    return np.stack([rng.permutation(flat[:, k]) for k in range(4)], -1).reshape(field.shape)


def brightfield(rng: np.random.Generator, field: np.ndarray) -> np.ndarray:
    """Cells in transmitted light: brightfield, phase contrast with halos, or DIC, from the outlines of a field."""

    def draw() -> np.ndarray:
        cells = field[..., [0, 3]].astype(float).sum(-1)
        cells = np.minimum(cells / max(np.percentile(cells, 99), 1), 1) ** 0.5
        nuclei = field[..., 2] / max(np.percentile(field[..., 2], 99.5), 1)
        height = gaussian_filter(cells, 3) + 0.6 * gaussian_filter(nuclei, 4)
        match rng.integers(3):
            case 0:
                made = gaussian_filter(height, 1.5) - gaussian_filter(height, rng.uniform(3, 8))
            case 1:
                made = gaussian_filter(height, 12) - 1.3 * height
            case _:
                angle = rng.uniform(0, 2 * np.pi)
                gy, gx = np.gradient(gaussian_filter(height, 1.5))
                made = gy * np.sin(angle) + gx * np.cos(angle)
        light = 1 + 0.1 * make_spectrum_noise(rng, 3, len(made))
        contrast = rng.uniform(0.06, 0.15) * made / max(made.std(), 1e-9)
        return np.asarray((0.5 + contrast) * light + rng.normal(0, 0.01, made.shape))

    return to_bytes(stack_channels(rng, draw))


def inverted(_: np.random.Generator, field: np.ndarray) -> np.ndarray:
    """The negative of a field."""
    return np.asarray(np.iinfo(field.dtype).max - field)


def blobs(rng: np.random.Generator, _: np.ndarray) -> np.ndarray:
    """Random blobs (thresholded noise), of another size in each channel."""
    made = [make_spectrum_noise(rng, rng.uniform(1.5, 3)) > rng.uniform(-0.5, 1.5) for _ in range(4)]
    return to_bytes(np.stack(made, -1).astype(float))


TUNING: dict[str, Kind] = KINDS | {"white noise": white_noise, "photographs": pictures(*PHOTOGRAPHS)}
HELD_OUT: dict[str, Kind] = {
    "brightfield": brightfield,
    "blank": blank,
    "gradients": gradients,
    "shuffled pixels": shuffled_pixels,
    "other photographs": pictures(*OTHER_PHOTOGRAPHS),
    "printed pages": pictures(*PAGES),
    "textures": pictures(*TEXTURES),
    "other pictures": pictures(*OTHER_PICTURES),
    "shapes": shapes,
    "inverted": inverted,
    "blobs": blobs,
}
