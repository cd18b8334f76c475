"""Read multipart forms, with the file names in every form that clients use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import TYPE_CHECKING

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request


@asynccontextmanager
async def read_form(request: Request, max_files: int, max_fields: int, max_part_size: int) -> AsyncIterator[FormData]:
    """Read a form; its files are open during the block.

    Args:
        request: The request, `multipart/form-data`.
        max_files: Maximum number of files.
        max_fields: Maximum number of texts.
        max_part_size: Maximum bytes of a text.

    Raises:
        HTTPException: 400, the form is malformed or exceeds a limit.
    """
    limits = {"max_files": max_files, "max_fields": max_fields, "max_part_size": max_part_size}
    try:
        async with aclosing(request.stream()) as stream:
            form = await FormParser(request.headers, stream, **limits).parse()
    except MultiPartException as error:
        raise HTTPException(400, error.message) from None
    try:
        yield form
    finally:
        await form.close()


class FormParser(MultiPartParser):
    """Starlette's parser with the file names in every form that clients use."""

    def on_headers_finished(self) -> None:
        """Read the names of a part, and open its file."""
        header = self._current_part.content_disposition or b""
        name = parse_extended_name(header.decode("latin-1"))
        if name is not None:  # the parser ignores `filename*`, and uses the last `filename`
            quoted = name.replace("\\", "\\\\").replace('"', '\\"').encode(self._charset, "replace")
            self._current_part.content_disposition = header + b'; filename="' + quoted + b'"'
        super().on_headers_finished()
        if (file := self._current_part.file) is not None:
            opened = self.open_file(file.filename or "")
            if opened is not file:
                file.file.close()
                self._current_part.file = opened
                self._files_to_close_on_error.append(opened.file)  # type: ignore[arg-type]  # closed, whatever it is

    def open_file(self, name: str) -> UploadFile:
        """Return where a file is written: by default the temporary file that Starlette has opened."""
        file = self._current_part.file
        if file is None:
            raise MultiPartException("The part has no file.")
        return file


def parse_extended_name(disposition: str) -> str | None:
    """Return the file name in `filename*` (RFC 5987), which has priority over `filename` (RFC 6266).

    RFC 7578 discourages it in forms, but .NET and older urllib3 send it, the latter nothing else.

    Args:
        disposition: A `Content-Disposition` header, for example `form-data; name=files; filename*=UTF-8''%C3%A9.png`.
    """
    if "*" not in disposition:
        return None
    message = Message()
    message["content-disposition"] = disposition
    for name, value in message.get_params([], "content-disposition"):
        if name.lower() == "filename" and isinstance(value, tuple):  # (charset, language, encoded)
            return collapse_rfc2231_value(value)
    return None
