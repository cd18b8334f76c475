"""How well does a model that learned from simulated cells read real ones? Four scores, with intervals.

    python research/real_fields.py MODEL --fields DIR --labels CSV --dictionary DIR [--json] [--keep]

MODEL is a Run, also of the features recipe, or a Bundle. `--fields` holds `<id>_red.png` and so on of the fields
that the CSV (`Id,Target`) names; `--dictionary` holds JPEG composites of one location each (red microtubules, green
protein, blue nucleus, no ER) and a `labels.csv` with `file,class_index,um_per_px`. What is measured:

- `lrap`: label ranking average precision of the fields; `macro_auc`: over classes with at least 3 positives;
- `dictionary_lrap` and `dictionary_top3`: the same, and the share that has its location in the top-3.

Training lifts rare locations, so before fields are ranked each class' mean probability is matched to its share among
the competition's fields, in the dictionary to 1/28 (`lociscope.decide.matching`): no label of these fields is used.
The scores as the model gives them stand beside. Intervals are 90 % bootstrap over fields; gains over the label prior
are paired.

A network sees a field as it predicts it: the whole, resized. A dictionary picture shows less than a field, so it is
continued by mirroring to the extent that the network expects, or cut into overlapping parts where it shows more.
The scale bar stays in. `--keep` leaves the scores in the Run, as `scores/real_fields.json`, where `lociscope compare`
finds them. Exit code 0 whatever the scores, 1 where something cannot be read.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lociscope.artifacts.bundle import MANIFEST
from lociscope.artifacts.catalog import read_labels
from lociscope.artifacts.run import Run
from lociscope.channels import CHANNEL_NAMES
from lociscope.decide.feature_model import FeatureModel
from lociscope.decide.intervals import Interval, bootstrap, paired_bootstrap
from lociscope.decide.matching import match_rates
from lociscope.decide.metrics import ClassMetric, RowMetric, lrap, macro_auc, ranks, top_k
from lociscope.decide.prior import HPA_2018
from lociscope.errors import LociscopeError
from lociscope.images.preprocess import prepare
from lociscope.images.segmentation.features import compute_features
from lociscope.labels import LABELS, N_LABELS, to_multi_hot
from lociscope.models.features import NAME
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from lociscope.artifacts.card import InputSpec

LEVEL = 0.9
USUAL_PIXEL = 0.085
"""µm per pixel of a dictionary picture without a readable scale bar."""
LARGEST = 1 << 26
"""Most pixels that are decoded."""
UNIFORM = np.full(N_LABELS, 1 / N_LABELS)
BATCH = 16

MEASURED: dict[str, dict[str, ClassMetric | RowMetric]] = {
    "fields": {"lrap": lrap, "macro_auc": macro_auc},
    "dictionary": {"dictionary_lrap": lrap, "dictionary_top3": top_k(3)},
}
"""The scores of each set, by name."""
PRIORS = {"fields": HPA_2018, "dictionary": UNIFORM}
"""The label shares that each set's probabilities are matched to."""

Predict = Callable[[np.ndarray, float | None], np.ndarray]
"""(pixels (y, x, 4), µm per px or None) → (28,)."""


class Set(NamedTuple):
    """Labelled pictures and what a model says of them: names, truth (n, 28), probabilities (n, 28), label prior."""

    names: list[str]
    truth: np.ndarray
    raw: np.ndarray
    prior: np.ndarray

    @property
    def matched(self) -> np.ndarray:
        """The probabilities with label rates matched to the prior."""
        return match_rates(self.raw, self.prior)


# === Reading ===


def picture(path: Path, kind: str, mode: str) -> np.ndarray:
    """Reads a PNG of mode L or a JPEG of mode RGB; refused by its header where it is too large or of another mode."""
    from PIL import Image

    try:
        with Image.open(path, formats=(kind,)) as image:
            if image.width * image.height > LARGEST:
                raise LociscopeError(f"'{path}' claims {image.width} × {image.height} px, more than {LARGEST} in all.")
            if image.mode not in (mode, "I;16" if mode == "L" else mode):
                raise LociscopeError(f"'{path}' is a {kind} of mode {image.mode}, expected {mode}. Export it as that.")
            return np.asarray(image)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise LociscopeError(f"'{path}' is no {kind} that can be read ({error}). Check the path.") from error


def read_fields(folder: Path, labels: dict[str, tuple[int, ...]], predict: Predict) -> Set:
    """Predicts the fields that a label table names."""
    rows = []
    for name in labels:
        planes = [picture(folder / f"{name}_{channel}.png", "PNG", "L") for channel in CHANNEL_NAMES]
        if len({plane.shape for plane in planes}) > 1:
            raise LociscopeError(f"The planes of field '{name}' differ in size. Export the four channels alike.")
        rows.append(predict(np.stack(planes, axis=-1), None))
    return Set(list(labels), to_multi_hot(list(labels.values())), np.array(rows), PRIORS["fields"])


def read_dictionary(folder: Path, predict: Predict) -> Set:
    """Predicts the pictures that the folder's `labels.csv` names."""
    table = folder / "labels.csv"
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            entries = list(csv.DictReader(lines))
        classes = [int(entry["class_index"]) for entry in entries]
        sizes = [float(entry.get("um_per_px") or USUAL_PIXEL) for entry in entries]
        names = [entry["file"] for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LociscopeError(
            f"'{table}' is no table of file,class_index,um_per_px ({error}). Name its folder."
        ) from error
    rows = []
    for name, size in zip(names, sizes, strict=True):
        rgb = picture(folder / name, "JPEG", "RGB")
        rows.append(predict(np.concatenate([rgb, np.zeros_like(rgb[..., :1])], axis=-1), size))
    return Set(names, to_multi_hot([(number,) for number in classes]), np.array(rows), PRIORS["dictionary"])


# === Models ===


def load_model(path: Path) -> Predict:
    """Opens a Run or a Bundle."""
    if (path / MANIFEST).is_file():
        from lociscope.predict.predictor import open_bundle

        predictor = open_bundle(path)
        engine = predictor.engine
        return _network(predictor.bundle.card.input, lambda x: engine.run(x, ("probabilities",))["probabilities"])
    run = Run.open(path)
    recipe = run.read_recipe()
    if recipe.network.name == NAME:
        model = FeatureModel.read(run.best_features)
        return lambda pixels, size: model.predict(compute_features(pixels, size)[None])[0]
    from lociscope.models import load_network

    network = load_network(run.best_model)
    scale = np.float32(255)
    return _network(
        recipe.data.input,
        lambda inputs: network.predict_on_batch(inputs.astype(np.float32) / scale)["probabilities"],
    )


def _network(spec: InputSpec, run: Callable[[np.ndarray], np.ndarray]) -> Predict:
    def predict(pixels: np.ndarray, size: float | None) -> np.ndarray:
        views = [pixels] if size is None else views_of(pixels, size, spec.field_um)
        inputs = np.stack([prepare(view, spec) for view in views])
        calls = [run(inputs[start : start + BATCH]) for start in range(0, len(inputs), BATCH)]
        return np.asarray(np.concatenate(calls).mean(axis=0))

    return predict


def views_of(pixels: np.ndarray, size: float, extent: float) -> list[np.ndarray]:
    """Squares of `extent` µm: the picture continued by mirroring, or overlapping parts of it where it shows more."""
    side = round(extent / size)
    lacking = [max(0, side - length) for length in pixels.shape[:2]]
    padded = np.pad(pixels, [(n // 2, n - n // 2) for n in lacking] + [(0, 0)], mode="symmetric")
    starts = [
        np.linspace(0, length - side, -(-length // side)).round().astype(int).tolist() for length in padded.shape[:2]
    ]
    return [padded[y : y + side, x : x + side] for y in starts[0] for x in starts[1]]


# === Scores ===


def scores(fields: Set, dictionary: Set) -> dict[str, Interval]:
    """The four scores."""
    return {
        name: bootstrap(metric, of.truth, of.matched, n=2000, level=LEVEL)
        for metrics, of in zip(MEASURED.values(), (fields, dictionary), strict=True)
        for name, metric in metrics.items()
    }


def table(fields: Set, dictionary: Set, found: dict[str, Interval]) -> str:
    """The scores beside those of the raw probabilities and of the label prior, with paired gains."""
    lines = [f"{'score':16} {'value and 90 % interval':24} {'raw':>6} {'prior':>6}  gain over the prior, paired"]
    for metrics, of in zip(MEASURED.values(), (fields, dictionary), strict=True):
        prior = np.tile(HPA_2018, (len(of.truth), 1))
        for name, metric in metrics.items():
            gain = paired_bootstrap(metric, of.truth, of.matched, prior, n=2000, level=LEVEL)
            raw, blind = float(metric(of.truth, of.raw)), float(metric(of.truth, prior))
            lines.append(f"{name:16} {found[name]!s:24} {raw:6.3f} {blind:6.3f}  {gain}")
    return "\n".join(lines)


def class_table(fields: Set, dictionary: Set) -> str:
    """Per class: AUC and mean rank among fields, rank in the dictionary, and what stands before it wrongly."""
    lines = [f"{'class':32} {'fields':>6} {'AUC':>6} {'rank':>5} {'pictures':>8} {'rank':>5}  read in its place"]
    auc = macro_auc(fields.truth, fields.raw).per_class if len(fields.truth) else np.full(N_LABELS, np.nan)
    ranked = [ranks(each.matched) for each in (fields, dictionary)]
    for label, name in enumerate(LABELS):
        rows = [np.flatnonzero(each.truth[:, label]) for each in (fields, dictionary)]
        if not len(rows[0]) and not len(rows[1]):
            continue
        instead = np.zeros(N_LABELS)
        for each, rank, at in zip((fields, dictionary), ranked, rows, strict=True):
            before = (rank[at] < rank[at, label][:, None]) & (rank[at] <= 3) & (each.truth[at] == 0)
            instead += before.sum(axis=0)
        worst = [f"{LABELS[other]} {int(instead[other])}" for other in np.argsort(-instead)[:3] if instead[other]]
        cells = []
        for rank, at in zip(ranked, rows, strict=True):
            cells.append((len(at), f"{rank[at, label].mean():.1f}" if len(at) else "–"))
        area = f"{auc[label]:.2f}" if np.isfinite(auc[label]) else "–"
        lines.append(
            f"{label:2} {name:29} {cells[0][0]:6} {area:>6} {cells[0][1]:>5} {cells[1][0]:8} {cells[1][1]:>5}  "
            f"{', '.join(worst)}"
        )
    return "\n".join(lines)


def as_json(found: dict[str, Interval]) -> str:
    """One object: each score's value, low, high and n; null where it has none."""

    def number(value: float) -> float | None:
        return round(value, 4) if np.isfinite(value) else None

    return json.dumps(
        {
            name: {"value": number(each.value), "low": number(each.low), "high": number(each.high), "n": each.n}
            for name, each in found.items()
        }
    )


def check_keeps(path: Path) -> None:
    """Refuses to keep scores in what is no Run: a Bundle takes no further file."""
    if (path / MANIFEST).is_file():
        raise LociscopeError(f"'{path}' is a Bundle, and scores are kept in a Run. Leave --keep out.")
    Run.open(path)


def keep(run: Path, name: str, found: dict[str, Interval]) -> None:
    """Leaves scores in a Run, as `scores/<name>.json`; one that is not defined is left out."""
    known = {key: each for key, each in found.items() if np.isfinite((each.value, each.low, each.high)).all()}
    with atomic_write(run / "scores" / f"{name}.json") as part:
        part.write_text(as_json(known) + "\n", encoding="utf-8")


def main(words: list[str]) -> int:
    """Measures and prints; 0 whatever the scores."""
    parser = argparse.ArgumentParser(prog="real_fields.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", type=Path, help="a Run or a Bundle")
    parser.add_argument("--fields", type=Path, required=True, help="folder of <id>_red.png and so on")
    parser.add_argument("--labels", type=Path, required=True, help="CSV Id,Target")
    parser.add_argument("--dictionary", type=Path, required=True, help="folder of JPEG composites and labels.csv")
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    parser.add_argument("--keep", action="store_true", help="leave the scores in the Run, too")
    given = parser.parse_args(words)
    try:
        if given.keep:
            check_keeps(given.model)
        predict = load_model(given.model)
        fields = read_fields(given.fields, read_labels(given.labels), predict)
        dictionary = read_dictionary(given.dictionary, predict)
    except LociscopeError as error:
        print(f"real_fields: {error}", file=sys.stderr)
        return int(error.exit_code)
    found = scores(fields, dictionary)
    if given.keep:
        keep(given.model, "real_fields", found)
    if given.json:
        print(as_json(found))
    else:
        print(f"{table(fields, dictionary, found)}\n\n{class_table(fields, dictionary)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
