"""Render templates as self-contained HTML files: number formats and inline images."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from lociscope.errors import Code, LociscopeError, MissingExtraError
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from jinja2 import Environment

JPEG_QUALITY = 85
NOTHING = "–"
"""Shown for a figure that is not defined."""

_HEADING = re.compile(r'<h2 id="(?P<id>[\w-]+)">(?P<title>.*?)</h2>', re.DOTALL)
_KIND = re.compile(r'<meta name="generator" content="lociscope (?P<kind>[^"]*)">')
_HEAD_BYTES = 2000
_TAG = re.compile("<[^>]+>")
_CONTENTS = "<!-- contents -->"
_MIN_SECTIONS = 3


class Link(NamedTuple):
    """A file that belongs to a page.

    Attributes:
        href: Its path relative to the page, percent-encoded.
        name: Its name.
        what: What it has.
    """

    href: str
    name: str
    what: str


def link_files(page: Path, files: Iterable[tuple[Path, str]]) -> list[Link]:
    """Return links from a page to the files that exist, each with what it has.

    Args:
        page: The page that will be written.
        files: The files, and what they have.
    """
    folder = page.resolve().parent
    return [
        Link(quote(Path(os.path.relpath(path.resolve(), folder)).as_posix()), path.name, what)
        for path, what in files
        if path.exists() and path.resolve() != page.resolve()
    ]


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
        html = environment("lociscope.report").get_template(template).render({"files": (), **values})
    except ModuleNotFoundError as error:
        raise MissingExtraError("A report", "report") from error
    return _insert_contents(html)


def _insert_contents(html: str) -> str:
    """Insert a list of the sections where a page has several."""
    found = [(each["id"], _TAG.sub("", each["title"]).strip()) for each in _HEADING.finditer(html)]
    if len(found) < _MIN_SECTIONS:
        return html.replace(_CONTENTS, "", 1)
    rows = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, title in found)
    return html.replace(_CONTENTS, f'<nav class="contents" aria-label="Contents"><ul>{rows}</ul></nav>', 1)


def write_page(path: Path, html: str) -> None:
    """Write a page atomically.

    Raises:
        LociscopeError: The file exists and is a page of another kind, or cannot be written.
    """
    check_page(path, _find_kind(html))
    with atomic_write(path) as part:
        part.write_text(html, encoding="utf-8")


def check_page(path: Path, kind: str) -> None:
    """Refuse to overwrite a page of another kind, such as an evaluation by a report.

    Args:
        path: The page to write.
        kind: Its kind, as the page names it.

    Raises:
        LociscopeError: The file is a page of another kind.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            there = _find_kind(file.read(_HEAD_BYTES))
    except OSError:
        return
    if there and kind and there != kind:
        raise LociscopeError(
            f"'{path}' is a page of another kind ({there}, not {kind}). Choose another `output`.", code=Code.CONFLICT
        )


def _find_kind(html: str) -> str:
    match = _KIND.search(html)
    return match["kind"] if match else ""


def write_json(path: Path, values: Any) -> None:  # noqa: ANN401 - whatever JSON has
    """Write the figures of a page as JSON, atomically.

    Raises:
        LociscopeError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part:
        part.write_text(json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def jpeg_uri(plane: np.ndarray) -> str:
    """Return an image as the source of an `<img>` that needs no other file.

    Args:
        plane: (y, x) of uint8, or (y, x, 3) in colour.

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
