"""Receive the files of a job: written to their folder as they arrive, with safe names, and limited in number."""

from __future__ import annotations

import os
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from lociscope.service.forms import FormParser
from lociscope.service.uploads import safe_name

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request

MAX_DEPTH = 8
"""Maximum number of folders above a file of an upload."""

STEP_BYTES = 1 << 20
_MAX_TEXTS = 32
_MAX_TEXT = 1 << 12


class StoredFile(UploadFile):
    """A file of an upload, which is closed when its last byte has arrived, so that a thousand do not stay open.

    Its bytes are written a megabyte at a time, in another thread.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        super().__init__(file=file, size=0, filename=name, headers=Headers())
        self._waiting = bytearray()

    async def write(self, data: bytes) -> None:
        """Write some bytes, or keep them until there are enough."""
        self._waiting += data
        if len(self._waiting) >= STEP_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        data = bytes(self._waiting)
        self._waiting.clear()
        await run_in_threadpool(self.file.write, data)

    async def seek(self, offset: int) -> None:
        """Close the file; Starlette's parser calls this after its last byte."""
        await self._flush()
        await self.close()


class _StoringParser(FormParser):
    """A parser that writes the files of a form into a folder."""

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None], folder: Path, max_files: int) -> None:
        super().__init__(headers, stream, max_files=max_files, max_fields=_MAX_TEXTS, max_part_size=_MAX_TEXT)
        self._folder = folder
        self._taken: set[str] = set()
        self.bytes = 0

    def open_file(self, name: str) -> UploadFile:
        """Open a file of the folder in place of a temporary one."""
        inside = safe_path(name)
        if not inside:
            return super().open_file(name)  # an empty choice of the page; its bytes are not kept
        if inside.casefold() in self._taken:
            raise MultiPartException(f"Two files of this upload are called {inside!r}. Send each once.")
        self._taken.add(inside.casefold())
        path = self._folder / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        return StoredFile(path.open("xb"), inside)


async def receive_files(request: Request, folder: Path, max_files: int) -> dict[str, str]:
    """Write the files of a form into a folder, and return its texts.

    Args:
        request: The request, `multipart/form-data`.
        folder: An empty folder.
        max_files: Maximum number of files.

    Raises:
        HTTPException: 400, the form is malformed or exceeds a limit.
        OSError: A file cannot be written.
    """
    try:
        async with aclosing(request.stream()) as stream:
            form = await _StoringParser(request.headers, stream, folder, max_files).parse()
    except MultiPartException as error:
        raise HTTPException(400, error.message) from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise HTTPException(400, "A file and a folder of this upload have the same name. Rename one of them.") from None
    await form.close()
    return {name: value for name, value in form.multi_items() if isinstance(value, str)}


def safe_path(name: str) -> str:
    """Return the path of a file of an upload within its folder; empty where nothing of the name can be kept."""
    parts = [safe_name(part) for part in name.replace("\\", "/").split("/")]
    return "/".join([part for part in parts if part][-MAX_DEPTH:])


def count_bytes(folder: Path) -> int:
    """Return the bytes of the files in a folder."""
    return sum(os.stat(os.path.join(where, name)).st_size for where, _, names in os.walk(folder) for name in names)
