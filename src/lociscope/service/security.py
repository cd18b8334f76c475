"""What every request passes: the host's name, the key, the size of the body; and headers for every answer."""

import base64
import hmac
import logging
import secrets
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request

from lociscope.service.complaints import complaint

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from lociscope.service.metrics import Metrics
    from lociscope.service.settings import Settings

HEADERS = {
    # No script, style or picture from elsewhere, and none written into a page; `data:` is the pictures of a field.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with no-referrer, browsers hide where our own forms come from
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
OPEN = ("/healthz", "/readyz")
"""What needs no key: whoever keeps the service alive may ask whether it is."""

logger = logging.getLogger(__name__)


class Guard:
    """The outermost layer of the application.

    Args:
        app: What it guards.
        settings: Hosts, key and size.
        metrics: Counts requests.
    """

    def __init__(self, app: "ASGIApp", settings: "Settings", metrics: "Metrics") -> None:
        self._app = app
        self._hosts = settings.hosts
        self._proxies = frozenset(name.lower() for name in settings.allow_host)
        key = settings.api_key.get_secret_value() if settings.api_key else ""
        self._key = key.encode()
        self._most = settings.max_bytes
        self._metrics = metrics

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serves one request, and counts it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request, started, status = Request(scope), perf_counter(), 0

        async def answer(message: "Message") -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if not request.url.path.startswith("/static/"):
                    headers["cache-control"] = "no-store"
            await send(message)

        try:
            refused = self._refusal(request)
            if refused is not None:
                sentence, code, more = refused
                await complaint(request, code, sentence, more)(scope, receive, answer)
            else:
                await self._app(scope, _bounded(receive, self._most), answer)
        except Exception:
            number = secrets.token_hex(4)
            logger.exception("error %s at %s %s", number, request.method, request.url.path)
            if status:
                raise  # half an answer is out; the connection is closed
            sentence = f"Something went wrong here, not with your files. It is logged as error {number}."
            await complaint(request, 500, sentence)(scope, receive, answer)
        finally:
            seconds = perf_counter() - started
            self._metrics.count(scope, status, seconds)
            logger.info("%s %s %d %.0f ms", request.method, request.url.path, status, 1000 * seconds)

    def _refusal(self, request: Request) -> tuple[str, int, dict[str, str]] | None:
        """Why a request is not served, its status and more headers; None where it is."""
        host = request.headers.get("host", "")
        if self._hosts is not None and _parts(f"//{host}")[0] not in self._hosts:
            return f"This service is not called {host[:80]!r}. Start it with --allow-host to name it so.", 400, {}
        if request.url.path not in OPEN and self._key and not _brings(request, self._key):
            sentence = "This service needs its key. Send it as `Authorization: Bearer KEY`, or as the password."
            return sentence, 401, {"www-authenticate": 'Basic realm="lociscope", charset="UTF-8"'}
        if request.method == "POST" and not self._is_ours(request.headers.get("origin"), host):
            return "A page of another site may not send files here. Use this service's own page.", 403, {}
        length = request.headers.get("content-length", "0")
        if length.isdigit() and int(length[:18]) > self._most:
            return too_large(self._most), 413, {}
        return None

    def _is_ours(self, origin: str | None, host: str) -> bool:
        """Whether a request comes from our own page or from no page.

        There are no cookies to steal, but a foreign page could make a browser post here with the password it knows.
        """
        if origin is None:
            return True
        name, with_port = _parts(origin)
        return with_port == host or name in self._proxies


def too_large(most: int) -> str:
    """The complaint about a body of too many bytes."""
    return (
        f"This upload is larger than the {most / (1 << 20):.3g} MB that this service takes. Send one field at a time."
    )


def _parts(url: str) -> tuple[str, str]:
    """The name of a URL's host, and the same with its port; empty where it is no URL."""
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.netloc
    except ValueError:
        return "", ""


def _bounded(receive: "Receive", most: int) -> "Receive":
    """A body that was not declared, counted as it comes."""
    had = 0

    async def counted() -> "Message":
        nonlocal had
        message = await receive()
        had += len(message.get("body", b""))
        if had > most:
            raise HTTPException(413, too_large(most))
        return message

    return counted


def _brings(request: Request, key: bytes) -> bool:
    """Whether a request brings the key: as a bearer's token, as the password of any user, or in `X-API-Key`."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    given = request.headers.get("x-api-key", "").encode("latin-1")
    if kind.lower() == "bearer":
        given = value.strip().encode("latin-1")
    elif kind.lower() == "basic":
        try:
            given = base64.b64decode(value, validate=True).partition(b":")[2]
        except ValueError:
            return False
    return hmac.compare_digest(given, key)
