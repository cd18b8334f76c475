"""Fields that were flipped, rotated, cropped or encoded again are found, and other fields are not mistaken for them.

    python benchmarks/duplicates.py [--simulated 400] [--real FOLDER]

Each field is changed in several ways, and each changed field is searched for among all originals. `recall` is the
share of changed fields that are found as their original, `precision` the share of found pairs that are correct; 90 %
intervals are Wilson's. The simulated fields come two to a specimen; the real ones are the labelled fields of the real
data. `largest_of_others` is the highest similarity of fields 2k and 2k + 1, `least_of_same` the lowest of a field and
its changed self: a pair is reported from 0.5. `minutes_for_31072` is extrapolated, for comparing, from 1,000 and 2,000
thumbnails (parts of blends of the simulated fields; the time grows with n and its square) and, for reading, from the
files of the real fields, on one core.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import time
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from lociscope.data.similarity import MIN_SIMILARITY, find_similar_pairs, similarity, thumbnail
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.read import read_field
from lociscope.images.scale import resize
from lociscope.processes.workers import map_in_order
from lociscope.simulate import simulate_field

REAL = Path(os.environ.get("LOCISCOPE_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
CHANGES = ("flip", "turn", "jpeg", "crop", "crop and enlarge", "all")
ALL_FIELDS = 31_072


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Each channel as a grey JPEG and back."""
    planes = []
    for channel in range(pixels.shape[-1]):
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels[..., channel])).save(file, "JPEG", quality=quality)
        planes.append(np.asarray(Image.open(file)))
    return np.stack(planes, axis=-1)


def changed(pixels: np.ndarray, change: str, rng: np.random.Generator) -> np.ndarray:
    """The field, changed; `all` is every change but the enlarging."""
    everything = change == "all"
    if change == "flip" or everything:
        pixels = pixels[::-1] if rng.random() < 0.5 else pixels[:, ::-1]
    if change == "turn" or everything:
        pixels = np.rot90(pixels, int(rng.integers(1, 4)))
    if change.startswith("crop") or everything:
        side = len(pixels)
        kept = round(0.9 * side)
        top, left = rng.integers(0, side - kept + 1, 2)
        pixels = pixels[top : top + kept, left : left + kept]
        if change == "crop and enlarge":
            pixels = np.rint(resize(pixels, side, side)).astype(np.uint8)
    if change == "jpeg" or everything:
        pixels = jpeg(pixels, 60)
    return pixels


def wilson(found: int, n: int) -> list[float]:
    """Wilson's 90 % interval of a share."""
    z = 1.6449
    share = found / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return [round(max(0.0, middle - half), 3), round(min(1.0, middle + half), 3)]


def judged(fields: list[np.ndarray]) -> dict[str, object]:
    """Recall and precision under each change."""
    rng = np.random.default_rng(0)
    originals = np.stack([thumbnail(pixels) for pixels in fields])
    result: dict[str, object] = {
        "fields": len(fields),
        "false_pairs_among_originals": len(find_similar_pairs(originals)),
    }
    others = [similarity(originals[row], originals[row ^ 1]) for row in range(len(fields) // 2 * 2)]
    result["largest_of_others"] = round(max(others), 3)
    for change in CHANGES:
        copies = np.stack([thumbnail(changed(pixels, change, rng)) for pixels in fields])
        pairs = find_similar_pairs(originals, copies, least=0.0)
        same = [pair.similarity for pair in pairs if pair.one == pair.other]
        taken = [pair for pair in pairs if pair.similarity >= MIN_SIMILARITY]
        right = sum(pair.one == pair.other for pair in taken)
        result[change] = {
            "recall": round(right / len(fields), 4),
            "recall_interval": wilson(right, len(fields)),
            "precision": round(right / max(len(taken), 1), 4),
            "precision_interval": wilson(right, max(len(taken), 1)),
            "least_of_same": round(min(same, default=0.0), 3),
        }
    return result


def blends(fields: list[np.ndarray], n: int) -> np.ndarray:
    """Thumbnails of n pictures with the statistics of fields, none like another."""
    rng = np.random.default_rng(1)
    made = []
    for _ in range(n):
        one, other = (fields[number] for number in rng.integers(0, len(fields), 2))
        half = len(one) // 2
        y, x, v, u = rng.integers(0, half + 1, 4)
        made.append((one[y : y + half, x : x + half] // 2) + (other[v : v + half, u : u + half] // 2))
    return np.stack([thumbnail(pixels) for pixels in made])


def seconds(thumbnails: np.ndarray) -> float:
    """Processor time of comparing them all."""
    started = time.process_time()
    find_similar_pairs(thumbnails)
    return time.process_time() - started


def main() -> None:
    """Measures both kinds of fields."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulated", type=int, default=400, help="simulated fields")
    parser.add_argument("--real", type=Path, default=REAL / "hpa2018" / "train")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    simulated = [
        field.pixels
        for field in map_in_order(partial(simulate_field, seed=8, size=256), range(given.simulated), given.workers)
    ]
    found: dict[str, object] = {"simulated": judged(simulated)}
    some = blends(simulated, 2000)
    half, whole = seconds(some[:1000]), seconds(some)
    square = max(0.0, (whole - 2 * half) / 2) / 1000**2
    line = max(0.0, half / 1000 - square * 1000)
    timing = {"compare": round((line * ALL_FIELDS + square * ALL_FIELDS**2) / 60, 1)}
    if given.real.is_dir():
        sources, _ = find_fields([given.real])
        started = time.process_time()
        real = [read_field(source).pixels for source in sources]
        [thumbnail(pixels) for pixels in real]
        timing["read"] = round((time.process_time() - started) / len(real) * ALL_FIELDS / 60, 1)
        found["real"] = judged(real)
    print(json.dumps(found | {"minutes_for_31072": timing}))


if __name__ == "__main__":
    main()
