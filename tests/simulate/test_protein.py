from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lociscope.simulate.cell_lines import CELL_LINES
from lociscope.simulate.layout import lay_out
from lociscope.simulate.patterns import PATTERNS
from lociscope.simulate.protein import COMPANIONS, CONFUSED, annotate, cell_levels, make_protein

PLACES = st.sets(st.integers(0, 27), max_size=5)


@given(locations=PLACES, seed=st.integers(0, 2**32))
def test_a_protein_is_labelled_with_what_was_asked_for(locations: set[int], seed: int) -> None:
    protein = make_protein(np.random.default_rng(seed), sorted(locations))
    assert protein.target == tuple(sorted(locations))
    assert set(protein.simulated) >= locations
    assert len(set(protein.simulated)) == len(protein.roles)
    for role in protein.roles:
        assert role.style in PATTERNS[role.location].styles
        assert 0 < role.strength <= 1.5
        companions = {other for location in locations for other, *_ in COMPANIONS.get(location, ())}
        assert role.labelled or role.location in companions


@given(locations=PLACES, seed=st.integers(0, 2**32), noise=st.floats(0, 1))
def test_an_annotator_never_leaves_a_protein_without_a_label(locations: set[int], seed: int, noise: float) -> None:
    given_ = annotate(np.random.default_rng(seed), tuple(sorted(locations)), noise)
    assert bool(given_) == bool(locations)
    assert set(given_) <= locations | {other for location in locations for other in CONFUSED[location]}
    assert len(given_) <= len(locations)


def test_the_share_of_wrong_labels_is_the_one_asked_for() -> None:
    rng = np.random.default_rng(0)
    assert all(annotate(rng, (7,), 0.0) == (7,) for _ in range(50))
    wrong = np.mean([annotate(rng, (7,), 0.2) != (7,) for _ in range(2000)])
    assert wrong == pytest.approx(0.2, abs=0.03)


def test_a_silent_protein_still_shows_in_one_cell() -> None:
    rng = np.random.default_rng(1)
    cells = lay_out(rng, CELL_LINES["A-431"], 164.0)
    for seed in range(40):
        role = make_protein(np.random.default_rng(seed), [11]).roles[0]
        levels = cell_levels(rng, role, cells, np.ones(len(cells)))
        assert (levels > 0).any()
        assert (levels == 0).any() == (role.silent > 0) or role.silent < 0.3
