"""Three simulated fields that ship with the service, for whoever has none at hand."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

import msgspec

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError, suggest
from lociscope.images.discovery.sources import FieldSource
from lociscope.images.io.container import PlaneRef
from lociscope.images.io.read import read_field
from lociscope.images.render import render_composite

FOLDER = Path(__file__).parent / "examples"
THUMBNAIL = 320
"""Side of the picture by which an example is chosen, px."""


class Example(msgspec.Struct, frozen=True):
    """One of them.

    Attributes:
        id: Its name.
        cell_line: The cell line whose shapes were drawn.
        drawn: Names of the places in which its protein was drawn.
        pixel_size: Side of a pixel, µm.
        drawing: `lociscope.simulate.VERSION` that drew it.
    """

    id: str
    cell_line: str
    drawn: tuple[str, ...]
    pixel_size: float
    drawing: int


@lru_cache(maxsize=1)
def examples() -> tuple[Example, ...]:
    """The examples, in the order in which they are shown; `docs/_generate/service_examples.py` draws them."""
    return msgspec.json.decode((FOLDER / "examples.json").read_bytes(), type=tuple[Example, ...])


def find_example(name: str) -> Example:
    """The example of that name.

    Raises:
        LociscopeError: There is none.
    """
    for example in examples():
        if example.id == name:
            return example
    raise LociscopeError(
        f"There is no example {name[:40]!r}.{suggest(name[:40], [each.id for each in examples()])}",
        code=Code.WRONG_FILE,
    )


def example_source(example: Example) -> FieldSource:
    """Where its four pictures lie."""
    planes = tuple(PlaneRef(FOLDER / f"{example.id}_{channel}.jpg") for channel in CHANNEL_NAMES)
    return FieldSource(example.id, planes, example.pixel_size)


@lru_cache(maxsize=8)
def make_thumbnail(example: Example) -> bytes:
    """A small composite of an example, as JPEG."""
    from PIL import Image

    pixels = read_field(example_source(example)).pixels
    buffer = io.BytesIO()
    Image.fromarray(render_composite(pixels, THUMBNAIL)).save(buffer, format="JPEG", quality=88)
    return buffer.getvalue()
