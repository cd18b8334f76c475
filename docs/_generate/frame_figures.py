"""Recomputes every figure of docs/frame.md that comes from data: python docs/_generate/frame_figures.py FOLDER.

FOLDER is the folder of real data (see CONTRIBUTING.md); needs the extra 'fit'. One `name = value` per line.
"""

from __future__ import annotations

import csv
import struct
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lociscope.labels import N_LABELS, parse_target, to_multi_hot

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECK, REREAD, PLACE_THRESHOLD = 2, 6, 0.25
"""Minutes for a location reported wrongly, for one missed, and the break-even between them (frame.md)."""

Figure = tuple[str, str]


def percent(share: float, digits: int) -> str:
    """A share as the page writes it."""
    return f"{share * 100:.{digits}f} %"


def read_targets(path: Path) -> dict[str, tuple[int, ...]]:
    """Class numbers by id, from a CSV `Id,Target`."""
    with path.open(newline="") as file:
        return {row["Id"]: parse_target(row["Target"]) for row in csv.DictReader(file)}


def label_figures(targets: list[tuple[int, ...]]) -> Iterator[Figure]:
    """Sizes and shares of the competition's labels, and the scores of constant answers."""
    truth = to_multi_hot(targets)
    share = truth.mean(axis=0)
    constant_f1 = 2 * share / (1 + share)  # F1 of a class that is always answered
    yield "fields", f"{len(targets):,}"
    yield "labels per field", f"{truth.sum() / len(targets):.2f}"
    yield "fields with one label", percent((truth.sum(axis=1) == 1).mean(), 1)
    yield "label sets", f"{len(set(targets))}"
    for name, number in (("Nucleoplasm", 0), ("Cytosol", 25), ("Mitotic spindle", 17), ("Rods & rings", 27)):
        yield f"{name}, fields", f"{truth[:, number].sum():,}"
        yield f"{name}, share", percent(share[number], 2)
    yield "classes under 1/60 of the fields", f"{(share < 1 / 60).sum()}"
    yield "classes under 30 fields", f"{(truth.sum(axis=0) < 30).sum()}"
    yield "macro-F1, every location always", f"{constant_f1.mean():.4f}"
    yield "macro-F1, Nucleoplasm always", f"{constant_f1[0] / N_LABELS:.3f}"
    for name, classes in (("nothing", []), ("Nucleoplasm", [0]), ("Nucleoplasm and Cytosol", [0, 25])):
        answer = np.zeros_like(truth)
        answer[:, classes] = 1
        yield f"minutes, {name} always", f"{minutes(truth, answer):.1f}"


def antibody_figures(targets: dict[str, tuple[int, ...]]) -> Iterator[Figure]:
    """Whether labels belong to the antibody, the first part of an id of HPA v18."""
    sets, images, of_class = defaultdict(set), Counter[str](), defaultdict(set)
    for key, target in targets.items():
        antibody = key.split("_")[0]
        sets[antibody].add(target)
        images[antibody] += 1
        for number in target:
            of_class[number].add(antibody)
    yield "v18, images", f"{len(targets):,}"
    yield "v18, antibodies", f"{len(sets):,}"
    unlike = sum(len(s) > 1 for s in sets.values())
    yield "v18, antibodies with more than one label set", str(unlike) if unlike else "no exception"
    yield "v18, images per antibody, mean", f"{np.mean(list(images.values())):.1f}"
    for number in (15, 24, 27):
        yield f"v18, antibodies of class {number}", f"{len(of_class[number])}"


def minutes(truth: np.ndarray, answer: np.ndarray) -> float:
    """Mean minutes per field that wrong and missed locations cost, by the table of frame.md."""
    wrong = (answer > truth).sum() / len(truth)
    missed = (answer < truth).sum() / len(truth)
    return float(CHECK * wrong + REREAD * missed)


def f1(truth: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """F1 of each class, 0 where a class is neither there nor answered."""
    hits, total = (truth & answer).sum(axis=0), truth.sum(axis=0) + answer.sum(axis=0)
    return np.asarray(2 * hits / np.maximum(total, 1))


def calibrated(probability: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Probabilities with one slope and offset for all classes, learned on the other half of the fields."""
    from sklearn.linear_model import LogisticRegression

    clipped = np.clip(probability.astype(np.float64), 1e-4, 1 - 1e-4)
    logit, half = np.log(clipped / (1 - clipped)), np.arange(len(truth)) % 2
    result = np.empty_like(logit)
    for side in (0, 1):
        here, there = half == side, half != side
        model = LogisticRegression(C=1e6).fit(logit[there].reshape(-1, 1), truth[there].ravel())
        result[here] = model.predict_proba(logit[here].reshape(-1, 1))[:, 1].reshape(-1, N_LABELS)
    return result


def network_figures(path: Path) -> Iterator[Figure]:
    """What the best of ten real networks scores on real fields, as it is and calibrated."""
    from sklearn.metrics import label_ranking_average_precision_score as lrap

    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name].astype(np.float64) for name in file.files}
    truth = arrays.pop("truth").astype(np.uint8)
    ranks = {name: lrap(truth, probability) for name, probability in arrays.items()}
    raw = arrays[max(ranks, key=ranks.__getitem__)]
    fitted = calibrated(raw, truth)
    yield "networks' fields", f"{len(truth):,}"
    yield "best network, LRAP", f"{max(ranks.values()):.3f}"
    yield "label prior, LRAP", f"{lrap(truth, np.tile(truth.mean(axis=0), (len(truth), 1))):.3f}"
    yield "labels there, expected by the network", f"{raw.sum(axis=1).mean():.2f}"
    yield "labels there, true", f"{truth.sum(axis=1).mean():.2f}"
    for name, probability in (("raw", raw), ("calibrated", fitted)):
        for threshold in (PLACE_THRESHOLD, 0.5):
            answer = (probability >= threshold).astype(np.uint8)
            yield f"{name} at {threshold}, macro-F1", f"{f1(truth, answer).mean():.3f}"
            yield f"{name} at {threshold}, minutes", f"{minutes(truth, answer):.1f}"
    yield from noise_figures(truth, (fitted >= PLACE_THRESHOLD).astype(np.uint8))


def noise_figures(truth: np.ndarray, answer: np.ndarray) -> Iterator[Figure]:
    """The bootstrap interval of macro-F1, and how much of its variance the rare classes make."""
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(truth), len(truth)) for _ in range(1000)]
    by_class = np.array([f1(truth[draw], answer[draw]) for draw in draws])
    rare = truth.sum(axis=0) < 20
    low, high = np.quantile(by_class.mean(axis=1), [0.05, 0.95])
    yield "calibrated, 90 % interval", f"{low:.3f}–{high:.3f}"
    yield "classes under 20 fields there", f"{rare.sum()}"
    yield (
        "their share of the variance",
        percent(by_class[:, rare].sum(axis=1).var() / by_class.sum(axis=1).var(), 0),
    )


def picture_figures(folder: Path) -> Iterator[Figure]:
    """Sizes of the PNG files, from their headers."""
    for year in ("hpa2018", "hpa2021"):
        kinds = Counter(struct.unpack(">II B", p.read_bytes()[16:25]) for p in (folder / year / "train").glob("*.png"))
        for (width, height, bits), count in sorted(kinds.items()):
            yield f"{year}, files of {width} × {height}, {bits} bit", f"{count}"


def figures(folder: Path) -> dict[str, str]:
    """All figures, by name."""
    tables = folder / "tables"
    return {
        **dict(label_figures(list(read_targets(tables / "hpa2018_train.csv").values()))),
        **dict(antibody_figures(read_targets(tables / "hpa_v18_without_uncertain.csv"))),
        **dict(network_figures(folder / "predictions" / "validation.npz")),
        **dict(picture_figures(folder)),
    }


if __name__ == "__main__":
    for name, value in figures(Path(sys.argv[1])).items():
        print(f"{name} = {value}")
