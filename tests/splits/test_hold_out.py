"""Holding out whole groups."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lociscope.splits.folds import hold_out


@given(
    groups=st.lists(st.sampled_from("abcdefghij"), min_size=2, max_size=60),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 99),
)
def test_no_group_is_split(groups: list[str], share: float, seed: int) -> None:
    held = hold_out(groups, share, seed)
    sides = {name: {bool(h) for g, h in zip(groups, held, strict=True) if g == name} for name in groups}
    assert all(len(side) == 1 for side in sides.values())
    assert held.any()
    if len(set(groups)) > 1:
        assert not held.all()
    np.testing.assert_array_equal(held, hold_out(groups, share, seed))


def test_the_share_is_kept_and_the_seed_matters() -> None:
    groups = [str(number // 2) for number in range(2000)]
    first, second = hold_out(groups, 0.1, 0), hold_out(groups, 0.1, 1)
    assert abs(first.mean() - 0.1) < 0.002
    assert 0 < (first & second).mean() < 0.05


def test_a_new_group_moves_no_other_one_far() -> None:
    """The selection goes by name, so that a larger Catalog keeps nearly all fields on their side."""
    groups = [str(number) for number in range(1000)]
    before, after = hold_out(groups, 0.2, 0), hold_out([*groups, "new"], 0.2, 0)
    assert (before != after[:1000]).sum() <= 1
