"""The order of the channels and their names in files."""

from __future__ import annotations

import pytest

from lociscope.channels import BLUE, CHANNEL_NAMES, CHANNELS, GREEN, RED, YELLOW, find_channel


def test_names_numbers_and_colours_agree() -> None:
    assert CHANNEL_NAMES == ("red", "green", "blue", "yellow") == tuple(channel.name for channel in CHANNELS)
    assert [CHANNELS[number].name for number in (RED, GREEN, BLUE, YELLOW)] == list(CHANNEL_NAMES)
    assert CHANNELS[GREEN].stain == "protein"
    assert CHANNELS[YELLOW].colour == tuple(
        a + b for a, b in zip(CHANNELS[RED].colour, CHANNELS[GREEN].colour, strict=True)
    )


@pytest.mark.parametrize("channel", CHANNELS)
def test_channels_are_found_by_colour_and_stain(channel: tuple[str, str, object]) -> None:
    assert find_channel(channel[0]) == find_channel(channel[1].upper()) == channel[0]


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("DAPI", "blue"), ("Hoechst 33342", "blue"), ("H33342", "blue"), ("DNA (DAPI)", "blue"), ("w1-DAPI", "blue"),
        ("ER", "yellow"), ("Calreticulin AF647", "yellow"), ("far red", "yellow"), ("Cy5", "yellow"),
        ("GFP", "green"), ("FITC", "green"), ("Alexa Fluor 488", "green"), ("Alexa488", "green"), ("EGFP-1", "green"),
        ("\N{GREEK SMALL LETTER ALPHA}-tubulin", "red"),
        ("beta Tubulin", "red"), ("TRITC", "red"), ("Alexa 555", "red"), ("mCherry", "red"),
        ("405 nm", "blue"), ("em461", "blue"), ("Ex 488", "green"), ("561 laser", "red"), ("Em 670 nm", "yellow"),
        ("640nm", "yellow"),
    ],
)  # fmt: skip
def test_stains_dyes_and_wavelengths(name: str, channel: str) -> None:
    assert find_channel(name) == channel


@pytest.mark.parametrize(
    "name",
    ["", "Channel 1", "C03", "2", "488", "Brightfield", "RNA", "Mito", "Phalloidin", "AGP", "DAPI + GFP", "ER protein",
     "800 nm", "1488 nm", "layer", "centre", "R", "g"],
)  # fmt: skip
def test_unknown_names_are_not_guessed(name: str) -> None:
    assert find_channel(name) is None
