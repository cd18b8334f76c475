"""Check the checksums of a PNG: Pillow ignores those of pixels, and would read zeros instead of lost pixels."""

from __future__ import annotations

import struct
import zlib
from typing import IO

from lociscope.images.io.picture import damaged_file_error

SIGNATURE = b"\x89PNG\r\n\x1a\n"
"""The first bytes of a PNG."""

_ANCILLARY = 0x20


def check_chunks(file: IO[bytes], name: str) -> None:
    """Refuse a PNG with a wrong checksum of a critical chunk, or without an end.

    Args:
        file: Its bytes, from the start; afterwards at the start again. A file that is not a PNG passes.
        name: Its name in error messages.

    Raises:
        LociscopeError: The file is damaged or truncated.
    """
    if file.read(len(SIGNATURE)) == SIGNATURE:
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
                    name, ValueError(f"its {kind.decode('latin1')!r} chunk does not match its checksum")
                )
            if kind == b"IEND":
                break
    file.seek(0)
