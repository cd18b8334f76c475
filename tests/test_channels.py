"""The one order of the channels."""

from lociscope.channels import BLUE, CHANNEL_NAMES, CHANNELS, GREEN, RED, YELLOW


def test_names_numbers_and_colours_agree() -> None:
    assert CHANNEL_NAMES == ("red", "green", "blue", "yellow") == tuple(channel.name for channel in CHANNELS)
    assert [CHANNELS[number].name for number in (RED, GREEN, BLUE, YELLOW)] == list(CHANNEL_NAMES)
    assert CHANNELS[GREEN].stain == "protein"
    assert CHANNELS[YELLOW].colour == tuple(
        a + b for a, b in zip(CHANNELS[RED].colour, CHANNELS[GREEN].colour, strict=True)
    )
