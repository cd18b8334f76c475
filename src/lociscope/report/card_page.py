"""Cards as HTML, Markdown and JSON, from the same sections."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from lociscope.report.page import render, write_json, write_page
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lociscope.report.page import Link

SCHEMA = 1
UNKNOWN = "not recorded"
_MARKUP = re.compile(r"([\\`*_\[\]<>|#])")


class Table(NamedTuple):
    """A table of texts; the first column names the rows."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


class Section(NamedTuple):
    """A section of a card."""

    title: str
    paragraphs: list[str]
    table: Table | None = None


class CardPage(NamedTuple):
    """A card: `model card` or `data card`, its title, and its sections."""

    kind: str
    title: str
    sections: list[Section]


def write_card(page: CardPage, html: Path, markdown: Path, data: Path, files: Sequence[Link] = ()) -> None:
    """Write a card in three forms, each atomically.

    Args:
        page: The card.
        html: The page.
        markdown: The same as Markdown.
        data: The same as JSON.
        files: Links from the page.

    Raises:
        LociscopeError: A file cannot be written, or the page is of another kind.
        MissingExtraError: jinja2 is not installed.
    """
    write_json(data, card_to_json(page))
    with atomic_write(markdown) as part:
        part.write_text(card_to_markdown(page), encoding="utf-8")
    names = [re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-") for section in page.sections]
    write_page(html, render("card.html", title=page.title, card=page, names=names, files=files))


def card_to_json(page: CardPage) -> dict[str, Any]:
    """Return a card as values that JSON has: `schema`, `kind`, `title`, `sections`."""
    return {
        "schema": SCHEMA,
        "kind": page.kind,
        "title": page.title,
        "sections": [
            {
                "title": section.title,
                "paragraphs": section.paragraphs,
                "table": None
                if section.table is None
                else {"columns": list(section.table.columns), "rows": [list(row) for row in section.table.rows]},
            }
            for section in page.sections
        ],
    }


def card_to_markdown(page: CardPage) -> str:
    """Return a card as Markdown; whatever others wrote is text."""
    lines = [f"# {_escape(page.title)}", ""]
    for section in page.sections:
        lines += [f"## {_escape(section.title)}", ""]
        for each in section.paragraphs:
            lines += [_escape(each), ""]
        if section.table is not None and section.table.rows:
            lines += [_row(section.table.columns), _row(["---"] * len(section.table.columns), escape=False)]
            lines += [*(_row(row) for row in section.table.rows), ""]
    return "\n".join(lines).rstrip() + "\n"


def _row(cells: Sequence[str], *, escape: bool = True) -> str:
    return "| " + " | ".join(_escape(cell) if escape else cell for cell in cells) + " |"


def _escape(text: str) -> str:
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
