"""Render templates as self-contained HTML files: number formats and inline images."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from lociscope.errors import MissingExtraError
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from jinja2 import Environment

JPEG_QUALITY = 85
NOTHING = "–"
"""Shown for a figure that is not defined."""


def render(template: str, **values: object) -> str:
    """Render a template of `report/templates`; every value is escaped unless it is `markupsafe.Markup`.

    Args:
        template: The file name, for example `evaluation.html`.
        values: The variables of the template; a missing variable is an error.

    Returns:
        The page.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    try:
        return environment("lociscope.report").get_template(template).render(**values)
    except ModuleNotFoundError as error:
        raise MissingExtraError("A report", "report") from error


def write_page(path: Path, html: str) -> None:
    """Write a page atomically."""
    with atomic_write(path) as part:
        part.write_text(html, encoding="utf-8")


def jpeg_uri(plane: np.ndarray) -> str:
    """Return a grey image as the source of an `<img>` that needs no other file.

    Args:
        plane: (y, x) of uint8.

    Returns:
        A `data:` URI.
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(plane).save(buffer, format="JPEG", quality=JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def number(value: float | None, digits: int = 2) -> str:
    """Format a number, `0.54`, with a true minus sign; a dash for None."""
    return NOTHING if value is None else f"{value:.{digits}f}".replace("-", "−")


def interval(low: float | None, high: float | None, digits: int = 2) -> str:
    """Format an interval, `0.51–0.57` or `−0.02 to 0.05`; a dash for None."""
    if low is None or high is None:
        return NOTHING
    return f"{number(low, digits)}{' to ' if low < 0 else '–'}{number(high, digits)}"


def environment(package: str) -> Environment:
    """Return the templates of a package; every value is escaped, and a missing variable is an error.

    Raises:
        ModuleNotFoundError: jinja2 is not installed.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader(package),
        autoescape=True,  # for every template, whatever its suffix
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"number": number}
    return made
