"""Write docs/images/augmentation.png, a simulated field under each augmentation, and print docs/reference/augmentation.md.

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
PAGE = """# Data augmentation

Data augmentation changes the training fields at random in every epoch, so that the network does not overfit on their orientation, scale or brightness. The table
`[augment]` of a recipe sets it ([all keys](recipe.md)); a key of 0 or false turns an operation off. The picture shows a simulated field of a few cells, three times under
each operation, much stronger than a recipe would use:

![A simulated field under each augmentation](../images/augmentation.png)

*Microtubules red, protein green, nucleus blue. `channel_dropout` blanks the ER, which a picture of three colours does not show.*

- The augmentation of a field is a pure function of the seed, the epoch and the field's position in it. A resumed training sees the same
  images, and neither the batch size nor the number of workers changes them. A field that is repeated in an epoch (`train.repeat_threshold`) looks different each time.
- `flip` takes one of the eight symmetries of the square, and `shift` alone moves by whole pixels: nothing is resampled. `rotate`, `scale`, `shear`,
  `crop`, `elastic`, and then also `shift`, are applied in one resampling. The field is mirrored at its edge.
- `scale` changes the pixel size in µm: 0.2 shows cells up to 1.2 times larger or smaller.
- `gain`, `offset`, `gamma`, `blur`, `noise`, `hot_pixels` and the dropouts are sampled for each channel independently; the order is offset, gain, gamma, and values stay within 0–1.
- `mixup` blends two fields and `cutmix` pastes a window of one into the other; labels are weighted by the area or share of their field. With `data.online` the
  partner is the next field of the batch, otherwise any of the training fields.

The time that each takes: [benchmarks](benchmarks.md). Averaging predictions over rotations and mirror images of a field is test-time augmentation:
`lociscope predict --tta`.
"""


def augment_field(pixels: np.ndarray, other: np.ndarray, chosen: dict[str, float | bool]) -> np.ndarray:
    """Return (n, side, side, 4) of uint8: the field, augmented n times."""
    settings = Augment.model_validate(STILL | chosen)
    rng = PerSampleRng(SEED, tf.constant(0, tf.int64), tf.range(EACH, dtype=tf.int64))
    labels = tf.zeros([EACH, 28], tf.uint8)
    x, partner = (tf.constant(np.stack([one] * EACH)) for one in (pixels, other))
    made, _ = augment(x, labels, rng, settings, (partner, labels) if has_mixing_ops(settings) else None)
    return np.asarray(np.rint(made * 255)).astype(np.uint8)


def main() -> None:
    """Write the picture and print the page."""
    pixels, other = (
        simulate_field(number, seed=7, size=SIDE, locations=[location], pixel_size=0.6).pixels
        for number, location in ((2, 23), (8, 21))
    )
    width, height = EACH * (TILE + GAP) + 2 * GAP, TILE + CAPTION + GAP
    sheet = Image.new("RGB", (BLOCKS * width, -(-len(SHOWN) // BLOCKS) * height), "white")
    for number, (name, chosen) in enumerate(SHOWN.items()):
        top, left = number // BLOCKS * height, number % BLOCKS * width
        ImageDraw.Draw(sheet).text((left, top), name, fill="black", font=ImageFont.load_default(12))
        for column, made in enumerate(augment_field(pixels, other, chosen)):
            tile = Image.fromarray(made[..., :3]).resize((TILE, TILE))  # unscaled: a stretch would undo gain and offset
            sheet.paste(tile, (left + column * (TILE + GAP), top + CAPTION))
    OUT.parent.mkdir(exist_ok=True)
    sheet.quantize(96, dither=Image.Dither.NONE).save(OUT, optimize=True)
    print(PAGE, end="")


if __name__ == "__main__":
    main()
