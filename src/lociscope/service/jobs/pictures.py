"""Small pictures of the fields of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lociscope.images.render import render_composite
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.images.field import Field

THUMBNAIL = 160
"""Side of the picture of a field in the gallery, px."""


def thumbnail_path(folder: Path, number: int) -> Path:
    """Return the file of the picture of a field."""
    return folder / f"{number}.webp"


def write_thumbnail(field: Field, folder: Path, number: int) -> None:
    """Write a small composite of a field, as WebP.

    Args:
        field: The field.
        folder: The folder of the pictures of its job, which is created.
        number: Its number in the job.
    """
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(thumbnail_path(folder, number)) as part:
        Image.fromarray(render_composite(field.pixels, THUMBNAIL)).save(part, format="WEBP", quality=78)
