"""Describe predictions as sentences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np


class Phrase(NamedTuple):
    """The name of a location in a sentence: `in` `the nucleoplasm`."""

    where: str
    name: str


PHRASES: tuple[Phrase, ...] = (
    Phrase("in", "the nucleoplasm"),
    Phrase("at", "the nuclear membrane"),
    Phrase("in", "the nucleoli"),
    Phrase("in", "the fibrillar centres of the nucleoli"),
    Phrase("in", "the nuclear speckles"),
    Phrase("in", "nuclear bodies"),
    Phrase("in", "the endoplasmic reticulum"),
    Phrase("in", "the Golgi apparatus"),
    Phrase("in", "peroxisomes"),
    Phrase("in", "endosomes"),
    Phrase("in", "lysosomes"),
    Phrase("along", "intermediate filaments"),
    Phrase("along", "actin filaments"),
    Phrase("at", "focal adhesion sites"),
    Phrase("along", "microtubules"),
    Phrase("at", "the ends of microtubules"),
    Phrase("at", "the cytokinetic bridge"),
    Phrase("at", "the mitotic spindle"),
    Phrase("at", "the microtubule organizing center"),
    Phrase("at", "the centrosome"),
    Phrase("in", "lipid droplets"),
    Phrase("at", "the plasma membrane"),
    Phrase("at", "cell junctions"),
    Phrase("in", "the mitochondria"),
    Phrase("in", "the aggresome"),
    Phrase("in", "the cytosol"),
    Phrase("in", "cytoplasmic bodies"),
    Phrase("in", "rods and rings"),
)
"""The 28 locations, by class number."""


class Grade(NamedTuple):
    """A word for probabilities from `least` on."""

    least: float
    word: str


GRADES: tuple[Grade, ...] = (Grade(0.9, "very likely"), Grade(0.66, "likely"), Grade(0.0, "possibly"))
"""The most probable first; 0.90 and 0.66 are the bounds of "very likely" and "likely" in the IPCC's calibrated language
(Mastrandrea et al. 2010, Guidance Note on the Consistent Treatment of Uncertainties). A location below 0.66 is named
only because it reaches its own threshold, and is `possibly` there."""


def describe_prediction(predicted: Sequence[int], status: str, probability: np.ndarray, thresholds: np.ndarray) -> str:
    """Return a prediction as a sentence, most probable location first, with a word for each probability.

    Args:
        predicted: The class numbers of the predicted locations.
        status: `ok`, `unsure`, `negative` or `unlike-training`.
        probability: (28,) in 0–1; NaN for a class that the model does not know.
        thresholds: (28,) in 0–1.

    Returns:
        For example `Very likely in the nucleoplasm; likely at the plasma membrane and in the cytosol.`
    """
    if status == "unlike-training":
        text = "Unlike the training fields of the model, so its probabilities mean little."
        found = _graded(predicted, probability, GRADES[-1:])
        return f"{text} {_capitalized(found)}." if found else text
    if status == "negative":  # the probability that there is no location, as `decide.conformal.confidence` has it
        return f"{_capitalized(grade_probability(float(np.nanprod(1 - probability))))} in none of the 28 locations."
    found = _graded(predicted, probability, GRADES)
    if not found:
        nearest = int(np.nanargmax(probability / np.maximum(thresholds, 1e-9)))
        return (
            f"Unsure: no location reaches its threshold. Nearest to it is {PHRASES[nearest].name}, with "
            f"{probability[nearest]:.2f} of the {thresholds[nearest]:.2f} it needs."
        )
    return f"Unsure: {found}." if status == "unsure" else f"{_capitalized(found)}."


def grade_probability(probability: float, grades: Sequence[Grade] = GRADES) -> str:
    """Return the word for a probability, which is rounded first to the two digits that are shown beside the word."""
    return next((grade.word for grade in grades[:-1] if round(probability, 2) >= grade.least), grades[-1].word)


def join_words(parts: Sequence[str]) -> str:
    """Return words as a list for a sentence: `a`, `a and b`, `a, b and c`."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def _graded(numbers: Sequence[int], probability: np.ndarray, grades: Sequence[Grade]) -> str:
    """Return the locations by probability, each grade with its word; empty for no location."""
    order = sorted(numbers, key=lambda number: (-probability[number], number))
    groups = groupby(order, key=lambda number: grade_probability(float(probability[number]), grades))
    return "; ".join(f"{word} {_locations(list(group))}" for word, group in groups)


def _locations(numbers: Sequence[int]) -> str:
    """Return the locations in order; neighbours with the same preposition share it."""
    groups = groupby((PHRASES[number] for number in numbers), key=lambda phrase: phrase.where)
    return join_words([f"{where} {join_words([phrase.name for phrase in phrases])}" for where, phrases in groups])


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]
