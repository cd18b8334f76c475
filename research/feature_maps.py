"""Show where simulated and real fields differ: the maps whose averages are the observer's most telling features.

    python research/feature_maps.py -o FOLDER [--features NUMBER ...] [--pairs 3] [--every 2] [--seed S]

Simulates one field for each real one, with its labels, and writes a picture `feature-NUMBER.png` for each feature: on
the left the real fields with the most of it, on the right the simulated ones with the least (the other way round where
simulated fields have more), above the field in red, green and blue, below the map. Without `--features` they are the
eight with the largest standardised shift. The pictures show real fields: keep them out of the project.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from observer import (  # type: ignore[import-not-found]
    REAL,
    Answers,
    Observer,
    Simulation,
    read_fields,
    read_truth,
    simulate,
)

SIDE = 512
BEST = 8


def find_shifts(real: np.ndarray, simulated: np.ndarray) -> np.ndarray:
    """Return the difference of the means of features (n, k), real − simulated, in pooled standard deviations."""
    spread = np.sqrt((real.var(axis=0) + simulated.var(axis=0)) / 2) + 1e-9
    return np.asarray((real.mean(axis=0) - simulated.mean(axis=0)) / spread)


def draw(observer: Observer, pixels: np.ndarray, number: int, high: float) -> np.ndarray:
    """Return a field above its map of one feature, (2 · SIDE, SIDE, 3) of uint8."""
    from PIL import Image

    top = [np.clip(pixels[..., c] / max(20.0, np.percentile(pixels[..., c], 99.7)), 0, 1) for c in range(3)]
    grey = np.clip(observer.maps(pixels, [number])[number] / high, 0, 1)
    parts = [np.dstack(top), np.dstack([grey] * 3)]
    return np.concatenate(
        [np.asarray(Image.fromarray((255 * part).astype(np.uint8)).resize((SIDE, SIDE))) for part in parts]
    )


def main() -> None:
    """Write the pictures, and print the shifts as JSON."""
    from PIL import Image

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--features", type=int, nargs="+")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--every", type=int, default=1, help="take every n-th real field")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    observer, folder = Observer(), REAL / "hpa2018" / "train"
    labels = read_truth(folder, None)
    fields = [list(read_fields(folder))[:: given.every]]
    fields.append([simulate(Simulation(k, labels[name], SIDE, given.seed)) for k, (name, _) in enumerate(fields[0])])
    answers: list[Answers] = [observer.answer(each) for each in fields]
    shifts = find_shifts(answers[0].features, answers[1].features)
    chosen = given.features or np.argsort(-np.abs(shifts))[:BEST].tolist()
    given.output.mkdir(parents=True, exist_ok=True)
    for number in chosen:
        sign = 1 if shifts[number] > 0 else -1
        columns = []
        for which, its in enumerate(answers):
            order = np.argsort(its.features[:, number] * sign * (1, -1)[which])[::-1][: given.pairs]
            columns += [fields[which][k][1] for k in order]
        high = max(float(np.percentile(observer.maps(pixels, [number])[number], 99.5)) for pixels in columns)
        picture = np.concatenate([draw(observer, pixels, number, max(high, 1e-6)) for pixels in columns], axis=1)
        Image.fromarray(picture).save(given.output / f"feature-{number}.png")
    print(json.dumps({str(number): round(float(shifts[number]), 2) for number in chosen}, indent=2))


if __name__ == "__main__":
    main()
