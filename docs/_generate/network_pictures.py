"""The pictures of docs/_generate/network_pages.py: the first filters of a network, its feature maps, and the evidence it finds.

Signed numbers are red above zero and blue below; others are grey, from black, the least, to white, the most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lociscope.channels import CHANNELS, GREEN
from lociscope.images.render import render_composite
from lociscope.labels import LABELS

if TYPE_CHECKING:
    import keras
    from layer_facts import LayerFacts  # type: ignore[import-not-found]

TILE, GAP, STRIP = 96, 4, 18
"""Side of a picture, what lies between two, and the height of a caption, in px."""
FILTERS, MAPS, LAYERS = 14, 7, 5
"""How many are shown."""
RED, BLUE = (178, 24, 43), (33, 102, 172)
"""The ends of ColorBrewer's scale RdBu, which colour-blind people can tell apart."""
HEAD = ("generalised_mean", "dropout")
"""Where the head of every network begins; see `lociscope.models.heads`."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture, (y, x) or (y, x, 3) of uint8, and the words above it."""

    picture: np.ndarray
    caption: str = ""


def sheet(rows: list[list[Tile]], side: int = TILE) -> Image.Image:
    """Puts tiles in rows, each brought to one side without smoothing; a caption may run on over the next tile."""
    font = ImageFont.load_default(13)
    width = max(len(row) for row in rows) * (side + GAP) - GAP
    strips = [STRIP if any(tile.caption for tile in row) else 0 for row in rows]
    made = Image.new("RGB", (width, sum(strips) + len(rows) * (side + GAP) - GAP), "white")
    top = 0
    for row, strip in zip(rows, strips, strict=True):
        for column, tile in enumerate(row):
            left = column * (side + GAP)
            ImageDraw.Draw(made).text((left, top), tile.caption, "black", font)
            scaled = Image.fromarray(tile.picture).convert("RGB").resize((side, side), Image.Resampling.NEAREST)
            made.paste(scaled, (left, top + strip))
            edge = (left - 1, top + strip - 1, left + side, top + strip + side)
            ImageDraw.Draw(made).rectangle(edge, outline="silver")
        top += strip + side + GAP
    return made


def grey(values: np.ndarray) -> np.ndarray:
    """Values as grey levels, the least black and the most white."""
    low, high = float(values.min()), float(values.max())
    return np.asarray((values - low) / max(high - low, 1e-9) * 255).astype(np.uint8)


def signed(values: np.ndarray, most: float) -> np.ndarray:
    """Values as red above zero and blue below, white at zero and full at ±`most`."""
    share = np.clip(values / max(most, 1e-9), -1, 1)[..., None]
    ends = np.where(share > 0, np.array(RED), np.array(BLUE))
    return np.asarray(255 + np.abs(share) * (ends - 255)).astype(np.uint8)


def first_filters(network: keras.Model, channels: str) -> Image.Image:
    """The strongest filters of the first convolution: a column each, a row for each channel that it looks at."""
    kernel = next(np.asarray(layer.kernel) for layer in network.layers if getattr(layer, "kernel_size", None))
    strongest = np.argsort(-np.abs(kernel).sum((0, 1, 2)), kind="stable")[:FILTERS]
    rows = []
    for location, letter in enumerate(channels):
        tiles = [Tile(signed(kernel[:, :, location, each], np.abs(kernel[..., each]).max())) for each in strongest]
        channel = CHANNELS["RGBY".index(letter)]
        rows.append([Tile(tiles[0].picture, f"{channel.name}: {channel.stain}"), *tiles[1:]])
    side = len(kernel)
    return sheet(rows, side * (56 // side))


def shown_layers(facts: list[LayerFacts]) -> list[LayerFacts]:
    """The last layer of each grid, from the finest, between the first that has weights and the head."""
    names = [each.name for each in facts]
    begin = next(location for location, each in enumerate(facts) if each.parameters)
    end = min(names.index(name) for name in HEAD if name in names)
    grids = {each.shape[0]: each for each in facts[begin:end] if len(each.shape) == 3 and each.shape[0] > 1}
    return [grids[side] for side in sorted(grids, reverse=True)][:LAYERS]


def feature_maps(network: keras.Model, layers: list[LayerFacts], field: np.ndarray) -> Image.Image:
    """What goes in, then of each layer what a position in the middle sees, and its liveliest maps.

    Args:
        network: The network.
        layers: Some of its layers.
        field: (size, size, 4) in 0–1, as the network takes it.
    """
    import keras

    outputs = keras.Model(network.input, [network.get_layer(each.name).output for each in layers])(field[None])
    rows = [[Tile(grey(field[..., location]), channel.stain) for location, channel in enumerate(CHANNELS)]]
    rows[0][3] = Tile(rows[0][3].picture, "ER")
    for each, output in zip(layers, outputs if len(layers) > 1 else [outputs], strict=True):
        maps = np.asarray(output, np.float32)[0]
        liveliest = np.argsort(-maps.std((0, 1)), kind="stable")[:MAPS]
        words = f"{each.name}: {each.shape[2]} maps, {each.shape[0]} positions a side; one sees {each.receptive_field} px, {each.receptive_field_um} um"
        rows.append([Tile(_framed(field, each.receptive_field), words), *(Tile(grey(maps[..., k])) for k in liveliest)])
    return sheet(rows)


def _framed(field: np.ndarray, seen: int | None) -> np.ndarray:
    """The field's protein, and around its middle a square of a side in px; of all of it where that is larger."""
    size = len(field)
    simulated = Image.fromarray(grey(field[..., GREEN])).convert("RGB").resize((TILE, TILE))
    half = min(seen or size, size) / size * TILE / 2
    corners = (TILE / 2 - half, TILE / 2 - half, TILE / 2 + half - 1, TILE / 2 + half - 1)
    ImageDraw.Draw(simulated).rectangle(corners, outline="yellow", width=2)
    return np.asarray(simulated)


def evidence(
    network: keras.Model, locations: tuple[int, ...], simulated: list[np.ndarray], fields: list[np.ndarray]
) -> Image.Image:
    """Each field, its protein, and the evidence for each of the locations: red for it, blue against it.

    Args:
        network: The network.
        locations: The location that each field shows.
        simulated: The fields' pixels, (y, x, 4).
        fields: The same as the network takes them, (size, size, 4) in 0–1.
    """
    rows = []
    for location, pixels, field in zip(locations, simulated, fields, strict=True):
        found = network(field[None], training=False)
        maps = np.asarray(found["evidence"], np.float32)[0][..., list(locations)]
        sure = np.asarray(found["probabilities"], np.float32)[0, list(locations)]
        most = float(np.abs(maps).max())
        rows.append(
            [
                Tile(render_composite(pixels, 2 * TILE), f"{LABELS[location]}, the field"),
                Tile(grey(field[..., GREEN]), "its protein"),
                *(
                    Tile(signed(maps[..., k], most), f"for {LABELS[other]}: {sure[k]:.2f}")
                    for k, other in enumerate(locations)
                ),
            ]
        )
    return sheet(rows, 2 * TILE)
