"""A hook of MkDocs: each page of a step of the how-tos begins with the step's name, as mkdocs.yml has it."""

from __future__ import annotations

import re
from typing import Any


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:  # noqa: ANN401 - a page of MkDocs
    """Return the page with its step below the title."""
    names = [page.title or "", *(section.title for section in page.ancestors)]
    step = next((name for name in names if re.match(r"\d · ", name)), None)
    if step is None:
        return markdown
    title, _line_end, rest = markdown.partition("\n")
    return f"{title}\n\n*Step {step}*\n{rest}"
