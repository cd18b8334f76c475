"""The input of every network: a field of four channels, of which it may use some."""

from __future__ import annotations

import keras
from keras import layers, ops

from lociscope.channels import CHANNEL_NAMES

LETTERS = "".join(name[0].upper() for name in CHANNEL_NAMES)
"""What the option `channels` is spelt with: R, G, B and Y."""


@keras.saving.register_keras_serializable("lociscope")
class MapSubset(layers.Layer):
    """Select some of the maps, such as the channels that a network uses.

    Args:
        maps: Numbers of the maps, in the order in which they come out.
    """

    def __init__(self, maps: tuple[int, ...], **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.maps = tuple(maps)

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Return (n, h, w, len(maps))."""
        first = self.maps[0]
        if self.maps == tuple(range(first, first + len(self.maps))):
            return x[..., first : first + len(self.maps)]
        return ops.take(x, self.maps, axis=-1)

    def get_config(self) -> dict[str, object]:
        """Return Keras' description of the layer."""
        return {**super().get_config(), "maps": self.maps}


def field_input(size: int, channels: str = LETTERS) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return the input of a network, and the channels that it uses.

    The input has all four channels whatever is seen, so that fields, bundles and services stay the same.

    Args:
        size: Side of the input in px.
        channels: Letters of the channels seen, in their order: `G` alone, `GBY`, `RGB`, `RGBY`.

    Returns:
        The input (n, size, size, 4), named `field`, and the channels seen (n, size, size, len(channels)).

    Raises:
        ValueError: A letter is unknown or twice, or green, the protein, is missing.
    """
    known = isinstance(channels, str) and set(channels) <= set(LETTERS) and len(set(channels)) == len(channels)
    if not known or "G" not in channels:
        raise ValueError(f"channels must be some of {LETTERS}, each once, with G among them, received {channels!r}")
    inputs = layers.Input((size, size, len(LETTERS)), name="field")
    if channels == LETTERS:
        return inputs, inputs
    return inputs, MapSubset(tuple(map(LETTERS.index, channels)), name="channels")(inputs)
