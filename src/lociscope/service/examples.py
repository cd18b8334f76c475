"""The three simulated fields that ship with the service."""

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
"""Side of the picture of an example on the first page, px."""


class Example(msgspec.Struct, frozen=True):
    """A simulated field that ships with the service.

    Attributes:
        id: Its name.
        cell_line: The cell line whose shapes were simulated.
        locations: Names of the locations in which its protein was simulated.
        pixel_size: Side of a pixel, µm.
        simulator_version: `lociscope.simulate.VERSION` that rendered it.
    """

    id: str
    cell_line: str
    locations: tuple[str, ...]
    pixel_size: float
    simulator_version: int


@lru_cache(maxsize=1)
def examples() -> tuple[Example, ...]:
    """Return the examples in the order of the page; `docs/_generate/service_examples.py` simulates them."""
    return msgspec.json.decode((FOLDER / "examples.json").read_bytes(), type=tuple[Example, ...])


def find_example(name: str) -> Example:
    """Return the example of that name.

    Raises:
        LociscopeError: No example has that name.
    """
    for example in examples():
        if example.id == name:
            return example
    raise LociscopeError(
        f"Unknown example {name[:40]!r}.{suggest(name[:40], [each.id for each in examples()])}",
        code=Code.UNKNOWN_NAME,
    )


def example_source(example: Example) -> FieldSource:
    """Return the files of an example."""
    planes = tuple(PlaneRef(FOLDER / f"{example.id}_{channel}.jpg") for channel in CHANNEL_NAMES)
    return FieldSource(example.id, planes, example.pixel_size)


@lru_cache(maxsize=8)
def make_thumbnail(example: Example) -> bytes:
    """Return a small composite of an example, as JPEG."""
    from PIL import Image

    pixels = read_field(example_source(example)).pixels
    buffer = io.BytesIO()
    Image.fromarray(render_composite(pixels, THUMBNAIL)).save(buffer, format="JPEG", quality=88)
    return buffer.getvalue()
