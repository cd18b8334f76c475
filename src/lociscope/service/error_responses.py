"""Complaints as answers: one sentence, as a page for whoever asks for HTML, as JSON for the rest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastapi.responses import HTMLResponse, JSONResponse

from lociscope.service.page import render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

_OPTIONS = (
    (r"Pass --allow-missing (\w+)", r"Pass allow_missing=\1", r"Choose 'do without \1' below"),
    (r"pass --allow-missing (\w+)", r"pass allow_missing=\1", r"choose 'do without \1' below"),
    (r"--allow-missing", "allow_missing", "'If a channel is missing'"),
    (r"--pixel-size", "pixel_size", "'Pixel size'"),
    (r"--plane(?: N)?", "plane", "'Slice'"),
    (r"--channels", "channels", "under 'Channel names'"),
)
"""Options of the command line, and what they are called in a request and on the page."""


def wants_page(request: Request) -> bool:
    """Whether the answer is to be a page: the address does not end in `.json`, and HTML is asked for."""
    return not request.url.path.endswith(".json") and "text/html" in request.headers.get("accept", "")


def complaint(request: Request, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a request that cannot be served.

    Args:
        request: The request.
        status: The HTTP status.
        sentence: What, what was received, the remedy; options of the command line are named as the page or the
            interface has them.
        headers: More headers.

    Returns:
        A page with the form, or `{"error": sentence}`.
    """
    if wants_page(request):
        said = in_terms(sentence, page=True)
        page = render("error.html", request, sentence=said, code=status, open=said != sentence)
        return HTMLResponse(page, status, headers)
    return JSONResponse({"error": in_terms(sentence, page=False)}, status, headers)


def in_terms(sentence: str, *, page: bool) -> str:
    """The sentence with the options of the command line in terms of the page or of the HTTP interface."""
    for option, field, label in _OPTIONS:
        sentence = re.sub(option, label if page else field, sentence)
    return sentence
