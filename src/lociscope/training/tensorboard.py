"""What TensorBoard shows of a training: curves, and example fields with what the network says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from lociscope.images.render import render_composite
from lociscope.labels import LABELS

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.data.cache.fields import PackedFields

EXAMPLES = 8
"""Fields shown."""
_SAID = 3
"""Likeliest places that are named."""
_SIDE = 256
"""Side of a picture, px."""
_CAPTION = 14
"""Height of a line of the caption, px."""


def tensorboard_callbacks(folder: Path, valid: PackedFields) -> list[keras.callbacks.Callback]:
    """The callbacks that write what `tensorboard --logdir FOLDER` shows."""
    return [keras.callbacks.TensorBoard(folder, write_graph=False), ExampleImages(folder / "examples", valid)]


class ExampleImages(keras.callbacks.Callback):
    """Draws some of the validation fields, their labels and the likeliest places, after epochs 1, 2, 4, 8 and so on.

    Args:
        folder: Where TensorBoard looks for them.
        valid: The validation fields, of which the first of each label combination are shown.
    """

    def __init__(self, folder: Path, valid: PackedFields) -> None:
        super().__init__()
        self.folder = folder
        _, firsts = np.unique(valid.y, axis=0, return_index=True)
        chosen = valid.take(np.sort(firsts)[:EXAMPLES])
        self.pixels, self.truth, self.ids = np.asarray(chosen.x[:]), chosen.y, chosen.ids

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Draws them after some of the epochs."""
        number = epoch + 1
        if number & (number - 1):  # no power of two
            return
        logits = np.asarray(self.model(self.pixels.astype(np.float32) / 255, training=False), np.float64)
        with np.errstate(invalid="ignore"):  # of a training that goes astray
            probability = np.exp(-np.logaddexp(0, -logits))
        drawn = np.stack([self._draw(row, said) for row, said in enumerate(probability)])
        writer = tf.summary.create_file_writer(str(self.folder))
        with writer.as_default():
            tf.summary.image("examples", drawn, step=number, max_outputs=EXAMPLES)
        writer.close()

    def _draw(self, row: int, probability: np.ndarray) -> np.ndarray:
        """A field with its caption, (_SIDE + lines, _SIDE, 3) of uint8."""
        from PIL import Image, ImageDraw

        truth = ", ".join(LABELS[number] for number in np.flatnonzero(self.truth[row])) or "nowhere"
        likeliest = np.argsort(-probability)[:_SAID]
        lines = [f"{self.ids[row]}: {truth}", *(f"{probability[i]:.2f} {LABELS[i]}" for i in likeliest)]
        picture = Image.new("RGB", (_SIDE, _SIDE + _CAPTION * len(lines)))
        picture.paste(Image.fromarray(render_composite(self.pixels[row], _SIDE)))
        pen = ImageDraw.Draw(picture)
        for number, line in enumerate(lines):
            pen.text((2, _SIDE + _CAPTION * number), line)
        return np.asarray(picture)
