"""Export a Run of the features recipe as a Bundle: its heads as plain arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from lociscope.artifacts.bundle import Bundle, Selftest
from lociscope.artifacts.card import InputSpec
from lociscope.decide.feature_model import FeatureModel, encode_heads, parse_heads, predict_heads
from lociscope.images.segmentation.features import compute_features
from lociscope.simulate import simulate_field
from lociscope.training.export import DEFAULT_LIMITS, make_card, open_runs, write_referred

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lociscope.artifacts.bundle import Reference
    from lociscope.artifacts.run import Run

SIDE = 256
"""Side in px at which the warnings and statistics of a field are measured; features need the field itself."""
SELFTEST_FIELDS = 2
_SEED = 20_261_124


def export_features(
    run: Run,
    folder: Path,
    name: str,
    licence: str,
    limits: str = DEFAULT_LIMITS,
    refer: Callable[[Bundle], tuple[Reference, dict[str, Any]]] | None = None,
) -> float:
    """Write the heads of a Run as a Bundle, or those of its folds, whose log odds are averaged.

    Args:
        run: A finished Run of the features recipe, or the folder of folds.
        folder: The Bundle's folder.
        name: Its name, for the card.
        licence: Licence of the heads, for the card.
        limits: Its limitations, for the card.
        refer: Called with the Bundle before it is written; returns its reference and the card's summary of it.

    Returns:
        The largest difference between the probabilities of the Run's heads and of the exported ones.

    Raises:
        LociscopeError: The Run has another preprocessing, or its heads are damaged.
    """
    runs = open_runs(run)
    heads = [FeatureModel.read(each.best_features) for each in runs]
    card = make_card(run, runs, name, licence, limits)
    spec = InputSpec(height=SIDE, width=SIDE, low=card.input.low, high=card.input.high)
    card = msgspec.structs.replace(card, kind="features", input=spec)
    model = encode_heads(heads)
    pixels = [simulate_field(number, seed=_SEED, size=SIDE).pixels for number in range(SELFTEST_FIELDS)]
    features = np.stack([compute_features(each, spec.pixel_size) for each in pixels])
    expected, found = (predict_heads(each, features) for each in (heads, parse_heads(model, f"Bundle '{folder}'")))
    inputs = np.stack(pixels).astype(np.float32) / np.float32(255)
    write_referred(Bundle(folder, card, model, Selftest(inputs, expected.astype(np.float32)), ""), refer)
    return float(np.abs(expected - found).max())
