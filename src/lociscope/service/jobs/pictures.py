"""Small pictures of the fields of a job."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from lociscope.images.render import render_composite

if TYPE_CHECKING:
    from lociscope.images.field import Field

THUMBNAIL = 160
"""Side of the picture of a field in the gallery, px."""


def thumbnail_name(number: int) -> str:
    """Return the name of the picture of a field among those of its job."""
    return f"{number}.webp"


def render_thumbnail(field: Field) -> bytes:
    """Return a small composite of a field, as WebP."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(render_composite(field.pixels, THUMBNAIL)).save(buffer, format="WEBP", quality=78)
    return buffer.getvalue()
