"""Judge fields with the observer: GapNet-PL (Rumetshofer et al., ICLR 2019), trained on real HPA images.

    python research/observer.py check
    python research/observer.py score FIELDS [--labels CSV] [--json FILE]
    python research/observer.py classes [--only NUMBER ...] [--fields 16] [--size 2048] [--seed S] [--workers 2]
    python research/observer.py realism [SIMULATED] [--real FIELDS] [--rounds 20] [--seed S] [--workers 2]

`check` compares the answers on the 56 shared fields with those that came with the weights. `score` reports, for a
folder of fields and its labels (`Id,Target`, by default FIELDS/../train.csv or fields.csv), for each class the mean
probability and the mean reciprocal rank among the 12 classes of fields with that label alone, and over all fields
LRAP and AUC. `classes` does the same for fields that it simulates, with one location each. `realism` reports how well a
random forest on the 224 features distinguishes simulated from real fields: the AUC (0.5 where it cannot), and the share
of real fields beyond 99 % of the simulated fields' Mahalanobis distances in the first 20 principal components. Without
SIMULATED it simulates one field for each real one, with its labels and of its size.

The weights are read from `observer/` in `LOCISCOPE_REAL_DATA` (by default `../shared/data` beside the checkout) and are
never copied. A field of another size is enlarged to 2048 px by cubic interpolation.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lociscope.artifacts.label_table import read_labels
from lociscope.channels import BLUE, GREEN, RED, YELLOW
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.read import read_field
from lociscope.processes.workers import map_in_order
from lociscope.simulate import simulate_field
from lociscope.simulate.field import FIELDS_PER_SPECIMEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

REAL = Path(os.environ.get("LOCISCOPE_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
"""Real fields, and `observer/gapnet_pl.npz`."""

CLASSES = (12, 19, 25, 6, 7, 11, 14, 23, 1, 2, 0, 21, None)
"""Our class number of each of its 13 outputs; Vesicles has none."""

NAMES = (
    *("Actin filaments", "Centrosome", "Cytosol", "Endoplasmic reticulum", "Golgi apparatus", "Intermediate filaments"),
    *("Microtubules", "Mitochondria", "Nuclear membrane", "Nucleoli", "Nucleus", "Plasma membrane", "Vesicles"),
)
"""Its names of them."""

JUDGED = tuple(number for number in CLASSES if number is not None)
"""The 12 classes that both have."""

ORDER = (BLUE, GREEN, RED, YELLOW)
"""Its order of channels."""

SIDE, CROP = 2048, 1024
_STRIDES = (2, 2, 1, 1, 1, 1, 1, 1)
_POOLED_AFTER = (0, 4)
_BLOCK_ENDS = (0, 4, 7)


class Answers(NamedTuple):
    """What the observer says of fields.

    Attributes:
        ids: Names of the fields.
        probability: (n, 13) in 0–1, in the order of `NAMES`.
        features: (n, 224): global averages of its three blocks.
    """

    ids: tuple[str, ...]
    probability: np.ndarray
    features: np.ndarray

    @property
    def judged(self) -> np.ndarray:
        """(n, 12): the probabilities of the classes of `JUDGED`."""
        return self.probability[:, : len(JUDGED)]


class Observer:
    """The network.

    Args:
        folder: Where `gapnet_pl.npz` is.

    Raises:
        LociscopeError: It is not there.
    """

    def __init__(self, folder: Path = REAL / "observer") -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow as tf

        path = folder / "gapnet_pl.npz"
        if not path.is_file():
            raise LociscopeError(
                f"'{path}' does not exist: the observer's weights come with the real data. Set LOCISCOPE_REAL_DATA to "
                "the folder that holds observer/.",
                code=Code.NOT_FOUND,
            )
        with np.load(path) as arrays:
            weights = {name: arrays[name] for name in arrays.files}
        self._convolutions = [
            (weights[f"ConvLayer-{number}.W_conv"], weights[f"ConvLayer-{number}.b_conv"]) for number in range(1, 9)
        ]
        self._dense = [(weights[f"FC-{number}.W_dense"], weights[f"FC-{number}.b_dense"]) for number in range(1, 4)]
        self._run = tf.function(self._forward, reduce_retracing=True)

    def _blocks(self, x: Any) -> list[Any]:  # noqa: ANN401 - tensors
        import tensorflow as tf

        blocks = []
        for number, (weight, bias) in enumerate(self._convolutions):
            x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
            x = tf.nn.selu(tf.nn.conv2d(x, weight, _STRIDES[number], "VALID") + bias)
            if number in _POOLED_AFTER:
                x = tf.nn.max_pool2d(x, 2, 2, "SAME")
            if number in _BLOCK_ENDS:
                blocks.append(x)
        return blocks

    def _forward(self, x: Any) -> tuple[Any, Any]:  # noqa: ANN401 - tensors
        import tensorflow as tf

        features = tf.concat([tf.reduce_mean(block, axis=(1, 2)) for block in self._blocks(x)], axis=-1)
        y = features
        for weight, bias in self._dense[:-1]:
            y = tf.nn.selu(y @ weight + bias)
        weight, bias = self._dense[-1]
        return tf.sigmoid(y @ weight + bias), features

    def answer(self, fields: Iterable[tuple[str, np.ndarray]]) -> Answers:
        """Return its answers on fields.

        Args:
            fields: Name and pixels (y, x, 4) of each, channels RGBY, any type; square.
        """
        ids, probability, features = [], [], []
        for name, pixels in fields:
            crops = np.stack(list(crops_of(enlarge(pixels[..., ORDER]))))
            said, averages = self._run(crops)
            ids.append(name)
            probability.append(np.asarray(said).mean(axis=0))
            features.append(np.asarray(averages).mean(axis=0))
        if not ids:
            raise LociscopeError("There is no field to judge. Name a folder of fields.", code=Code.NOTHING_FOUND)
        return Answers(tuple(ids), np.stack(probability), np.stack(features))

    def maps(self, pixels: np.ndarray, features: Sequence[int]) -> dict[int, np.ndarray]:
        """Return the maps of one field whose averages are features, each (y, x), coarser than the field.

        Args:
            pixels: (y, x, 4), channels RGBY, any type; square.
            features: Their numbers, 0–223.
        """
        crops = np.stack(list(crops_of(enlarge(pixels[..., ORDER]))))
        blocks = [np.asarray(block) for block in self._blocks(crops)]
        starts = np.cumsum([0, *(block.shape[-1] for block in blocks)])
        found = {}
        for number in features:
            block = int(np.searchsorted(starts, number, "right")) - 1
            a, b, c, d = blocks[block][..., number - starts[block]]
            found[number] = np.block([[a, b], [c, d]])
        return found


def enlarge(pixels: np.ndarray) -> np.ndarray:
    """Return a field (y, x, 4) of 8 bits enlarged to 2048 px as OpenCV's `INTER_CUBIC` does it.

    That is Keys' cubic convolution with a = −0.75, rounded to 8 bits again: with it the answers are those expected.
    """
    height, width = pixels.shape[:2]
    if (height, width) == (SIDE, SIDE):
        return np.asarray(pixels, np.float32)
    planes = np.moveaxis(np.asarray(pixels, np.float32), -1, 0)
    larger = _cubic(height) @ planes @ _cubic(width).T
    return np.moveaxis(np.clip(np.rint(larger), 0, 255), 0, -1)


@lru_cache(maxsize=4)
def _cubic(side: int, a: float = -0.75) -> np.ndarray:
    """Return the weights (2048, side) of Keys' cubic convolution; beyond an edge its pixel is repeated."""
    at = (np.arange(SIDE) + 0.5) * side / SIDE - 0.5
    first = np.floor(at).astype(int)
    weights = np.zeros((SIDE, side), np.float32)
    for step in range(-1, 3):
        d = np.abs(at - first - step)
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        far = a * (d**3 - 5 * d**2 + 8 * d - 4)
        np.add.at(weights, (np.arange(SIDE), np.clip(first + step, 0, side - 1)), np.where(d <= 1, near, far))
    return weights


def crops_of(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Yield crops (1024, 1024, 4) that cover a field, each channel standardised within its crop."""
    height, width = pixels.shape[:2]
    for top in range(0, height - CROP + 1, CROP):
        for left in range(0, width - CROP + 1, CROP):
            crop = pixels[top : top + CROP, left : left + CROP]
            yield (crop - crop.mean(axis=(0, 1))) / (crop.std(axis=(0, 1)) + 1e-7)


def read_fields(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and pixels of each field of a folder; those that cannot be read are an error."""
    found, failures = find_fields([folder])
    if failures:
        raise LociscopeError(failures[0].reason, code=Code.UNREADABLE)
    for source in found:
        yield source.id, read_field(source).pixels


class Simulation(NamedTuple):
    """A field to simulate: one of each specimen.

    Attributes:
        number: Number of the specimen.
        locations: Its locations.
        size: Side in pixels.
        seed: Seed of the atlas.
    """

    number: int
    locations: tuple[int, ...]
    size: int
    seed: int

    @property
    def id(self) -> str:
        """A name that no other of one run has."""
        return f"{'-'.join(map(str, self.locations))}-{self.number}"


def simulate(wanted: Simulation) -> tuple[str, np.ndarray]:
    """Return name and pixels of a simulated field."""
    index = FIELDS_PER_SPECIMEN * wanted.number
    field = simulate_field(index, seed=wanted.seed, size=wanted.size, locations=wanted.locations)
    return wanted.id, field.pixels


def read_truth(folder: Path, labels: Path | None) -> dict[str, tuple[int, ...]]:
    """Return the labels of a folder's fields: of the table that is named, or of one beside or in the folder."""
    tables = (
        [labels] if labels else [at / name for at in (folder, folder.parent) for name in ("fields.csv", "train.csv")]
    )
    path = next((each for each in tables if each is not None and each.is_file()), None)
    if path is None:
        raise LociscopeError(f"'{folder}' has no table of labels. Name one with --labels.", code=Code.NOT_FOUND)
    return read_labels(path)


def reciprocal_ranks(judged: np.ndarray, column: int) -> np.ndarray:
    """Return 1 ÷ the rank of a class among the 12, for each field."""
    ranks: np.ndarray = 1 + (judged > judged[:, [column]]).sum(axis=1)
    return np.asarray(1 / ranks)


def score(answers: Answers, truth: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Return figures of answers against labels.

    Args:
        answers: What the observer says.
        truth: Classes of each field, by our numbers.

    Returns:
        For each of the 12 classes, of the fields that have this label alone: their number, mean probability and mean
        reciprocal rank; means over classes and the least; and over all fields with one of the 12: LRAP, and the
        macro-AUC and the AUC of each class with 3 fields or more.
    """
    from sklearn.metrics import label_ranking_average_precision_score, roc_auc_score

    known = np.array([[number in truth[name] for number in JUDGED] for name in answers.ids])
    alone = np.array([len(truth[name]) == 1 for name in answers.ids])
    classes: dict[str, dict[str, float]] = {}
    for column, name in enumerate(NAMES[: len(JUDGED)]):
        rows = known[:, column] & alone
        own: dict[str, float] = {"n": int(rows.sum())}
        if rows.any():
            own["probability"] = float(answers.judged[rows, column].mean())
            own["reciprocal_rank"] = float(reciprocal_ranks(answers.judged[rows], column).mean())
        if 3 <= known[:, column].sum() <= len(known) - 3:
            own["auc"] = float(roc_auc_score(known[:, column], answers.judged[:, column]))
        classes[name] = own
    shown = known.any(axis=1)
    means = {
        key: [own[key] for own in classes.values() if key in own] for key in ("probability", "reciprocal_rank", "auc")
    }
    return {
        "fields": len(answers.ids),
        "classes": classes,
        "mean": {key: float(np.mean(values)) for key, values in means.items() if values},
        "least": {key: float(np.min(values)) for key, values in means.items() if values},
        "lrap": float(label_ranking_average_precision_score(known[shown], answers.judged[shown]))
        if shown.any()
        else None,
    }


def distinguish(
    real: np.ndarray, simulated: np.ndarray, rounds: int = 20, seed: int = 0, trees: int = 500, resamples: int = 1000
) -> dict[str, float]:
    """Return how well a random forest distinguishes simulated from real features.

    Args:
        real: (n, 224).
        simulated: (m, 224).
        rounds: Repetitions of a stratified five-fold cross-validation.
        seed: Of the folds and the forests.
        trees: In each forest.
        resamples: Bootstrap samples.

    Returns:
        The mean AUC, and the 5th and 95th percentile over bootstrap samples of the fields of the mean answer.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    x = np.concatenate([real, simulated])
    y = np.repeat([0, 1], [len(real), len(simulated)])
    answers = []
    for number in range(rounds):
        forest = RandomForestClassifier(trees, n_jobs=2, random_state=seed + number)
        folds = StratifiedKFold(5, shuffle=True, random_state=seed + number)
        answers.append(cross_val_predict(forest, x, y, cv=folds, method="predict_proba")[:, 1])
    aucs = [float(roc_auc_score(y, answer)) for answer in answers]
    mean, random = np.mean(answers, axis=0), np.random.default_rng(seed)
    resampled = []
    for _ in range(resamples):
        rows = np.concatenate([random.choice(np.flatnonzero(y == kind), (y == kind).sum()) for kind in (0, 1)])
        resampled.append(roc_auc_score(y[rows], mean[rows]))
    low, high = np.percentile(resampled, (5, 95))
    return {"auc": float(np.mean(aucs)), "low": float(low), "high": float(high)}


def share_beyond(real: np.ndarray, simulated: np.ndarray, components: int = 20) -> float:
    """Return the share of real fields beyond 99 % of the simulated fields' Mahalanobis distances.

    Distances are in the first principal components of the simulated features, each standardised.
    """
    mean, spread = simulated.mean(axis=0), simulated.std(axis=0) + 1e-9
    _, _, axes = np.linalg.svd((simulated - mean) / spread, full_matrices=False)
    inner, outer = (((each - mean) / spread) @ axes[:components].T for each in (simulated, real))
    scale = inner.std(axis=0) + 1e-9
    distances = [np.linalg.norm(each / scale, axis=1) for each in (inner, outer)]
    return float((distances[1] > np.percentile(distances[0], 99)).mean())


def check(observer: Observer) -> dict[str, float]:
    """Return the largest and the mean difference from the answers that came with the weights."""
    with (REAL / "observer" / "expected_hpa2018.csv").open(newline="", encoding="utf-8") as lines:
        expected = {row["Id"]: [float(row[name]) for name in NAMES] for row in csv.DictReader(lines)}
    answers = observer.answer(read_fields(REAL / "hpa2018" / "train"))
    difference = np.abs(answers.probability - [expected[name] for name in answers.ids])
    return {"fields": len(answers.ids), "largest": float(difference.max()), "mean": float(difference.mean())}


def score_classes(observer: Observer, given: argparse.Namespace) -> dict[str, Any]:
    """Return figures of simulated fields that have one location each."""
    wanted = [
        Simulation(1000 * number + each, (number,), given.size, given.seed)
        for number in given.only
        for each in range(given.fields)
    ]
    answers = observer.answer(map_in_order(simulate, wanted, given.workers))
    return score(answers, {each.id: each.locations for each in wanted})


def compare(observer: Observer, given: argparse.Namespace) -> dict[str, Any]:
    """Return how well simulated and real fields can be distinguished."""
    real = observer.answer(read_fields(given.real))
    if given.simulated:
        simulated = observer.answer(read_fields(given.simulated))
    else:
        labels = read_truth(given.real, None)
        wanted = [Simulation(k, labels[name], given.size, given.seed) for k, name in enumerate(real.ids)]
        simulated = observer.answer(map_in_order(simulate, wanted, given.workers))
    figures: dict[str, Any] = {"real": len(real.ids), "simulated": len(simulated.ids)}
    figures |= distinguish(real.features, simulated.features, given.rounds)
    figures["beyond"] = share_beyond(real.features, simulated.features)
    return figures


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check")
    scoring = commands.add_parser("score")
    scoring.add_argument("fields", type=Path)
    scoring.add_argument("--labels", type=Path)
    judging = commands.add_parser("classes")
    judging.add_argument("--only", type=int, nargs="+", choices=JUDGED, default=JUDGED, help="our class numbers")
    judging.add_argument("--fields", type=int, default=16, help="simulated fields of each class")
    judging.add_argument("--size", type=int, default=SIDE)
    comparing = commands.add_parser("realism")
    comparing.add_argument("simulated", type=Path, nargs="?")
    comparing.add_argument("--real", type=Path, default=REAL / "hpa2018" / "train")
    comparing.add_argument("--rounds", type=int, default=20)
    comparing.add_argument("--size", type=int, default=512)
    for command in (judging, comparing):
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--workers", type=int, default=2)
    for command in (scoring, judging, comparing):
        command.add_argument("--json", type=Path)
    given = parser.parse_args()
    try:
        observer = Observer()
        if given.command == "check":
            figures: dict[str, Any] = check(observer)
        elif given.command == "score":
            figures = score(observer.answer(read_fields(given.fields)), read_truth(given.fields, given.labels))
        elif given.command == "classes":
            figures = score_classes(observer, given)
        else:
            figures = compare(observer, given)
    except LociscopeError as error:
        sys.exit(f"observer: {error}")
    text = json.dumps(figures, indent=2)
    if getattr(given, "json", None):
        given.json.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
