"""Checks of every request (host name, key, body limits), and headers of every answer."""

from __future__ import annotations

import base64
import hmac
import ipaddress
import logging
import secrets
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request

from lociscope.prediction_log.log_errors import LogError
from lociscope.service.bodies import Body, describe_too_large
from lociscope.service.error_responses import error_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from lociscope.service.keys import KeyStore
    from lociscope.service.metrics import Metrics
    from lociscope.service.settings import Settings
    from lociscope.service.worker_pool import WorkerPool

HEADERS = {
    # No script, style or picture from elsewhere, and none written into a page; `data:` is the pictures of a field.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with no-referrer, browsers hide the origin of our own forms
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), interest-cohort=()",
}
OPEN = ("/healthz", "/readyz")
"""Paths without key and host check, for the health checks of an orchestrator."""

JOBS = "/jobs"
"""Path that receives many fields, whose limits are wider."""

JOB_SECONDS = 3600.0
"""The upload of a job must arrive within an hour."""

ENVIRONMENT_OWNER = "environment"
"""Owner of the jobs that are sent with `LOCISCOPE_API_KEY`; no id of a key in the database has this form."""

_SAFE = ("GET", "HEAD", "OPTIONS")
_OWNER = "lociscope.owner"

CANCELLED = 499
"""The status counted for a request that its client cancelled during the upload, as in nginx."""

logger = logging.getLogger(__name__)


class Guard:
    """The outermost middleware of the application.

    Args:
        app: The application.
        settings: Hosts, key, size and root path.
        metrics: Counts the requests.
        pool: Knows whether the service stops.
        keys: The keys in the database; None where there is none.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, metrics: Metrics, pool: WorkerPool, keys: KeyStore | None = None
    ) -> None:
        self._app = app
        self._keys = None if settings.public else keys
        self._max_job_bytes = settings.max_job_bytes
        self._root = settings.root_path
        self._pool = pool
        self._hosts = settings.hosts
        self._proxies = frozenset(name.lower() for name in settings.allow_host)
        key = settings.api_key.get_secret_value() if settings.api_key else ""
        self._key = key.encode()
        self._most = settings.max_bytes
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, scope = scope["method"], self._normalize_path(scope)
        request, started, status = Request(scope), perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if not path_below_root(scope).startswith("/static/"):
                    headers["cache-control"] = "no-store"
            elif method == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        try:
            refused = self._find_refusal(request) or await self._identify(request)
            if refused is not None:
                message, code, more = refused
                await error_response(request, code, message, more)(scope, receive, answer)
            else:
                most, seconds = self._find_limits(request)
                await self._app(scope, Body(receive, most, lambda: self._pool.stopping, seconds), answer)
        except ClientDisconnect:
            status = CANCELLED
        except Exception:
            number = secrets.token_hex(4)
            logger.exception("error %s at %s %s", number, method, request.url.path)
            if status:
                raise  # a part of the answer is sent; the connection is closed
            text = f"The service has failed, not your files. The failure is logged as error {number}."
            await error_response(request, 500, text)(scope, receive, answer)
        finally:
            seconds = perf_counter() - started
            self._metrics.count(scope, status, seconds)
            logger.info("%s %s %d %.0f ms", method, request.url.path, status, 1000 * seconds)

    def _normalize_path(self, scope: Scope) -> Scope:
        """Return the request with GET in place of HEAD and without a slash at the end of its path.

        A proxy may strip the root path or pass it on; in both cases the returned path begins with it.
        """
        root = self._root or scope.get("root_path", "")
        path = scope["path"]
        if path == root or path.startswith(f"{root}/"):
            path = path[len(root) :]
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        return {**scope, "method": method, "root_path": root, "path": root + (path.rstrip("/") or "/")}

    def _find_refusal(self, request: Request) -> tuple[str, int, dict[str, str]] | None:
        """Return why a request is refused, the status and more headers; None if it is served."""
        host = request.headers.get("host", "")
        is_open = path_below_root(request.scope) in OPEN
        if not is_open and not self._is_own_name(_parts(f"//{host}")[0]):
            return (
                f"This service does not accept the host name {host[:80]!r}. Its operator can add it to `allow_host`.",
                400,
                {},
            )
        if request.method not in _SAFE and not self._is_same_origin(request.headers.get("origin"), host):
            return (
                "Pages of other sites may not send files to this service. Use the page of the service itself.",
                403,
                {},
            )
        return None

    def _find_limits(self, request: Request) -> tuple[int, float | None]:
        """Return the maximum bytes of a body, and the seconds in which it must arrive, if not the usual."""
        if path_below_root(request.scope) == JOBS:
            return self._max_job_bytes, JOB_SECONDS
        return self._most, None

    async def _identify(self, request: Request) -> tuple[str, int, dict[str, str]] | None:
        """Find the key of a request, which `get_owner` returns; return why it is refused, or None.

        A request without its key is refused before its size is looked at.
        """
        request.scope[_OWNER] = ""
        if path_below_root(request.scope) not in OPEN:
            given = _find_key(request)
            if self._key and hmac.compare_digest(given, self._key):
                request.scope[_OWNER] = ENVIRONMENT_OWNER
            else:
                try:
                    found = await run_in_threadpool(self._look_up, given)
                except LogError as error:
                    logger.error("a key was not checked: %s", error)
                    return "The keys cannot be checked now. Try again in a moment.", 503, {"retry-after": "10"}
                if found is None:
                    message = "This service needs its key. Send it as `Authorization: Bearer KEY`, or as the password."
                    return message, 401, {"www-authenticate": 'Basic realm="lociscope", charset="UTF-8"'}
                request.scope[_OWNER] = found
        most, _ = self._find_limits(request)
        length = request.headers.get("content-length", "0")
        if length.isdigit() and int(length[:18]) > most:
            return describe_too_large(most), 413, {}
        return None

    def _look_up(self, given: bytes) -> str | None:
        """Return the id of the key that a request has; empty where none is needed, None where it is refused."""
        if given and self._keys is not None and (found := self._keys.find(given.decode("latin-1"))):
            return found
        if self._key or (self._keys is not None and self._keys.is_required()):
            return None
        return ""

    def _is_own_name(self, name: str) -> bool:
        """Return whether a host name is accepted; IP addresses always are, because DNS rebinding needs a name."""
        return self._hosts is None or name in self._hosts or _is_address(name)

    def _is_same_origin(self, origin: str | None, host: str) -> bool:
        """Return whether a request comes from our own page or from no page.

        There are no cookies to steal, but a foreign page could make a browser post with its stored password.
        """
        if origin is None:
            return True
        name, with_port = _parts(origin)
        return with_port == host or name in self._proxies


def path_below_root(scope: Scope) -> str:
    """Return the path of a request below the root path of the service."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("app_root_path", scope.get("root_path", "")))


def _parts(url: str) -> tuple[str, str]:
    """Return the host name of a URL, without and with its port; empty if it is not a URL."""
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.netloc
    except ValueError:
        return "", ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _find_key(request: Request) -> bytes:
    """Return the key that a request has: as a bearer token, as the password of any user, or in `X-API-Key`."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return value.strip().encode("latin-1")
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return request.headers.get("x-api-key", "").encode("latin-1")


def get_owner(request: Request) -> str:
    """Return the id of the key that a request has; empty where it needed none."""
    owner: str = request.scope.get(_OWNER, "")
    return owner
