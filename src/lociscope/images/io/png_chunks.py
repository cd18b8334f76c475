"""The checksums of a PNG, which Pillow passes over where they guard pixels: zeros in their place would be pixels."""

from __future__ import annotations

import struct
import zlib
from typing import IO

from lociscope.images.io.picture import damaged_file_error

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ANCILLARY = 0x20


def check_chunks(file: IO[bytes], name: str) -> None:
    """Refuse a PNG of which a chunk that holds pixels is not as its checksum says, or whose end is missing.

    Args:
        file: Its bytes, from the start, and at the start again afterwards. What is no PNG is left to its reader.
        name: What to call it in an error message.

    Raises:
        LociscopeError: It is damaged or cut short.
    """
    if file.read(len(_SIGNATURE)) == _SIGNATURE:
        while True:
            head = file.read(8)
            if len(head) < 8:
                raise damaged_file_error(name, ValueError("it ends before its last chunk"))
            length, kind = struct.unpack(">I4s", head)
            data, stored = file.read(length), file.read(4)
            if len(data) < length or len(stored) < 4:
                raise damaged_file_error(name, ValueError("it ends within a chunk"))
            if not kind[0] & _ANCILLARY and zlib.crc32(data, zlib.crc32(kind)) != int.from_bytes(stored, "big"):
                raise damaged_file_error(
                    name, ValueError(f"its {kind.decode('latin1')!r} chunk is not as its checksum says")
                )
            if kind == b"IEND":
                break
    file.seek(0)
