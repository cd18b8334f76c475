"""Sentences: every place, every status, every warning that the code can give."""

import re
from pathlib import Path

import numpy as np
import pytest

from lociscope.labels import LABELS, N_LABELS
from lociscope.service.words import PHRASES, in_words, listed, sentence_of

THRESHOLDS = np.full(N_LABELS, 0.5)


def said(predicted: list[int], status: str = "ok", **probability: float) -> str:
    values = np.full(N_LABELS, 0.01)
    for name, value in probability.items():
        values[int(name[1:])] = value
    return sentence_of(predicted, status, values, THRESHOLDS)


def test_the_likeliest_place_first_and_prepositions_together() -> None:
    assert said([0], p0=0.9) == "Most likely in the nucleoplasm."
    assert said([0, 25], p0=0.6, p25=0.9) == "Most likely in the cytosol and the nucleoplasm."
    assert said([0, 21, 25], p0=0.9, p21=0.8, p25=0.7) == (
        "Most likely in the nucleoplasm and the cytosol, and at the plasma membrane."
    )
    assert said([0, 14, 21, 25, 2], p0=0.9, p14=0.95, p21=0.8, p25=0.7, p2=0.6) == (
        "Most likely along microtubules, in the nucleoplasm, the cytosol and the nucleoli, and at the plasma membrane."
    )


def test_no_surer_than_the_model() -> None:
    assert said([], "unsure", p25=0.3) == (
        "Unsure: no place reaches its threshold. Nearest to it is the cytosol, with 0.30 of the 0.50 it needs."
    )
    assert said([], "negative") == "Most likely in none of the 28 places."
    assert said([0], "unlike-training", p0=0.9).startswith("Unlike the fields that the model learned from")
    assert said([], "unlike-training").endswith("means little.")


def test_every_place_has_a_phrase() -> None:
    assert len(PHRASES) == N_LABELS
    for label, phrase in zip(LABELS, PHRASES, strict=True):
        word = re.sub(
            r"e?s$|&.*", "", label.split()[-1] if label != "Nucleoli fibrillar center" else "nucleoli"
        ).lower()
        assert word.strip() in phrase.name.lower() or label in ("Rods & rings", "Microtubule ends")


def test_every_warning_that_is_documented_has_words() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "predict-a-folder.md").read_text(encoding="utf-8")
    table = page.partition("### Warnings")[2].partition("##")[0]
    documented = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert "pixel_size_assumed" in documented
    for warning in documented:
        assert in_words(warning) != warning
        assert in_words(warning).endswith((".", "?"))


@pytest.mark.parametrize(
    ("warning", "words"),
    [
        ("empty plane: yellow", "The endoplasmic reticulum channel is empty: there is nothing to see in it."),
        ("repeated channel: red and blue", "The microtubules and nucleus channels hold the same pixels."),
        (
            "blue shows no nuclei, red and green may",
            "The nucleus channel shows no nuclei, but microtubules and protein may. Were they swapped?",
        ),
        ("small field: 82 µm", "The field spans only 82 µm; it was continued by its mirror image."),
        ("something of the future", "something of the future"),
    ],
)
def test_warnings_in_words(warning: str, words: str) -> None:
    assert in_words(warning) == words


def test_lists() -> None:
    assert [listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
