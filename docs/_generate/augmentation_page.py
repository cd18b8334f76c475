"""Draws docs/images/augmentation.png, a simulated field under each augmentation, and prints docs/reference/augmentation.md.

python docs/_generate/augmentation_page.py > docs/reference/augmentation.md
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from lociscope.artifacts.recipe import Augment
from lociscope.data.augment import augment
from lociscope.data.augment.mixing import has_mixing_ops
from lociscope.data.pipeline.sample_random import PerSampleRng
from lociscope.simulate import simulate_field

OUT = Path(__file__).parents[1] / "images" / "augmentation.png"
SEED = 6
SIDE, TILE, CAPTION, GAP, EACH, BLOCKS = 128, 84, 16, 4, 3, 3
STILL = {"flip": False, "shift": 0.0, "gain": 0.0, "noise": 0.0, "channel_dropout": 0.0}
SHOWN: dict[str, dict[str, float | bool]] = {
    "as it is": {},
    "flip": {"flip": True},
    "shift 0.3": {"shift": 0.3},
    "rotate 180": {"rotate": 180.0},
    "scale 0.5": {"scale": 0.5},
    "shear 0.4": {"shear": 0.4},
    "crop 0.6": {"crop": 0.6},
    "elastic 0.06": {"elastic": 0.06},
    "gain 0.9": {"gain": 0.9},
    "offset 0.2": {"offset": 0.2},
    "gamma 1": {"gamma": 1.0},
    "blur 1": {"blur": 1.0},
    "noise 0.2": {"noise": 0.2},
    "hot_pixels 100": {"hot_pixels": 100},
    "red_dropout, blue_dropout 0.5": {"red_dropout": 0.5, "blue_dropout": 0.5},
    "mixup 1": {"mixup": 1.0},
    "cutmix 1": {"cutmix": 1.0},
}
PAGE = """# Augmentation

What training varies of a field from epoch to epoch: the table `[augment]` of a recipe ([all keys](recipe.md)). Here a simulated field of a few cells,
three times under each, much stronger than a recipe would:

![A simulated field under each augmentation](../images/augmentation.png)

*Microtubules red, protein green, nucleus blue. `channel_dropout` blanks the ER, which a picture of three colours does not show.*

- What is done to a field is a pure function of the seed, the epoch and the field's place in it. A training that was cut off goes on with the same
  pictures, and neither the batch size nor the number of workers changes them. A field that comes twice in an epoch (`train.repeat_threshold`) looks different each time.
- `flip` takes one of the eight symmetries of the square, and `shift` alone moves by whole pixels: nothing is resampled. `rotate`, `scale`, `shear`,
  `crop`, `elastic` and then also `shift` are one resampling together. What comes in at the edge is the field mirrored.
- `scale` is a change of the pixel size in µm: 0.2 shows cells up to 1.2 times larger or smaller.
- `gain`, `offset`, `gamma`, `blur`, `noise`, `hot_pixels` and the dropouts are drawn for each channel on its own; in the order gamma after gain after offset, all within 0–1.
- `mixup` blends two fields and `cutmix` pastes a window of one into the other; labels count as much as their field takes part. With `data.online` the
  partner is the next field of the batch, otherwise any of the training fields.

What each costs: [benchmarks](benchmarks.md).
"""


def varied(pixels: np.ndarray, other: np.ndarray, chosen: dict[str, float | bool]) -> np.ndarray:
    """(n, side, side, 4) of uint8: the field under the draws of n numbers."""
    settings = Augment.model_validate(STILL | chosen)
    draws = PerSampleRng(SEED, tf.constant(0, tf.int64), tf.range(EACH, dtype=tf.int64))
    labels = tf.zeros([EACH, 28], tf.uint8)
    x, partner = (tf.constant(np.stack([one] * EACH)) for one in (pixels, other))
    made, _ = augment(x, labels, draws, settings, (partner, labels) if has_mixing_ops(settings) else None)
    return np.asarray(np.rint(made * 255)).astype(np.uint8)


def main() -> None:
    """Draws the sheet and prints the page."""
    pixels, other = (
        simulate_field(number, seed=7, size=SIDE, places=[place], pixel_size=0.6).pixels
        for number, place in ((2, 23), (8, 21))
    )
    width, height = EACH * (TILE + GAP) + 2 * GAP, TILE + CAPTION + GAP
    sheet = Image.new("RGB", (BLOCKS * width, -(-len(SHOWN) // BLOCKS) * height), "white")
    for number, (name, chosen) in enumerate(SHOWN.items()):
        top, left = number // BLOCKS * height, number % BLOCKS * width
        ImageDraw.Draw(sheet).text((left, top), name, fill="black", font=ImageFont.load_default(12))
        for column, made in enumerate(varied(pixels, other, chosen)):
            tile = Image.fromarray(made[..., :3]).resize((TILE, TILE))  # as it is: a stretch would undo gain and offset
            sheet.paste(tile, (left + column * (TILE + GAP), top + CAPTION))
    OUT.parent.mkdir(exist_ok=True)
    sheet.quantize(96, dither=Image.Dither.NONE).save(OUT, optimize=True)
    print(PAGE, end="")


if __name__ == "__main__":
    main()
