from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lociscope.channels import BLUE, GREEN
from lociscope.microscope.simulated import mosaic
from lociscope.microscope.simulated.mosaic import CORE_UM, Mosaic, TileCache, render_tile
from lociscope.microscope.simulated.specimen import FULL_SCALE, SimulatedPlate, View
from lociscope.simulate.specimen import sample_specimen

FINE = 1.28
COARSE = 5.12


@pytest.fixture
def render_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Render every tile, also those that the tests have rendered before."""
    monkeypatch.setattr(mosaic, "render_tile", render_tile)


@pytest.fixture(scope="module")
def plate(make_plan: Any) -> SimulatedPlate:
    plan = make_plan(
        {"specimen.antibodies": {"A1": ["Nucleoplasm"], "A2": ["Mitochondria"]}, "specimen.cell_line": "U-2 OS"}
    )
    return SimulatedPlate(plan, FINE)


def view(
    x: float = 0.0, y: float = 0.0, *, defocus: float = 0.0, size: float = FINE, side: int = 128, ms: float = 100.0
) -> View:
    return View(x, y, defocus, size, side, ms)


def take_image(plate: SimulatedPlate, at: View, channel: int = BLUE, seed: int = 0, *, lit: bool = True) -> np.ndarray:
    return plate.take_image(at, channel, np.random.default_rng(seed), lit=lit).astype(float)


def correlate(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_the_same_position_shows_the_same_cells_with_new_noise(plate: SimulatedPlate) -> None:
    one, other = take_image(plate, view(), seed=1), take_image(plate, view(), seed=2)
    assert correlate(one, other) > 0.9
    assert (one[one > 0] != other[one > 0]).mean() > 0.9


def test_half_a_field_further_half_of_it_is_the_same(plate: SimulatedPlate) -> None:
    here, right, below = (take_image(plate, at) for at in (view(), view(64 * FINE), view(0, -64 * FINE)))
    assert correlate(here[:, 64:], right[:, :64]) > 0.85
    assert correlate(here[64:], below[:64]) > 0.85
    assert abs(correlate(here, right)) < 0.5


def test_no_edge_of_a_tile_is_seen(plate: SimulatedPlate) -> None:
    """Neighbouring columns differ at the seam as they do elsewhere, and cells lie across it."""
    frame = take_image(plate, view(CORE_UM / 2, 0, side=160))
    steps = np.abs(np.diff(frame, axis=1)).mean(0)
    assert steps[79] < steps.mean() + 4 * steps.std()
    assert frame[:, 75:85].max() > 0.2 * frame.max()


def test_twice_the_zoom_shows_the_middle_of_the_field_larger(plate: SimulatedPlate) -> None:
    coarse, fine = take_image(plate, view(size=2 * FINE, side=64)), take_image(plate, view(side=64))
    small = fine.reshape(32, 2, 32, 2).mean((1, 3))
    assert correlate(coarse[16:48, 16:48], small) > 0.9


@pytest.mark.slow
def test_cells_do_not_depend_on_the_order_of_imaging(render_again: None, make_plan: Any) -> None:
    plan = make_plan()
    one, other = SimulatedPlate(plan, COARSE), SimulatedPlate(plan, COARSE)
    for x, y in ((9000, 0), (300, 100), (-200, 0)):
        take_image(one, view(x, y, size=COARSE, side=32))
    here = view(20, size=COARSE, side=32)
    assert np.array_equal(take_image(one, here), take_image(other, here))


def test_out_of_focus_is_blurred(plate: SimulatedPlate) -> None:
    sharpness = [np.abs(np.diff(take_image(plate, view(defocus=z)))).mean() for z in (0, 10, 40)]
    assert sharpness[0] > sharpness[1] > sharpness[2]
    assert take_image(plate, view(defocus=-10)) == pytest.approx(take_image(plate, view(defocus=10)))


def test_exposure_brightens_until_it_saturates(plate: SimulatedPlate) -> None:
    means = [take_image(plate, view(ms=ms)).mean() for ms in (50, 100, 200)]
    assert means[1] / means[0] == pytest.approx(2, rel=0.15)
    assert means[2] > means[1]
    assert take_image(plate, view(ms=100_000)).max() == FULL_SCALE


def test_a_closed_shutter_and_the_plastic_between_wells_are_dark(plate: SimulatedPlate) -> None:
    lit = take_image(plate, view()).mean()
    assert take_image(plate, view(), lit=False).mean() < 0.05 * lit
    assert take_image(plate, view(4500)).mean() < 0.2 * lit
    assert plate.count_cells(view(4500)) == 0


@pytest.mark.slow
def test_a_well_holds_one_antibody(plate: SimulatedPlate) -> None:
    assert plate.target("A1") == (0,)
    assert plate.target("A2") == (23,)
    nucleus, protein = (take_image(plate, view(), channel) for channel in (BLUE, GREEN))
    elsewhere = take_image(plate, view(9000), GREEN)
    assert correlate(nucleus, protein) > correlate(take_image(plate, view(9000), BLUE), elsewhere) + 0.3


def test_wells_are_where_the_plate_has_them(plate: SimulatedPlate) -> None:
    assert plate.well_at(0, 0) == "A1"
    assert plate.well_at(9000, -9000) == "B2"
    assert plate.well_at(3000, 0) == "A1"
    assert plate.well_at(3300, 0) is None
    assert plate.well_at(-9000, 0) is None


def test_random_antibodies_depend_only_on_the_seed(make_plan: Any) -> None:
    plans = [make_plan({"specimen.seed": seed}) for seed in (3, 3, 4)]
    targets = [[SimulatedPlate(plan, 8.0).target(well) for well in ("A1", "A2", "C7", "H12")] for plan in plans]
    assert targets[0] == targets[1] != targets[2]


def test_cells_are_counted_once_however_the_field_is_divided(plate: SimulatedPlate) -> None:
    whole = plate.count_cells(view(100, 50, side=256))
    quarter = 64 * FINE
    parts = [
        plate.count_cells(view(100 + dx, 50 + dy, side=128)) for dx in (-quarter, quarter) for dy in (-quarter, quarter)
    ]
    assert whole == sum(parts) > 3


def test_tiles_dropped_from_the_cache_are_rendered_equally(render_again: None) -> None:
    specimen = sample_specimen(np.random.default_rng(0), [0], "U-2 OS")
    well = Mosaic((1,), specimen, COARSE, TileCache(max_bytes=1))
    first = well.window(-100, -100, 30)
    well.window(5000, 5000, 30)
    assert np.array_equal(well.window(-100, -100, 30), first)
