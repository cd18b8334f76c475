"""Error responses: a page for a client that asks for HTML, JSON for all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi.responses import HTMLResponse, JSONResponse

from lociscope.errors import Code, name_parameters
from lociscope.service.page import render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

_LABELS = {
    "pixel_size": "'Pixel size'",
    "plane": "'Slice'",
    "channels": "'Channel names'",
    "allow_missing": "'If a channel is missing'",
}
"""What the page calls the parameters that errors name."""

_FIELDS = {name: name for name in _LABELS}
"""What a form calls them."""

_CODES = {
    400: Code.INVALID_VALUE,
    401: Code.REFUSED,
    403: Code.REFUSED,
    404: Code.NOT_FOUND,
    405: Code.REFUSED,
    408: Code.REFUSED,
    409: Code.CONFLICT,
    410: Code.NOT_FOUND,
    413: Code.TOO_LARGE,
    500: Code.INTERNAL,
    503: Code.UNAVAILABLE,
    507: Code.UNWRITABLE,
}
"""The code of an error that only its status describes."""


def choose_status(method: str, code: Code | None) -> int:
    """Return the status of a `LociscopeError`.

    An upload is at fault itself. Any other request sends nothing but its address, so that it names what does not exist,
    or the service is at fault.
    """
    if method == "POST":
        return 422
    return 404 if code is Code.UNKNOWN_NAME else 500


def wants_page(request: Request) -> bool:
    """Return whether the answer is a page: the address does not end in `.json`, and the request accepts HTML."""
    return not request.url.path.endswith(".json") and "text/html" in request.headers.get("accept", "")


def error_response(
    request: Request, status: int, message: str, headers: Mapping[str, str] | None = None, *, code: Code | None = None
) -> Response:
    """Return the answer to a request that cannot be served.

    Args:
        request: The request.
        status: The HTTP status.
        message: The error message; parameters in backticks are named as the page or the form has them.
        headers: More headers.
        code: What kind of error it is; None for the one that the status stands for.

    Returns:
        A page with the form, or `{"error": message, "code": code}`.
    """
    text = name_parameters(message, _FIELDS, "{name}={value}")
    if wants_page(request):
        shown = name_parameters(message, _LABELS, "{value} under {name}")
        return HTMLResponse(
            render("error.html", request, message=shown, code=status, open=shown != text), status, headers
        )
    return JSONResponse({"error": text, "code": code or _CODES.get(status, Code.INVALID_VALUE)}, status, headers)
