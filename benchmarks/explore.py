"""`lociscope explore` finds planted faults, in simulated and in real fields.

    python benchmarks/explore.py [--fields 400] [--seed 20261201]

Claim: precision and recall are at least 0.95 for duplicates, swapped channels, blank and saturated fields. Blurred
fields and fields that resemble no other are curves: recall by the width of the blur, in px of fields of 256 px, and by
the share of a picture of no cell that is mixed in. Wrong labels are judged by average precision (goal: 0.8 of 5 %).

Each kind is planted 20 times, from subtle to plain, each time on another field. A label is made wrong by replacing it
with another. A finding on a field with another fault, or with none, counts as false; but a field that has as many
white pixels by itself as the least saturated of the planted ones counts as saturated. Real fields are found by
LOCISCOPE_REAL_DATA; there are 56, so that each kind is planted 5 times in each of four Catalogs; without them only
`simulated` is measured. The faults that real fields have of their own count as false, too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.artifacts.label_table import read_labels
from lociscope.data.explore.findings import FindingKind
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.read import read_field
from lociscope.images.io.write import write_planes
from lociscope.labels import N_LABELS
from lociscope.simulate import simulate_field
from lociscope.workflows.explore import explore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.data.explore.findings import Finding

REAL = Path(os.environ.get("LOCISCOPE_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
SIZE, EACH = 256, 20
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
STRICT = ("duplicates", "swapped", "blank", "saturated")
ROUNDS = 4
"""Catalogs of real fields, each with a part of the faults of each kind."""
LEAST_SATURATED = 0.015
"""Share of clipped pixels of the subtlest saturated field."""
SWAPS = ([1, 0, 2, 3], [0, 2, 1, 3], [2, 1, 0, 3], [0, 1, 3, 2])
WIDTHS = (0.5, 1.0, 2.0, 4.0, 8.0)
SHARES = (0.25, 0.5, 0.75, 1.0)


# === Faults ===


def copy_of(pixels: np.ndarray, number: int) -> np.ndarray:
    """A copy: the same, mirrored, turned, cropped by 3 to 10 % and enlarged, or encoded as JPEG."""
    from PIL import Image

    way, size = number % 5, len(pixels)
    if way < 3:
        return np.ascontiguousarray((pixels, pixels[:, ::-1], np.rot90(pixels))[way])
    if way == 3:
        cut = round(size * (0.015 + 0.035 * number / EACH))
        planes = [Image.fromarray(pixels[cut:-cut, cut:-cut, each]).resize((size, size)) for each in range(4)]
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

    width = sigma * len(pixels) / SIZE
    return np.asarray(gaussian_filter(pixels.astype(np.float32), (width, width, 0)).round(), np.uint8)


def saturate(pixels: np.ndarray, number: int) -> np.ndarray:
    """The protein with 1.5 to 20 % of its pixels clipped."""
    share = LEAST_SATURATED * (0.2 / LEAST_SATURATED) ** (number / (EACH - 1))
    made = pixels.copy()
    limit = max(float(np.quantile(pixels[..., 1], 1 - share)), 1.0)
    made[..., 1] = np.clip(pixels[..., 1] * (255 / limit), 0, 255)
    return made


def blank(pixels: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """One channel, or all, with nothing but noise of 0 to 2 grey levels."""
    made = pixels.copy()
    channels = [[0], [1], [2], [0, 1, 2, 3]][number % 4]
    noise = rng.normal(3, 2 * number / EACH, (*pixels.shape[:2], len(channels)))
    made[..., channels] = np.clip(noise, 0, 255).round()
    return made


def strange(pixels: np.ndarray, number: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """A field mixed with a picture of no cell: stripes, rings or patches, others in each channel, with noise."""
    from scipy.ndimage import gaussian_filter

    size = len(pixels)
    y, x = np.mgrid[:size, :size] * (SIZE / size)
    planes = []
    for channel in range(pixels.shape[-1]):
        turn, width = rng.uniform(0, np.pi), rng.uniform(4, 12) + number / 2
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        radius = np.hypot(x - rng.uniform(0, SIZE), y - rng.uniform(0, SIZE))
        pattern = (along, radius, np.where(along % (8 * width) < 4 * width, along, across))[(number + channel) % 3]
        plane = gaussian_filter((pattern % (2 * width) < width).astype(float), size / SIZE)
        planes.append(40 + 120 * plane + rng.normal(0, 6, plane.shape))
    mixed = (1 - share) * pixels + share * np.stack(planes, axis=-1)
    return np.asarray(mixed.clip(0, 255).round(), np.uint8)


# === Catalogs ===


class Planted:
    """A Catalog in the making, and what is wrong with it.

    Attributes:
        planted: Ids of each kind.
        widths: The blur of each blurred field, px.
        shares: The share of another picture in each strange field.
    """

    def __init__(self, folder: Path, rng: np.random.Generator) -> None:
        self.planted: dict[str, set[str]] = {name: set() for name in (*KINDS, "labels")}
        self.widths: dict[str, float] = {}
        self.shares: dict[str, float] = {}
        self._folder, self._rng = folder, rng
        self._entries: list[Entry] = []

    def add(
        self, name: str, pixels: np.ndarray, target: tuple[int, ...], pixel_size: float | None, kind: str, place: int
    ) -> None:
        """Write a field with a fault, or with none if `kind` is empty; `place` counts the faults of its kind."""
        if kind:
            self.planted[kind].add(name)
        elif ((pixels == np.iinfo(pixels.dtype).max).mean(axis=(0, 1)) >= LEAST_SATURATED).any():
            self.planted["saturated"].add(name)
        if kind == "duplicates":
            other = f"{name}-copy"
            self.planted[kind].add(other)
            self._write(other, copy_of(pixels, place), target, pixel_size)
        elif kind == "swapped":
            pixels = np.ascontiguousarray(pixels[..., SWAPS[place % len(SWAPS)]])
        elif kind == "blank":
            pixels = blank(pixels, place, self._rng)
        elif kind == "saturated":
            pixels = saturate(pixels, place)
        elif kind == "blurred":
            self.widths[name] = WIDTHS[place % len(WIDTHS)]
            pixels = blur(pixels, self.widths[name])
        elif kind == "outlier":
            self.shares[name] = SHARES[place // (EACH // len(SHARES))]
            pixels = strange(pixels, place, self.shares[name], self._rng)
        elif kind == "labels":
            others = [each for each in range(N_LABELS) if each not in target]
            target = tuple(sorted({*target[1:], int(self._rng.choice(others))}))
        self._write(name, pixels, target, pixel_size)

    def _write(self, name: str, pixels: np.ndarray, target: tuple[int, ...], pixel_size: float | None) -> None:
        paths = [f"fields/{path.name}" for path in write_planes(self._folder / "fields", name, pixels)]
        red, green, blue, yellow = paths
        self._entries.append(Entry(name, target, red, green, blue, yellow, pixel_size=pixel_size))

    def finish(self) -> Path:
        """Write the Catalog."""
        path = self._folder / "catalog.parquet"
        Catalog.from_entries(self._entries, self._folder).write(path)
        return path


def plant_simulated(folder: Path, fields: int, seed: int) -> Planted:
    """Simulate fields with faults of every kind."""
    rng = np.random.default_rng(seed)
    made, order = Planted(folder, rng), rng.permutation(fields).tolist()
    kinds = {
        number: (kind, place) for at, kind in enumerate(KINDS) for place, number in enumerate(order[EACH * at :][:EACH])
    }
    rest = order[EACH * len(KINDS) :]
    kinds |= {number: ("labels", place) for place, number in enumerate(rest[: round(WRONG_LABELS * fields)])}
    for number in range(fields):
        field = simulate_field(number, seed=seed, size=SIZE)
        kind, place = kinds.get(number, ("", 0))
        target = tuple(field.target)
        kind = "" if kind == "labels" and not target else kind
        made.add(f"f{number:04d}", np.asarray(field.pixels), target, field.pixel_size, kind, place)
    return made


def plant_real(folder: Path, turn: int, seed: int) -> Planted:
    """Write the real fields with every fourth fault of each kind, beginning with number `turn`."""
    rng = np.random.default_rng((seed, turn))
    sources, _ = find_fields(REAL / "hpa2018" / "train")
    labels = read_labels(REAL / "hpa2018" / "fields.csv")
    made, order = Planted(folder, rng), rng.permutation(len(sources)).tolist()
    faults = [(kind, place) for kind in KINDS for place in range(turn, EACH, ROUNDS)]
    kinds = dict(zip(order, faults, strict=False))
    for number, source in enumerate(sources):
        field = read_field(source)
        kind, place = kinds.get(number, ("", 0))
        made.add(field.id, np.asarray(field.pixels), tuple(labels[field.id]), field.pixel_size, kind, place)
    return made


# === Scores ===


class Found:
    """What was found in one or several Catalogs of planted faults.

    Attributes:
        fields: Number of fields.
        found: Ids that were reported, by kind.
        planted: Ids with a fault, by kind.
        widths: The blur of each blurred field, px.
        shares: The share of another picture in each strange field.
        precision: Average precision of the contradicted labels.
    """

    def __init__(self) -> None:
        self.fields = 0
        self.found: dict[str, set[str]] = {name: set() for name in KINDS}
        self.planted: dict[str, set[str]] = {name: set() for name in KINDS}
        self.widths: dict[str, float] = {}
        self.shares: dict[str, float] = {}
        self.precision = 0.0

    def add(self, made: Planted, folder: Path, turn: int = 0) -> None:
        """Explore a Catalog; ids get the number of the turn, since real fields occur in each."""
        result = explore(made.finish(), folder / "explore.html")
        self.fields += result.fields
        for name, kinds in KINDS.items():
            ids = {each for finding in result.findings if finding.kind in kinds for each in finding.ids}
            self.found[name] |= {f"{turn}/{each}" for each in ids}
            self.planted[name] |= {f"{turn}/{each}" for each in made.planted[name]}
        self.widths |= {f"{turn}/{name}": width for name, width in made.widths.items()}
        self.shares |= {f"{turn}/{name}": share for name, share in made.shares.items()}
        self.precision = average_precision(result.findings, made.planted["labels"])

    def score(self) -> dict[str, Any]:
        """Precision and recall of each kind over fields, and the curves."""
        scores: dict[str, Any] = {"fields": self.fields}
        for name, found in self.found.items():
            hits = len(found & self.planted[name])
            scores[name] = {
                "planted": len(self.planted[name]),
                "found": len(found),
                "precision": round(hits / max(len(found), 1), 3),
                "recall": round(hits / max(len(self.planted[name]), 1), 3),
            }
        scores["blurred_recall_by_px"] = curve(self.found["blurred"], self.widths)
        scores["outlier_recall_by_share"] = curve(self.found["outlier"], self.shares)
        return scores


def curve(found: set[str], amounts: dict[str, float]) -> dict[str, float]:
    """Recall by the amount of a fault."""
    return {
        f"{amount:g}": round(sum(amounts[each] == amount for each in found & {*amounts}) / count, 2)
        for amount, count in sorted(Counter(amounts.values()).items())
    }


def average_precision(findings: Sequence[Finding], planted: set[str]) -> float:
    """Average precision of the contradicted labels, worst first; what was not found comes last and counts nothing."""
    ranked = [each.ids[0] for each in findings if each.kind == FindingKind.CONTRADICTED_LABELS]
    hits, total = 0, 0.0
    for place, name in enumerate(dict.fromkeys(ranked), start=1):
        if name in planted:
            hits += 1
            total += hits / place
    return total / max(len(planted), 1)


def main() -> None:
    """Plant faults, explore, and print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fields", type=int, default=400)
    parser.add_argument("--seed", type=int, default=20261201)
    parser.add_argument("--only", choices=("simulated", "real"))
    options = parser.parse_args()
    result: dict[str, Any] = {}
    if options.only != "real":
        simulated = Found()
        with tempfile.TemporaryDirectory() as name:
            made = plant_simulated(Path(name), options.fields, options.seed)
            simulated.add(made, Path(name))
        precision = {"planted": len(made.planted["labels"]), "average_precision": round(simulated.precision, 3)}
        result["simulated"] = {**simulated.score(), "labels": precision}
    if options.only != "simulated" and (REAL / "hpa2018" / "train").is_dir():
        real = Found()
        for turn in range(ROUNDS):
            with tempfile.TemporaryDirectory() as name:
                real.add(plant_real(Path(name), turn, options.seed), Path(name), turn)
        result["real"] = real.score()
    print(json.dumps(result))
    for where, scores in result.items():
        missed = [name for name in STRICT if min(scores[name]["precision"], scores[name]["recall"]) < 0.95]
        if missed:
            print(f"{where}: below 0.95: {', '.join(missed)}", file=sys.stderr)


if __name__ == "__main__":
    main()
