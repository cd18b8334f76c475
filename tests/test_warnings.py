"""Warnings about a field: in files, and for people."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lociscope.warnings import FieldWarning, WarningKind, describe_warning, parse_warnings

EXAMPLES: dict[str, FieldWarning] = {
    "missing channel: yellow": FieldWarning(WarningKind.MISSING_CHANNEL, ("yellow",)),
    "empty plane: green": FieldWarning(WarningKind.EMPTY_CHANNEL, ("green",)),
    "faint plane: green": FieldWarning(WarningKind.FAINT_CHANNEL, ("green",)),
    "saturated: red": FieldWarning(WarningKind.SATURATED, ("red",)),
    "repeated channel: red and blue": FieldWarning(WarningKind.REPEATED_CHANNEL, ("red", "blue")),
    "cells cut off: 61 % of the nuclei": FieldWarning(WarningKind.CROPPED_CELLS, value=61),
    "blue shows no nuclei, red and green may": FieldWarning(WarningKind.NO_NUCLEI, ("red", "green")),
    "unsharp: red": FieldWarning(WarningKind.UNSHARP, ("red",)),
    "pixel_size_assumed": FieldWarning(WarningKind.PIXEL_SIZE_ASSUMED),
    "pixel_size_unit_assumed": FieldWarning(WarningKind.PIXEL_SIZE_UNIT_ASSUMED),
    "pixel_size_ignored: 65 without a unit": FieldWarning(WarningKind.PIXEL_SIZE_IGNORED, value="65 without a unit"),
    "small field: 82 µm": FieldWarning(WarningKind.SMALL_FIELD, value=82),
    "coarse pixels: 1.30 µm": FieldWarning(WarningKind.COARSE_PIXELS, value=1.3),
    "something of the future": FieldWarning(WarningKind.OTHER, value="something of the future"),
}
"""By their text in files, which is part of the schema of Predictions and never changes."""


def test_every_kind_has_an_example() -> None:
    assert {warning.kind for warning in EXAMPLES.values()} == set(WarningKind)


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_text_in_files(text: str) -> None:
    assert str(EXAMPLES[text]) == text
    assert FieldWarning.parse(text) == EXAMPLES[text]


@given(st.text() | st.sampled_from(sorted(EXAMPLES)).flatmap(lambda text: st.text().map(lambda more: text + more)))
def test_any_text_survives(text: str) -> None:
    assert str(FieldWarning.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["empty plane: mauve", "small field: wide µm", "small field: 82.0 µm", "unsharp: red; really", ""]
)
def test_texts_that_no_kind_writes_are_other(text: str) -> None:
    assert parse_warnings([text]) == (FieldWarning(WarningKind.OTHER, value=text),)


def test_every_documented_warning_has_a_description() -> None:
    page = (Path(__file__).parents[1] / "docs" / "how-to" / "predict-a-folder.md").read_text(encoding="utf-8")
    table = page.partition("### Warnings")[2].partition("##")[0]
    documented = parse_warnings(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE))
    assert {warning.kind for warning in documented} == set(WarningKind) - {WarningKind.OTHER}
    for warning in documented:
        assert describe_warning(warning) != str(warning)
        assert describe_warning(warning).endswith((".", "?"))


@pytest.mark.parametrize(
    ("text", "description"),
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
def test_descriptions(text: str, description: str) -> None:
    assert describe_warning(FieldWarning.parse(text)) == description
