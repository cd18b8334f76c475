"""Sentences: every place, every status, every warning that the code can give."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lociscope.labels import LABELS, N_LABELS
from lociscope.service.describe import GRADES, PHRASES, describe_prediction, grade_probability, join_words

THRESHOLDS = np.full(N_LABELS, 0.5)
UNMISTAKABLE = sorted(set(range(N_LABELS)) - {3, 15})
"""Classes whose phrase is in no other: the fibrillar centres are 'of the nucleoli'."""


def said(predicted: list[int], status: str = "ok", **probability: float) -> str:
    values = np.full(N_LABELS, 0.01)
    for name, value in probability.items():
        values[int(name[1:])] = value
    return describe_prediction(predicted, status, values, THRESHOLDS)


@pytest.mark.parametrize(
    ("probability", "word"),
    [
        (1.0, "very likely"),
        (0.94, "very likely"),
        (0.9, "very likely"),
        (0.894, "likely"),
        (0.66, "likely"),
        (0.654, "possibly"),
        (0.39, "possibly"),
        (0.0, "possibly"),
    ],
)
def test_each_probability_has_its_word(probability: float, word: str) -> None:
    assert grade_probability(probability) == word


def test_words_agree_with_the_two_digits_beside_them() -> None:
    for probability in np.linspace(0, 1, 2001):
        assert grade_probability(float(probability)) == grade_probability(float(f"{probability:.2f}"))


def test_039_is_not_said_as_094_is() -> None:
    assert said([0], p0=0.94) == "Very likely in the nucleoplasm."
    assert said([0], p0=0.7) == "Likely in the nucleoplasm."
    assert said([0], p0=0.39) == "Possibly in the nucleoplasm."


def test_locations_come_in_order_of_probability_each_grade_with_its_word() -> None:
    assert said([0, 25], p0=0.93, p25=0.95) == "Very likely in the cytosol and the nucleoplasm."
    assert said([0, 21, 25], p0=0.95, p21=0.8, p25=0.7) == (
        "Very likely in the nucleoplasm; likely at the plasma membrane and in the cytosol."
    )
    assert said([0, 2, 14, 21, 25], p0=0.3, p14=0.96, p21=0.8, p25=0.92, p2=0.4) == (
        "Very likely along microtubules and in the cytosol; likely at the plasma membrane; "
        "possibly in the nucleoli and the nucleoplasm."
    )
    assert said([2, 14, 21], p2=0.97, p14=0.96, p21=0.95) == (
        "Very likely in the nucleoli, along microtubules and at the plasma membrane."
    )


@given(
    st.lists(st.floats(0, 1), min_size=N_LABELS, max_size=N_LABELS), st.sets(st.sampled_from(UNMISTAKABLE), min_size=1)
)
def test_any_sentence_names_every_location_once_and_the_most_probable_first(
    values: list[float], predicted: set[int]
) -> None:
    sentence = describe_prediction(sorted(predicted), "ok", np.array(values), THRESHOLDS)
    order = sorted(predicted, key=lambda number: -values[number])
    places = [re.search(rf"{PHRASES[number].name}(?=[,;.]| and )", sentence) for number in order]
    starts = [place.start() for place in places if place]
    assert len(starts) == len(order)
    for first, second in itertools.pairwise(range(len(order))):
        assert starts[first] < starts[second] or values[order[first]] == values[order[second]]


def test_no_surer_than_the_model() -> None:
    assert said([], "unsure", p25=0.3) == (
        "Unsure: no location reaches its threshold. Nearest to it is the cytosol, with 0.30 of the 0.50 it needs."
    )
    assert said([0, 21], "unsure", p0=0.5, p21=0.7) == (
        "Unsure: likely at the plasma membrane; possibly in the nucleoplasm."
    )
    assert said([], "negative") == "Likely in none of the 28 locations."  # 0.99 ** 28 is 0.75
    assert said([], "negative", p3=0.3) == "Possibly in none of the 28 locations."
    assert said([0], "unlike-training", p0=0.99) == (
        "Unlike the training fields of the model, so its probabilities mean little. Possibly in the nucleoplasm."
    )
    assert said([], "unlike-training").endswith("mean little.")


def test_the_cut_offs_are_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "http.md").read_text(encoding="utf-8")
    for grade in GRADES[:-1]:
        assert f"{grade.word} from {grade.least:.2f}" in page
    assert f"{GRADES[-1].word} below" in page


def test_every_location_has_a_phrase() -> None:
    assert len(PHRASES) == N_LABELS
    for label, phrase in zip(LABELS, PHRASES, strict=True):
        word = re.sub(
            r"e?s$|&.*", "", label.split()[-1] if label != "Nucleoli fibrillar center" else "nucleoli"
        ).lower()
        assert word.strip() in phrase.name.lower() or label in ("Rods & rings", "Microtubule ends")


def test_lists() -> None:
    assert [join_words(["a"]), join_words(["a", "b"]), join_words(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
