"""`lociscope explore` finds planted faults.

Claim: precision and recall are at least 0.95 for duplicates, swapped channels, blank and saturated fields. Blurred
fields are a curve, recall by the width of the blur; wrong labels are judged by average precision (goal: 0.8 of 5 %).

Each kind is planted 20 times or more into simulated fields, from subtle to plain, on fields of its own. A label is made
wrong by replacing it with another.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.data.explore.findings import FindingKind
from lociscope.images.io.write import write_planes
from lociscope.labels import N_LABELS
from lociscope.simulate import simulate_field
from lociscope.workflows.explore import explore

if TYPE_CHECKING:
    from lociscope.data.explore.findings import Finding

FIELDS, SIZE, EACH, SEED = 400, 256, 20, 20261201
WRONG_LABELS = 0.05
KINDS = {
    "duplicates": {
        FindingKind.DUPLICATES,
        FindingKind.DUPLICATES_WITH_OTHER_LABELS,
        FindingKind.DUPLICATES_ACROSS_PARTS,
    },
    "swapped": {FindingKind.SWAPPED_CHANNELS},
    "blank": {FindingKind.BLANK},
    "saturated": {FindingKind.SATURATED},
    "blurred": {FindingKind.BLURRED},
    "outlier": {FindingKind.OUTLIER},
}
"""The findings that count for each planted kind."""


def copy_of(pixels: np.ndarray, number: int) -> np.ndarray:
    """A copy: the same, mirrored, turned, cropped by 3 to 10 % and enlarged, or encoded as JPEG."""
    from PIL import Image

    way = number % 5
    if way < 3:
        return np.ascontiguousarray((pixels, pixels[:, ::-1], np.rot90(pixels))[way])
    if way == 3:
        cut = round(SIZE * (0.015 + 0.035 * number / EACH))
        planes = [Image.fromarray(pixels[cut:-cut, cut:-cut, each]).resize((SIZE, SIZE)) for each in range(4)]
        return np.stack([np.asarray(plane) for plane in planes], axis=-1)
    planes = []
    for each in range(4):
        buffer = BytesIO()
        Image.fromarray(pixels[..., each]).save(buffer, "JPEG", quality=60 + number)
        planes.append(Image.open(buffer))
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def blur(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """All channels out of focus."""
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(pixels.astype(np.float32), (sigma, sigma, 0)).round(), np.uint8)


def saturate(pixels: np.ndarray, number: int) -> np.ndarray:
    """The protein with 1.5 to 20 % of its pixels clipped."""
    share = 0.015 * (0.2 / 0.015) ** (number / (EACH - 1))
    made = pixels.copy()
    limit = max(float(np.quantile(pixels[..., 1], 1 - share)), 1.0)
    made[..., 1] = np.clip(pixels[..., 1] * (255 / limit), 0, 255)
    return made


def blank(pixels: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """One channel, or all, with nothing but noise of 0 to 2 grey levels."""
    made = pixels.copy()
    channels = [[0], [1], [2], [0, 1, 2, 3]][number % 4]
    noise = rng.normal(3, 2 * number / EACH, (SIZE, SIZE, len(channels)))
    made[..., channels] = np.clip(noise, 0, 255).round()
    return made


def strange(number: int, rng: np.random.Generator) -> np.ndarray:
    """A picture of no cell: stripes, blotches, a grid, or smooth noise."""
    y, x = np.mgrid[:SIZE, :SIZE]
    patterns = (
        np.sin(x / (2 + number / 2)),
        np.sin(x * y / 900),
        (x % 32 < 3) | (y % 32 < 3),
        rng.random((SIZE, SIZE)),
    )
    pattern = np.asarray(patterns[number % 4], float)
    pattern = (pattern - pattern.min()) / max(float(np.ptp(pattern)), 1e-9)
    return np.repeat((200 * pattern)[..., None], 4, axis=-1).astype(np.uint8)


SWAPS = ([1, 0, 2, 3], [0, 2, 1, 3], [2, 1, 0, 3], [0, 1, 3, 2])


def plant(folder: Path) -> tuple[Path, dict[str, set[str]], dict[str, float]]:
    """Write the fields; return the Catalog, the ids of each planted kind, and the blur of each blurred field."""
    rng = np.random.default_rng(SEED)
    order = rng.permutation(FIELDS)
    parts = {name: order[EACH * place : EACH * (place + 1)].tolist() for place, name in enumerate(KINDS)}
    rest = order[EACH * len(KINDS) :]
    wrong = set(rest[: round(WRONG_LABELS * FIELDS)].tolist())
    planted: dict[str, set[str]] = {name: set() for name in (*KINDS, "labels")}
    blurs: dict[str, float] = {}
    entries = []
    for number in range(FIELDS):
        made, name = simulate_field(number, seed=SEED, size=SIZE), f"f{number:04d}"
        pixels, target = np.asarray(made.pixels), tuple(made.target)
        kind = next((each for each, numbers in parts.items() if number in numbers), "")
        place = parts[kind].index(number) if kind else 0
        if kind:
            planted[kind].add(name)
        if kind == "duplicates":
            other = f"{name}-copy"
            planted[kind].add(other)
            entries.append(write(folder, other, copy_of(pixels, place), target, made.pixel_size))
        elif kind == "swapped":
            pixels = np.ascontiguousarray(pixels[..., SWAPS[place % len(SWAPS)]])
        elif kind == "blank":
            pixels = blank(pixels, place, rng)
        elif kind == "saturated":
            pixels = saturate(pixels, place)
        elif kind == "blurred":
            blurs[name] = 0.5 * 2 ** (place // 4)
            pixels = blur(pixels, blurs[name])
        elif kind == "outlier":
            pixels = strange(place, rng)
        if number in wrong and target:
            planted["labels"].add(name)
            others = [each for each in range(N_LABELS) if each not in target]
            target = tuple(sorted({*target[1:], int(rng.choice(others))}))
        entries.append(write(folder, name, pixels, target, made.pixel_size))
    path = folder / "catalog.parquet"
    Catalog.from_entries(entries, folder).write(path)
    return path, planted, blurs


def write(folder: Path, name: str, pixels: np.ndarray, target: tuple[int, ...], pixel_size: float) -> Entry:
    """Write the four planes of a field, and return its row."""
    red, green, blue, yellow = (f"fields/{path.name}" for path in write_planes(folder / "fields", name, pixels))
    return Entry(name, target, red, green, blue, yellow, pixel_size=pixel_size)


def score(findings: list[Finding], planted: dict[str, set[str]]) -> dict[str, dict[str, float]]:
    """Precision and recall of each kind over fields; a finding on another fault's field counts as false."""
    scores = {}
    for name, kinds in KINDS.items():
        found = {each for finding in findings if finding.kind in kinds for each in finding.ids}
        hits = len(found & planted[name])
        scores[name] = {
            "planted": len(planted[name]),
            "found": len(found),
            "precision": round(hits / max(len(found), 1), 3),
            "recall": round(hits / max(len(planted[name]), 1), 3),
        }
    return scores


def average_precision(findings: list[Finding], planted: set[str]) -> float:
    """Average precision of the contradicted labels, worst first; what was not found comes last and counts nothing."""
    ranked = [each.ids[0] for each in findings if each.kind == FindingKind.CONTRADICTED_LABELS]
    hits, total = 0, 0.0
    for place, name in enumerate(dict.fromkeys(ranked), start=1):
        if name in planted:
            hits += 1
            total += hits / place
    return total / max(len(planted), 1)


def main() -> None:
    """Plants faults, explores, and prints JSON."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        catalog, planted, blurs = plant(folder)
        made = explore(catalog, folder / "explore.html")
        found = {each for finding in made.findings if finding.kind == FindingKind.BLURRED for each in finding.ids}
        widths = Counter(blurs.values())
        scores = score(made.findings, planted)
        result = {
            "fields": made.fields,
            **scores,
            "blur_recall": {
                f"{width:g} px": round(sum(blurs[each] == width for each in found & {*blurs}) / count, 2)
                for width, count in sorted(widths.items())
            },
            "labels": {
                "planted": len(planted["labels"]),
                "average_precision": round(average_precision(made.findings, planted["labels"]), 3),
            },
            "page_mb": round(made.page.stat().st_size / 1e6, 2),
        }
    print(json.dumps(result))
    strict = ("duplicates", "swapped", "blank", "saturated")
    missed = [name for name in strict if min(scores[name]["precision"], scores[name]["recall"]) < 0.95]
    if missed:
        print(f"below 0.95: {', '.join(missed)}", file=sys.stderr)


if __name__ == "__main__":
    main()
