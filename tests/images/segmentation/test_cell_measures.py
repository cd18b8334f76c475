"""What is measured of each cell."""

from __future__ import annotations

import numpy as np

from lociscope.images.segmentation.cell_measures import CELL_FEATURES, measure_cells
from lociscope.images.segmentation.features import make_stack
from lociscope.images.segmentation.stack import Means
from lociscope.simulate import simulate_field


def table(label: int, index: int = 2) -> dict[str, np.ndarray]:
    pixels = simulate_field(index, seed=5, size=512, locations=(label,), cell_line="U-2 OS").pixels
    stack, zones = make_stack(pixels, None)
    values = measure_cells(stack, zones, Means(zones))
    assert values.shape == (len(zones), len(CELL_FEATURES))
    return dict(zip(CELL_FEATURES, values.T, strict=True))


def test_a_nuclear_protein_is_in_each_nucleus() -> None:
    share = table(0)["share.nucleus"]
    assert np.nanmedian(share) > 0.5
    assert np.nanmin(share) >= 0
    assert np.nanmax(share) <= 1.001


def test_shares_and_correlations_keep_their_range() -> None:
    for label in (14, 19):
        found = table(label)
        for name in CELL_FEATURES:
            if name.startswith("match.") or name in {"turn.red", "turn.radial"}:
                assert np.nanmax(np.abs(found[name])) <= 1.0001
        assert np.nanmin(found["turn.coherence"]) >= 0
        assert np.nanmax(found["turn.coherence"]) <= 1.0001


def test_noise_is_taken_off_the_finest_band() -> None:
    field = simulate_field(2, seed=5, size=512, locations=(25,), cell_line="U-2 OS")
    rng = np.random.default_rng(0)
    smooth = np.full((512, 512), 60.0)
    found = []
    for spread in (0.0, 6.0):
        pixels = field.pixels.copy()
        pixels[..., 1] = np.clip(smooth * (field.cells > 0) + rng.normal(0, spread, smooth.shape), 0, 255)
        stack, zones = make_stack(pixels, None)
        row = measure_cells(stack, zones, Means(zones))[:, CELL_FEATURES.index("nucleus.energy1")]
        found.append(np.nanmedian(row))
    assert abs(found[1] - found[0]) < 1.0  # without the correction the noise lifts it by 2
