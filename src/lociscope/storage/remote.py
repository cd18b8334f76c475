"""Files behind URLs: object stores (`s3://`) and web servers (`https://`), by fsspec.

A `RemotePath` stands for a URL where a `Path` of a local file is expected. Only `as_remote` makes one, so that nothing
opens a URL unless its caller means to: a table that somebody uploads to a service cannot make it fetch one.
"""

from __future__ import annotations

import io
import time
from http.client import HTTPException
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from lociscope.errors import Code, LociscopeError, MissingExtraError
from lociscope.storage.table_files import find_url

if TYPE_CHECKING:
    from collections.abc import Callable

WEB = ("https", "http")
SCHEMES = ("s3", "memory", *WEB)
"""Schemes of the URLs that are opened; `memory` is fsspec's own, within the process."""

MAX_BYTES = (1 << 29) + (1 << 20)
"""Maximum size of one file."""

MAX_LISTED = 1 << 23
"""Maximum number of files in a listing."""

ATTEMPTS = 5
"""How often a request is sent before a server counts as not available."""

_MARKS = ("ETag", "LastModified", "last_modified", "mtime", "created")
_PAUSE = 0.2
_SECONDS = 60
_FORBIDDEN, _ABSENT = (401, 403), (404, 410)
_FAILURES = (OSError, HTTPException, ValueError, RuntimeError)
_LIBRARIES = ("aiohttp", "aiobotocore", "botocore", "fsspec")
"""Libraries whose errors share no base class."""


class RemotePath(type(Path())):  # type: ignore[misc] # the class of this system's paths
    """The path of a file or folder behind a URL, of which `str` is the URL."""

    __slots__ = ()

    def __str__(self) -> str:
        """Return the URL."""
        scheme, _, rest = super().__str__().replace("\\", "/").partition(":")
        return f"{scheme}://{rest.lstrip('/')}"

    def open(self, mode: str = "r", *_: Any, **__: Any) -> IO[Any]:  # noqa: ANN401 - as in Path
        """Return the contents, which are read at once, up to `MAX_BYTES`.

        Raises:
            LociscopeError: The file does not exist, may not be read, is too large, or its server does not answer.
        """
        data = read_bytes(str(self))
        return io.BytesIO(data) if "b" in mode else io.TextIOWrapper(io.BytesIO(data), "utf-8")

    def exists(self, **_: Any) -> bool:  # noqa: ANN401 - as in Path
        """Return whether the URL is that of a file or a folder."""
        try:
            self.read_mark()
        except LociscopeError as error:
            if error.code == Code.NOT_FOUND:
                return False
            raise
        return True

    def is_dir(self, **_: Any) -> bool:  # noqa: ANN401 - as in Path
        """Return False: a folder behind a URL is listed by `list_files` only."""
        return False

    def read_mark(self) -> str:
        """Return what changes when the file is replaced: its size, and its hash or time as the server gives them.

        Raises:
            LociscopeError: As `open`.
        """
        about = _send(str(self), _read_header if _is_web(str(self)) else "info")
        return f"{about.get('size')}|{next((about[key] for key in _MARKS if about.get(key)), '')}"


def as_remote(path: Path) -> Path:
    """Return the `RemotePath` of a path that was written as a URL; other paths as they are.

    Raises:
        LociscopeError: The URL has another scheme, or contains a password.
        MissingExtraError: fsspec, or what it needs for the scheme, is not installed.
    """
    url = None if isinstance(path, RemotePath) else find_url(path)
    if url is None:
        return path
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0]
    if scheme not in SCHEMES:
        raise LociscopeError(
            f"'{url}' is a URL of the kind '{scheme}', which lociscope does not read. Expected s3:// or https://.",
            code=Code.UNSUPPORTED_FORMAT,
        )
    if "@" in host:
        raise LociscopeError(
            f"The URL of '{host.rpartition('@')[2]}' contains a user name or a password, which would be written into "
            "tables and messages. Remove it, and set the credentials in the environment.",
            code=Code.REFUSED,
        )
    if scheme not in WEB:
        _open_system(url)
    return RemotePath(url)


def list_files(folder: RemotePath) -> list[tuple[RemotePath, int]]:
    """Return the files directly in a folder of an object store, with their sizes; empty where there is none.

    Raises:
        LociscopeError: The folder may not be listed, contains more than `MAX_LISTED` files, or its server does not
            answer.
    """
    found = _send(str(folder), "find", maxdepth=1, detail=True)
    if len(found) > MAX_LISTED:
        raise LociscopeError(
            f"'{folder}' contains {len(found)} files, more than the {MAX_LISTED} that lociscope lists. Write a Catalog "
            "of them, or split the folder.",
            code=Code.TOO_LARGE,
        )
    # A name with more than one `/` at its end, or with `..`, does not survive as a path.
    names = {name.rpartition("/")[2]: int(about.get("size") or 0) for name, about in found.items()}
    return [(folder / name, size) for name, size in sorted(names.items()) if name not in ("", ".", "..")]


def read_bytes(url: str, limit: int = MAX_BYTES) -> bytes:
    """Return the contents of a file.

    Raises:
        LociscopeError: The file does not exist, may not be read, is larger than `limit`, or its server does not answer.
    """
    data: bytes = _send(url, _read_web if _is_web(url) else _read_stream, limit)
    if len(data) > limit:
        raise LociscopeError(
            f"'{url}' is larger than the {limit >> 20} MiB that lociscope reads at once. Check the file.",
            code=Code.TOO_LARGE,
        )
    return data


def write_bytes(url: str, data: bytes) -> None:
    """Write a file; other readers see the whole file or none.

    Raises:
        LociscopeError: The file may not be written, or its server does not answer.
    """
    _send(url, "pipe_file", data, writing=True)


def remove(url: str) -> None:
    """Remove a file if it exists.

    Raises:
        LociscopeError: The file may not be removed, or its server does not answer.
    """
    if _send(url, "exists"):
        _send(url, "rm_file", writing=True)


def _is_web(url: str) -> bool:
    return url.partition(":")[0].lower() in WEB


def _read_stream(url: str, limit: int) -> bytes:
    """Read a file of an object store up to a limit."""
    with _open_system(url).open(url, "rb") as file:
        return _read_limited(file, limit)


def _read_web(url: str, limit: int) -> bytes:
    """Read a file of a web server up to a limit: it may neither know its size nor send a part of it.

    fsspec reports each failure of a web server as a file that does not exist.
    """
    with urlopen(url, timeout=_SECONDS) as file:  # noqa: S310 - `as_remote` has checked the scheme
        return _read_limited(file, limit)


def _read_header(url: str) -> dict[str, str]:
    """Return what a web server says about a file, under the names that fsspec has for it."""
    with urlopen(Request(url, method="HEAD"), timeout=_SECONDS) as answer:  # noqa: S310 - as above
        about = answer.headers
        return {
            "size": about.get("Content-Length", ""),
            "ETag": about.get("ETag", ""),
            "LastModified": about.get("Last-Modified", ""),
        }


def _read_limited(file: IO[bytes], limit: int) -> bytes:
    parts, size = [], 0
    while size <= limit and (part := file.read(1 << 20)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _open_system(url: str) -> Any:  # noqa: ANN401 - fsspec has no types
    """Return the file system of a URL.

    Raises:
        MissingExtraError: fsspec, or what it needs for the scheme, is not installed.
    """
    scheme = url.partition(":")[0].lower()
    try:
        import fsspec

        return fsspec.filesystem(scheme, **_OPTIONS.get(scheme, {}))
    except ImportError as error:
        raise MissingExtraError(f"'{scheme}://'", "cluster") from error


_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": {"connect_timeout": _SECONDS, "read_timeout": _SECONDS, "retries": {"max_attempts": 2}}},
}


def _send(url: str, what: str | Callable[..., Any], *args: Any, writing: bool = False, **options: Any) -> Any:  # noqa: ANN401
    """Call a function, or a method of the file system of a URL, again where its server fails."""
    failure: Exception | None = None
    for attempt in range(ATTEMPTS):
        try:
            return (what if callable(what) else getattr(_open_system(url), what))(url, *args, **options)
        except LociscopeError:
            raise
        except Exception as error:
            if not isinstance(error, _FAILURES) and type(error).__module__.partition(".")[0] not in _LIBRARIES:
                raise
            if isinstance(error, HTTPError):
                error.close()  # it holds the connection
            _raise_final(url, error, writing=writing)
            failure = error
        if not _is_web(url):
            _open_system(url).invalidate_cache()
        if attempt < ATTEMPTS - 1:
            time.sleep(_PAUSE * 2**attempt)
    raise LociscopeError(
        f"'{url}': its server does not answer ({_describe(failure)}), after {ATTEMPTS} attempts. Try again later.",
        code=Code.UNAVAILABLE,
    ) from failure


def _raise_final(url: str, error: Exception, *, writing: bool) -> None:
    """Raise the LociscopeError of a failure that another attempt does not change."""
    status = getattr(error, "code", None)
    if isinstance(error, PermissionError) or status in _FORBIDDEN or "credentials" in str(error).lower():
        verb, code = ("write", Code.UNWRITABLE) if writing else ("read", Code.UNREADABLE)
        raise LociscopeError(
            f"You may not {verb} '{url}' ({_describe(error)}). Set credentials with this permission, such as "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
            code=code,
        ) from error
    if isinstance(error, FileNotFoundError) or status in _ABSENT:
        raise LociscopeError(f"'{url}' does not exist. Check the URL.", code=Code.NOT_FOUND) from error
    if isinstance(error, NotImplementedError):
        raise LociscopeError(
            f"'{url}': its server offers no such access ({_describe(error)}). Use an object store, such as s3://.",
            code=Code.UNWRITABLE if writing else Code.UNREADABLE,
        ) from error


def _describe(error: Exception | None) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}{f': {lines[0][:200]}' if lines else ''}"
