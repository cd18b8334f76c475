"""Download files by https: resumed where an earlier call was cut off, and accepted only with the expected sha256."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lociscope.errors import Code, LociscopeError
from lociscope.processes.progress import ignore_progress
from lociscope.storage.file_errors import unwritable_error

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.processes.progress import ProgressCallback

TIMEOUT = 60.0
"""Seconds without an answer after which a download is given up."""
CHUNK = 1 << 18
LOCAL = ("localhost", "127.0.0.1", "::1")
"""Hosts from which files may also come by http."""


def download(url: str, path: Path, sha256: str, most_bytes: int, progress: ProgressCallback = ignore_progress) -> None:
    """Download a file, unless it is there already.

    What has arrived is kept as `<name>.part` until the file is complete, so that a second call continues there.

    Args:
        url: Where it is; https, or http on this machine.
        path: Where to write it.
        sha256: Its hash; another file is removed.
        most_bytes: The most that is accepted.
        progress: Called with (bytes done, bytes in all).

    Raises:
        LociscopeError: The server does not answer, has no such file, sends another one or more than `most_bytes`; or
            the location cannot be written.
    """
    _check_url(url)
    if path.is_file() and hash_file(path) == sha256:
        return
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, part, most_bytes, progress)
        found = hash_file(part)
        if found != sha256:
            part.unlink()
            raise LociscopeError(
                f"'{url}' is not the expected file: its sha256 is {found[:12]}…, expected {sha256[:12]}…. Try again; "
                "if it stays so, its authors have replaced it.",
                code=Code.ALTERED,
            )
        part.replace(path)
    except urllib.error.HTTPError as error:
        raise LociscopeError(
            f"'{url}': the server answers {error.code} ({error.reason}). Check the address, or pass a folder with the "
            "files.",
            code=Code.NOT_FOUND if error.code in (403, 404, 410) else Code.UNAVAILABLE,
        ) from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise LociscopeError(
            f"'{url}' cannot be downloaded ({reason}). Call again: it resumes. Or pass a folder with the files.",
            code=Code.UNAVAILABLE,
        ) from error
    except OSError as error:
        raise unwritable_error(path, error) from error


def hash_file(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOCAL):
        raise LociscopeError(f"'{url}' is not an https address. Download the file yourself.", code=Code.REFUSED)


def _fetch(url: str, part: Path, most_bytes: int, progress: ProgressCallback) -> None:
    """Append to `part` what is missing, or begin anew where the server cannot continue."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310 - checked
    try:
        response: Any = urllib.request.urlopen(request, timeout=TIMEOUT)  # noqa: S310 - as above
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is missing
            return
        raise
    with response:
        _check_url(response.geturl())  # it may have been redirected
        resumed = response.status == 206
        done, total = have if resumed else 0, int(response.headers.get("Content-Length") or 0)
        total += done
        with part.open("ab" if resumed else "wb") as file:
            while chunk := response.read(CHUNK):
                done += len(chunk)
                if done > most_bytes:
                    raise LociscopeError(
                        f"'{url}' is larger than {most_bytes} bytes, the most that is expected. It is another file.",
                        code=Code.TOO_LARGE,
                    )
                file.write(chunk)
                progress(done, max(total, done), "")
    if done < total:
        raise LociscopeError(
            f"'{url}' was cut off after {done} of {total} bytes. Call again: it resumes.", code=Code.UNAVAILABLE
        )
