"""An answer does not change when only the container of the pixels does: gain, offset, type, hot and dead pixels.

    python benchmarks/intensities.py [--real DIR]

For each transformation of 56 real fields (40 simulated ones where there are none): the largest difference of a
probability from that of the plain 8-bit files, the number of fields in which it exceeds 0.01, the number in which the
decision changes, how many of these have no probability within 0.01 of its threshold, and the number of fields whose
warnings change. Claim: differences of at most 0.01, and no decision changes beyond that margin, except in the last
three rows, which lose information.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import lociscope
from lociscope.images.discovery.sources import find_fields
from lociscope.images.field import Field
from lociscope.images.io.read import read_field
from lociscope.simulate import simulate_field

REAL = Path(os.environ.get("LOCISCOPE_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
LARGEST = 0.01
COUNTS = ("over 0.01", "decisions changed", "of them not near a threshold", "warnings changed")
Change = Callable[[np.ndarray], np.ndarray]


def to_16_bits(pixels: np.ndarray, gains: tuple[float, ...], offset: float = 0) -> np.ndarray:
    """As a camera of 16 bits gives it: gains of the four channels, and a common offset."""
    return np.asarray(np.rint(pixels * np.array(gains) + offset), np.uint16)


def broken(pixels: np.ndarray, value: float, number: int = 20) -> np.ndarray:
    """With so many pixels of each channel at one value, at random places."""
    random, changed = np.random.default_rng(int(pixels.sum()) % 2**32), pixels.copy()
    for channel in range(pixels.shape[-1]):
        rows, columns = (random.integers(0, side, number) for side in pixels.shape[:2])
        changed[rows, columns, channel] = value
    return changed


def by_percentiles(pixels: np.ndarray) -> np.ndarray:
    """As csbdeep and cellpose normalise."""
    low, high = np.percentile(pixels, (1, 99.8), axis=(0, 1))
    return np.asarray((pixels - low) / np.maximum(high - low, 1e-20), np.float32)


def by_deviation(pixels: np.ndarray) -> np.ndarray:
    """As z-scores."""
    deviation = pixels.std(axis=(0, 1))
    return np.asarray((pixels - pixels.mean(axis=(0, 1))) / np.where(deviation > 0, deviation, 1), np.float32)


def to_levels(pixels: np.ndarray, levels: int, percentile: float) -> np.ndarray:
    """Rounded so that each channel has so many levels up to a percentile."""
    top = np.maximum(np.percentile(pixels, percentile, axis=(0, 1)), 1)
    return np.asarray(np.rint(pixels * (levels / top)), np.uint16)


CHANGES: dict[str, Change] = {
    "× 4 + 100, 16 bits": lambda x: to_16_bits(x, (4, 4, 4, 4), 100),
    "× 16, 8, 60, 16": lambda x: to_16_bits(x, (16, 8, 60, 16), 100),
    "× 4, 4, 100, 4": lambda x: to_16_bits(x, (4, 4, 100, 4), 100),
    "× 0.9, 200, 1.3, 30": lambda x: to_16_bits(x, (0.9, 200, 1.3, 30), 500),
    "12 bits": lambda x: to_16_bits(x, (4095 / 255,) * 4),
    "12 bits + 32768": lambda x: to_16_bits(x, (4095 / 255,) * 4, 32768),
    "one hot pixel": lambda x: broken(to_16_bits(x, (16, 16, 16, 16), 100), 65535, 1),
    "20 hot pixels, 16 bits": lambda x: broken(to_16_bits(x, (16, 16, 16, 16), 100), 65535),
    "20 dead pixels, 16 bits": lambda x: broken(to_16_bits(x, (16, 16, 16, 16), 32768), 0),
    "20 dead pixels, 8 bits": lambda x: broken(x, 0),
    "int8": lambda x: (x.astype(np.int16) - 128).astype(np.int8),
    "int16, negative": lambda x: x.astype(np.int16) - 5,
    "int16 from −32768": lambda x: (x.astype(np.int32) * 200 - 32768).astype(np.int16),
    "int32, negative": lambda x: x.astype(np.int32) - 5,
    "uint32, full range": lambda x: x.astype(np.uint32) * 16843009,
    "float 0–1": lambda x: x.astype(np.float32) / 255,
    "float 0–1.02": lambda x: x.astype(np.float32) / 250,
    "float16": lambda x: x.astype(np.float16),
    "float × 1e−30": lambda x: x.astype(np.float32) * np.float32(1e-30),
    "percentiles": by_percentiles,
    "z-scores": by_deviation,
    "200 levels, 99.9th percentile": partial(to_levels, levels=200, percentile=99.9),
    "200 levels, maximum": partial(to_levels, levels=200, percentile=100),
    "20 hot pixels, 8 bits": lambda x: broken(x, 255),
}
"""The last three lose information: 200 levels round what was there, most where the bright end of a channel is far below
its maximum; and among 8 bits a hot pixel is no brighter than some that shot noise made."""


def fields_of(real: Path) -> list[Field]:
    """The real fields, or simulated ones."""
    folder = real / "hpa2018" / "train"
    if folder.is_dir():
        return [read_field(source) for source in find_fields([folder])[0]]
    return [Field(str(seed), simulate_field(seed, seed=3, size=512).pixels, 0.32) for seed in range(40)]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, default=REAL)
    fields, predictor = fields_of(parser.parse_args().real), lociscope.open_bundle()
    plain = predictor.predict(fields)
    close = (np.abs(plain.probability - np.array(predictor.bundle.card.decide.thresholds)) < LARGEST).any(axis=1)
    print(f"{len(fields)} fields\n{'':32s}{'largest':>8s}{'> 0.01':>8s}{'changed':>8s}{'sure':>6s}{'warnings':>9s}")
    measured = {}
    for name, change in CHANGES.items():
        made = predictor.predict([Field(each.id, change(each.pixels), each.pixel_size) for each in fields])
        moved = np.abs(made.probability - plain.probability).max(axis=1)
        changed = np.array([one != other for one, other in zip(made.predicted, plain.predicted, strict=True)])
        warned = sum(set(one) != set(other) for one, other in zip(made.warnings, plain.warnings, strict=True))
        counts = [int(each.sum()) for each in (moved > LARGEST, changed, changed & ~close)] + [warned]
        measured[name] = {"largest": round(float(moved.max()), 4)} | dict(zip(COUNTS, counts, strict=True))
        print(f"{name:32s}{moved.max():8.4f}{counts[0]:8d}{counts[1]:8d}{counts[2]:6d}{warned:9d}", flush=True)
    print(json.dumps({"fields": len(fields)} | measured, ensure_ascii=False))


if __name__ == "__main__":
    main()
