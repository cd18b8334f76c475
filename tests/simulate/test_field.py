from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lociscope.simulate.field as field_module
from lociscope.channels import BLUE
from lociscope.errors import LociscopeError, MissingExtraError, UsageError
from lociscope.labels import N_LABELS
from lociscope.simulate import CELL_LINES, PATTERNS, SimulatedField, simulate_field, simulate_fields

SIZE = 128


@pytest.fixture(scope="module")
def fields() -> list[SimulatedField]:
    return [simulate_field(location, locations=[location], size=SIZE) for location in range(N_LABELS)]


def test_every_place_has_a_pattern() -> None:
    assert sorted(PATTERNS) == list(range(N_LABELS))
    assert all(pattern.styles for pattern in PATTERNS.values())


@pytest.mark.parametrize("location", range(N_LABELS))
def test_a_location_is_simulated_and_labelled(fields: list[SimulatedField], location: int) -> None:
    field = fields[location]
    assert field.pixels.shape == (SIZE, SIZE, 4)
    assert field.pixels.dtype == np.uint8
    assert field.target == (location,)
    assert set(field.locations) == set(field.simulated) >= set(field.target)
    assert (field.pixels.max((0, 1)) > 30).all()
    mask = field.locations[location]
    assert mask.any()
    green = field.pixels[..., 1].astype(float)
    assert green[mask].mean() > green[~mask].mean()


def test_truth_agrees_with_itself(fields: list[SimulatedField]) -> None:
    for field in fields:
        shown = np.unique(field.cells)
        assert [cell.cell for cell in field.table] == shown[shown > 0].tolist()
        assert not ((field.nuclei > 0) & (field.nuclei != field.cells)).any()
        for cell in field.table:
            top, left, bottom, right = cell.box
            assert (field.cells[top:bottom, left:right] == cell.cell).sum() == (field.cells == cell.cell).sum()
            assert set(cell.strengths) == set(field.simulated)


def test_nuclei_are_blue(fields: list[SimulatedField]) -> None:
    for field in fields:
        blue = field.pixels[..., BLUE].astype(float)
        assert blue[field.nuclei > 0].mean() > 4 * blue[field.nuclei == 0].mean()


@pytest.mark.parametrize("location", [0, 1, 2, 3, 4, 5])
def test_nuclear_places_lie_in_nuclei(location: int) -> None:
    field = simulate_field(3, locations=[location], size=256)
    mitotic = [cell.cell for cell in field.table if cell.state not in ("interphase", "daughter")]
    mask = field.locations[location] & ~np.isin(field.cells, mitotic)
    assert (field.nuclei[mask] > 0).mean() > (0.5 if location == 1 else 0.9)


@pytest.mark.parametrize("location", [6, 7, 23, 26])
def test_cytoplasmic_places_lie_in_cells_outside_nuclei(location: int) -> None:
    field = simulate_field(3, locations=[location], size=256)
    mask = field.locations[location]
    assert (field.cells[mask] > 0).mean() > 0.8
    assert (field.nuclei[mask] > 0).mean() < 0.35


def test_junctions_lie_where_two_cells_touch() -> None:
    field = simulate_field(8, locations=[22], cell_line="RT4", size=256)
    rows, columns = np.nonzero(field.locations[22])
    near = np.stack([field.cells[np.clip(rows + dy, 0, 255), np.clip(columns + dx, 0, 255)]
                     for dy in (-3, 0, 3) for dx in (-3, 0, 3)])  # fmt: skip
    two = np.array([len(set(column[column > 0])) > 1 for column in near.T])
    assert two.mean() > 0.8


def test_dividing_places_bring_dividing_cells() -> None:
    spindles, bridges = (simulate_field(5, locations=[location], size=SIZE) for location in (17, 16))
    assert {"prometaphase", "metaphase", "anaphase"} & {cell.state for cell in spindles.table}
    assert "daughter" in {cell.state for cell in bridges.table}


@given(index=st.integers(0, 2**31), seed=st.integers(0, 2**31), size=st.sampled_from([64, 96, 129]))
@settings(max_examples=8)
def test_equal_arguments_give_equal_pixels(index: int, seed: int, size: int) -> None:
    one, two = (simulate_field(index, seed=seed, size=size) for _ in range(2))
    assert np.array_equal(one.pixels, two.pixels)
    assert one.specimen == two.specimen
    assert one.target == two.target


def test_other_numbers_give_other_pixels() -> None:
    base = simulate_field(4, size=SIZE)
    for other in (simulate_field(5, size=SIZE), simulate_field(4, seed=1, size=SIZE)):
        assert not np.array_equal(base.pixels, other.pixels)


def test_fields_of_one_specimen_share_what_a_specimen_has() -> None:
    one, two, other = (simulate_field(index, size=SIZE) for index in (10, 11, 12))
    assert (one.specimen, one.target, one.cell_line, one.pixel_size) == (
        two.specimen, two.target, two.cell_line, two.pixel_size,
    )  # fmt: skip
    assert other.specimen != one.specimen


def test_places_may_be_named_in_any_order_and_twice() -> None:
    one, two = (simulate_field(2, locations=locations, size=SIZE) for locations in ([0, 25], [25, 0, 25]))
    assert np.array_equal(one.pixels, two.pixels)


def test_no_place_is_a_negative_field() -> None:
    field = simulate_field(2, locations=[], size=SIZE)
    assert field.target == field.simulated == ()
    assert field.specimen.endswith("negative")


def test_label_noise_leaves_the_pixels_alone() -> None:
    clean, noisy = (simulate_field(2, locations=[7], size=SIZE, label_noise=noise) for noise in (0.0, 1.0))
    assert np.array_equal(clean.pixels, noisy.pixels)
    assert clean.target == (7,)
    assert noisy.target != (7,)
    assert clean.simulated == noisy.simulated


def test_the_scale_is_the_one_asked_for() -> None:
    assert simulate_field(0, size=SIZE, pixel_size=0.5).pixel_size == 0.5
    for index in range(0, 20, 2):
        assert 0.27 * 4 <= simulate_field(index, size=SIZE).pixel_size <= 0.48 * 4


@pytest.mark.parametrize("name", CELL_LINES)
def test_every_cell_line_is_simulated(name: str) -> None:
    field = simulate_field(0, size=SIZE, cell_line=name)
    assert field.cell_line == name
    assert len(field.table)


@pytest.mark.slow
def test_workers_do_not_change_the_pixels() -> None:
    alone = [field.pixels for field in simulate_fields(range(6), size=64)]
    together = [field.pixels for field in simulate_fields(range(6), size=64, workers=2)]
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"index": -1}, "0 or more"),
        ({"seed": -1}, "0 or more"),
        ({"size": 16}, "64 px or more"),
        ({"pixel_size": 0.01}, "smaller than a cell"),
        ({"label_noise": 1.5}, "0–1"),
        ({"locations": [28]}, "whole numbers 0–27"),
        ({"cell_line": "U2OS"}, "Did you mean 'U-2 OS'"),
        ({"locations": [16], "size": 64, "pixel_size": 0.5}, "Cytokinetic bridge needs two daughters"),
        ({"locations": [3, 22], "size": 64, "pixel_size": 0.5}, "Cell junctions needs two cells that touch"),
    ],
)
def test_a_mistake_has_an_error_message(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        simulate_field(**({"index": 0} | options))  # type: ignore[arg-type]
    assert isinstance(caught.value, LociscopeError)
    assert "\n" not in str(caught.value)


def test_a_missing_scipy_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"lociscope\[simulate\]"):
        simulate_field(0, size=64)
