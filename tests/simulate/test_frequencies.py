from __future__ import annotations

import numpy as np
import pytest

from lociscope.labels import to_multi_hot
from lociscope.simulate.frequencies import label_sets


def test_the_table_is_the_competitions() -> None:
    sets, chances = label_sets()
    assert len(sets) == 577
    assert chances.sum() == pytest.approx(1)
    rates = (to_multi_hot(sets) * chances[:, None]).sum(0)
    assert rates[0] * 31072 == pytest.approx(12885)
    assert rates[27] * 31072 == pytest.approx(11)
    assert rates.sum() == pytest.approx(1.634, abs=0.001)


def test_annotators_never_name_both_organising_centre_and_centrosome() -> None:
    assert not any({18, 19} <= set(places) for places in label_sets()[0])


def test_balance_lifts_rare_places() -> None:
    sets, _ = label_sets()
    rates = [(to_multi_hot(sets) * label_sets(balanced)[1][:, None]).sum(0) for balanced in (0.0, 0.5, 1.0)]
    spread = [rate.max() / rate.min() for rate in rates]
    assert spread[0] > spread[1] > spread[2]
    assert np.argmin(rates[0]) == 27
    assert rates[2][27] > 0.01
