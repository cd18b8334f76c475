"""Writing fields as the competition stores them."""

from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.channels import CHANNEL_NAMES
from lociscope.storage import replacing

if TYPE_CHECKING:
    import numpy as np


def write_planes(folder: Path, identifier: str, pixels: "np.ndarray") -> tuple[Path, ...]:
    """Writes `<id>_{red,green,blue,yellow}.png`, each whole or not at all.

    Args:
        folder: Where to.
        identifier: The field's name.
        pixels: (y, x, 4) of uint8 or uint16, RGBY.

    Returns:
        The four paths, RGBY.

    Raises:
        LociscopeError: The place cannot be written.
    """
    from PIL import Image

    paths = tuple(folder / f"{identifier}_{name}.png" for name in CHANNEL_NAMES)
    for channel, path in enumerate(paths):
        with replacing(path) as part:
            # Level 1: half as long as the default and a tenth larger, on noisy pictures.
            Image.fromarray(pixels[..., channel]).save(part, format="PNG", compress_level=1)
    return paths
