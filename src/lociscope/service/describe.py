"""What was found, as a person says it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from lociscope.channels import CHANNELS


class Phrase(NamedTuple):
    """How a place is named within a sentence: `in` `the nucleoplasm`."""

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
"""The 28 places, by class number."""


class Grade(NamedTuple):
    """A word for probabilities from `least` on."""

    least: float
    word: str


GRADES: tuple[Grade, ...] = (Grade(0.9, "very likely"), Grade(0.66, "likely"), Grade(0.0, "possibly"))
"""The most probable first; 0.90 and 0.66 are the bounds of "very likely" and "likely" in the IPCC's calibrated language
(Mastrandrea et al. 2010, Guidance Note on the Consistent Treatment of Uncertainties). A location below 0.66 is named
only because it reaches its own threshold, and is `possibly` there."""

_STAINS: dict[str, str] = {channel.name: channel.stain for channel in CHANNELS}

_WARNINGS: tuple[tuple[str, str], ...] = (
    (r"empty plane: (?P<a>\w+)", "The {a} channel is empty: there is nothing to see in it."),
    (r"faint plane: (?P<a>\w+)", "The {a} channel is faint: there is little in it but noise."),
    (r"missing channel: (?P<a>\w+)", "The {a} channel was not imaged; it was taken as black."),
    (r"repeated channel: (?P<a>\w+) and (?P<b>\w+)", "The {a} and {b} channels hold the same pixels."),
    (r"blue shows no nuclei, (?P<a>.+) may", "The nucleus channel shows no nuclei, but {a} may. Were they swapped?"),
    (r"unsharp: (?P<a>\w+)", "The {a} channel is blurred: out of focus, or enlarged."),
    (
        r"saturated: (?P<a>\w+)",
        "The {a} channel is overexposed: more than 3 % of its pixels are at the camera’s limit.",
    ),
    (r"pixel_size_assumed", "Nothing declares the size of a pixel; the field was taken to span 164 µm."),
    (r"pixel_size_unit_assumed", "The file gives the size of a pixel without a unit; it was taken as µm."),
    (r"pixel_size_ignored: (?P<a>.+)", "The file gives a size of a pixel that cannot be used: {a}."),
    (r"cells cut off: (?P<a>.+)", "The edge of the field cuts many cells: {a}, by area."),
    (r"small field: (?P<a>.+)", "The field spans only {a}; it was continued by its mirror image."),
    (r"coarse pixels: (?P<a>.+)", "A pixel is {a} wide, coarser than the model sees: small structures may be lost."),
)
"""What a warning looks like, and what it says in words; where it names a channel, its stain is put in."""


def sentence_of(predicted: Sequence[int], status: str, probability: np.ndarray, thresholds: np.ndarray) -> str:
    """Say what was found, most probable location first, in words as sure as the probabilities are.

    Args:
        predicted: The locations decided on.
        status: `ok`, `unsure`, `negative` or `unlike-training`.
        probability: (28,) in 0–1.
        thresholds: (28,) in 0–1.

    Returns:
        For example `Very likely in the nucleoplasm; likely at the plasma membrane and in the cytosol.`
    """
    if status == "unlike-training":
        said = "Unlike the fields that the model learned from, so its probabilities mean little."
        found = _graded(predicted, probability, GRADES[-1:])
        return f"{said} {_capitalized(found)}." if found else said
    if status == "negative":  # the probability that there is no location, as `decide.conformal.confidence` has it
        return f"{_capitalized(grade_of(float(np.prod(1 - probability))))} in none of the 28 locations."
    found = _graded(predicted, probability, GRADES)
    if not found:
        nearest = int(np.argmax(probability / np.maximum(thresholds, 1e-9)))
        return (
            f"Unsure: no location reaches its threshold. Nearest to it is {PHRASES[nearest].name}, with "
            f"{probability[nearest]:.2f} of the {thresholds[nearest]:.2f} it needs."
        )
    return f"Unsure: {found}." if status == "unsure" else f"{_capitalized(found)}."


def grade_of(probability: float, grades: Sequence[Grade] = GRADES) -> str:
    """Return the word for a probability, which is rounded first to the two digits that are shown beside the word."""
    return next((grade.word for grade in grades[:-1] if round(probability, 2) >= grade.least), grades[-1].word)


def in_words(warning: str) -> str:
    """A warning of `Predictions` as a sentence; one that is not known is given as it is."""
    for pattern, words in _WARNINGS:
        if match := re.fullmatch(pattern, warning):
            named = {key: _stained(text) for key, text in match.groupdict().items()}
            return words.format(**named)
    return warning


def listed(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def _stained(text: str) -> str:
    """The channels of a text by their stains: `red and green` becomes `microtubules and protein`."""
    return " and ".join(_STAINS.get(word, word) for word in text.split(" and "))


def _graded(numbers: Sequence[int], probability: np.ndarray, grades: Sequence[Grade]) -> str:
    """The locations in order of probability, each grade with its word; empty where there is none."""
    order = sorted(numbers, key=lambda number: (-probability[number], number))
    groups = groupby(order, key=lambda number: grade_of(float(probability[number]), grades))
    return "; ".join(f"{word} {_locations(list(group))}" for word, group in groups)


def _locations(numbers: Sequence[int]) -> str:
    """The locations in their order; those next to each other that share a preposition share its mention."""
    groups = groupby((PHRASES[number] for number in numbers), key=lambda phrase: phrase.where)
    parts = [f"{where} {listed([phrase.name for phrase in phrases])}" for where, phrases in groups]
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]
