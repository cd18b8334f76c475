"""A form of files, which are read while they are sent."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from lociscope.errors import Code, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

STEP_BYTES = 1 << 20
"""Bytes that are read at a time."""


class Form:
    """A multipart form that is read from its files while it is sent.

    Raises:
        UsageError: There is no file.
    """

    def __init__(self, files: list[Path], options: Mapping[str, object]) -> None:
        self.edge = secrets.token_hex(16)
        named = [(name, path) for each in files for name, path in _list_files(each)]
        if not named:
            raise UsageError("There is no file to send. Name pictures, a zip or a folder.", code=Code.NOTHING_FOUND)
        texts = [
            f'--{self.edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in options.items()
            if value is not None
        ]
        self._parts: list[tuple[bytes, Path | None]] = [(text, None) for text in texts]
        for name, path in named:
            quoted = name.replace("\\", "\\\\").replace('"', '\\"').replace("\r", " ").replace("\n", " ")
            head = f'--{self.edge}\r\nContent-Disposition: form-data; name="files"; filename="{quoted}"\r\n\r\n'
            self._parts.append((head.encode(), path))
        self._end = f"--{self.edge}--\r\n".encode()

    def __len__(self) -> int:
        files = sum(path.stat().st_size + 2 for _, path in self._parts if path is not None)
        return sum(len(head) for head, _ in self._parts) + files + len(self._end)

    def __iter__(self) -> Iterator[bytes]:
        for head, path in self._parts:
            yield head
            if path is not None:
                with path.open("rb") as file:
                    while data := file.read(STEP_BYTES):
                        yield data
                yield b"\r\n"
        yield self._end


def _list_files(path: Path) -> list[tuple[str, Path]]:
    if not path.is_dir():
        return [(path.name, path)]
    return [(str(each.relative_to(path.parent)), each) for each in sorted(path.rglob("*")) if each.is_file()]
