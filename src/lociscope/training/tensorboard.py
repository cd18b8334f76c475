"""TensorBoard callbacks of a training: curves, and example fields with their predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from lociscope.decide.logistic import sigmoid
from lociscope.images.render import render_composite
from lociscope.labels import LABELS

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.data.cache.fields import PackedFields

EXAMPLES = 8
"""Number of fields."""
_TOP = 3
"""Number of the most probable locations in the caption."""
_SIDE = 256
"""Side of an image, px."""
_LINE_HEIGHT = 14
"""Height of a line of the caption, px."""


def tensorboard_callbacks(folder: Path, valid: PackedFields) -> list[keras.callbacks.Callback]:
    """Return the callbacks that write what `tensorboard --logdir FOLDER` shows."""
    return [keras.callbacks.TensorBoard(folder, write_graph=False), ExampleImages(folder / "examples", valid)]


class ExampleImages(keras.callbacks.Callback):
    """Show some validation fields, their labels and the top-3 predictions after epochs 1, 2, 4, 8 and so on.

    Args:
        folder: Where TensorBoard reads them.
        valid: The validation fields; the first of each label combination are shown.
    """

    def __init__(self, folder: Path, valid: PackedFields) -> None:
        super().__init__()
        self.folder = folder
        _, firsts = np.unique(valid.y, axis=0, return_index=True)
        subset = valid.take(np.sort(firsts)[:EXAMPLES])
        self.pixels, self.truth, self.ids = np.asarray(subset.x[:]), subset.y, subset.ids

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the images if the number of the epoch is a power of two."""
        number = epoch + 1
        if number & (number - 1):
            return
        logits = self.model(self.pixels.astype(np.float32) / 255, training=False)
        probability = sigmoid(np.asarray(logits, np.float64))
        images = np.stack([self._render(row, values) for row, values in enumerate(probability)])
        writer = tf.summary.create_file_writer(str(self.folder))
        with writer.as_default():
            tf.summary.image("examples", images, step=number, max_outputs=EXAMPLES)
        writer.close()

    def _render(self, row: int, probability: np.ndarray) -> np.ndarray:
        """Return a field with its caption, (_SIDE + lines, _SIDE, 3) uint8."""
        from PIL import Image, ImageDraw

        truth = ", ".join(LABELS[number] for number in np.flatnonzero(self.truth[row])) or "no location"
        top = np.argsort(-probability)[:_TOP]
        lines = [f"{self.ids[row]}: {truth}", *(f"{probability[i]:.2f} {LABELS[i]}" for i in top)]
        picture = Image.new("RGB", (_SIDE, _SIDE + _LINE_HEIGHT * len(lines)))
        picture.paste(Image.fromarray(render_composite(self.pixels[row], _SIDE)))
        pen = ImageDraw.Draw(picture)
        for number, line in enumerate(lines):
            pen.text((2, _SIDE + _LINE_HEIGHT * number), line)
        return np.asarray(picture)
