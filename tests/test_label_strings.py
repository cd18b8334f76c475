"""Label strings, and the matrix that they become."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lociscope.errors import LociscopeError
from lociscope.labels import format_target, parse_target, to_multi_hot

NUMBERS = st.lists(st.integers(0, 27))


@given(NUMBERS)
def test_numbers_come_back_sorted_and_once(numbers: list[int]) -> None:
    assert parse_target(format_target(numbers)) == tuple(sorted(set(numbers)))


@given(st.text())
@example("\U0001136d" * 40)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        numbers = parse_target(text)
    except LociscopeError as error:
        assert len(str(error)) < 300
    else:
        assert numbers == tuple(sorted({int(word) for word in text.split()}))
        assert set(numbers) <= set(range(28))


@pytest.mark.parametrize("word", ["28", "abc", "-1", "+1", "²", "٣", "1.0", "1,2", "0x1", "1_0", "9" * 5000, "None"])
def test_wrong_class_numbers_are_reported(word: str) -> None:
    with pytest.raises(LociscopeError, match="is not a class number; expected whole numbers 0–27") as caught:
        parse_target(f"16 {word} 0")
    assert repr(word[:40])[:-1] in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(("text", "numbers"), [("", ()), (" \t", ()), ("16 0", (0, 16)), (" 07\n7 ", (7,))])
def test_blanks_doubles_and_leading_zeros(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_target(text) == numbers


@given(st.lists(NUMBERS, max_size=5))
def test_a_row_is_one_exactly_where_it_is_labelled(targets: list[list[int]]) -> None:
    matrix = to_multi_hot(targets)
    assert matrix.shape == (len(targets), 28)
    assert matrix.dtype == np.uint8
    assert [set(np.flatnonzero(row).tolist()) for row in matrix] == [set(target) for target in targets]
