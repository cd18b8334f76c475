from __future__ import annotations

import pytest

from lociscope.errors import UsageError
from lociscope.labels import LABELS
from lociscope.simulate.patterns import location_number, pattern_of


@pytest.mark.parametrize("place", range(len(LABELS)))
def test_names_and_numbers_agree(place: int) -> None:
    assert location_number(LABELS[place].upper()) == place
    assert pattern_of(place).location == place


def test_a_misspelt_place_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'Nucleoli'"):
        location_number("Nucleolli")
