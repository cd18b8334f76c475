"""The four channels of a field and their one order, RGBY: stated here and nowhere else."""

from typing import Literal, NamedTuple, get_args

ChannelName = Literal["red", "green", "blue", "yellow"]


class Channel(NamedTuple):
    """One channel of a field.

    Attributes:
        name: The colour that names it in file names, columns and options.
        stain: The cell structure that it shows.
        colour: How it is drawn in composites, RGB weights in 0–1.
    """

    name: ChannelName
    stain: str
    colour: tuple[float, float, float]


CHANNELS: tuple[Channel, ...] = (
    Channel("red", "microtubules", (1.0, 0.0, 0.0)),
    Channel("green", "protein", (0.0, 1.0, 0.0)),
    Channel("blue", "nucleus", (0.0, 0.0, 1.0)),
    Channel("yellow", "endoplasmic reticulum", (1.0, 1.0, 0.0)),
)
"""The channels in the order of the last axis of every array of pixels."""

CHANNEL_NAMES: tuple[ChannelName, ...] = get_args(ChannelName)
RED, GREEN, BLUE, YELLOW = range(4)
