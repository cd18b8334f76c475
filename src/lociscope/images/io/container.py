"""Locations of planes: files on disk, compressed by gzip, or members of a zip archive, which is not unpacked.

In text, `!` separates a container from its content: `train.zip!a1_red.png` is a file in an archive, `a1.ome.tif!DAPI` a
channel of a stack, `a1.zarr.zip!./0` a Zarr group in an archive (`.` is the archive's root), and
`run.companion.ome!1` an image of a file set that an index describes.
"""

from __future__ import annotations

import gzip
import re
import struct
import zipfile
import zlib
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from lociscope.errors import Code, LociscopeError
from lociscope.images.io.picture import MAX_BYTES, check_bytes, damaged_file_error, empty_file_error, file_error

if TYPE_CHECKING:
    from collections.abc import Iterator

ARCHIVE_ERRORS = (zipfile.BadZipFile, zlib.error, ValueError, struct.error, NotImplementedError, OverflowError)
"""Exceptions that a damaged archive raises."""

_ARCHIVE = re.compile(r"(?P<file>.+?\.(?:zip|ozx))!(?P<inside>.+)", re.IGNORECASE | re.DOTALL)
_STACK = re.compile(
    r"(?P<file>\.(?:/[^!]*)?|.+?\.(?:(?:tiff?|png|jpe?g)(?:\.gz)?|zarr(?:/[^!]*)?))!(?P<inside>.+)",
    re.IGNORECASE | re.DOTALL,
)
_SET = re.compile(
    r"(?P<file>(?:.*/)?(?:[^/]+\.companion\.ome|NDTiff\.index))!(?P<member>[^!]+)(?:!(?P<inside>.+))?",
    re.IGNORECASE | re.DOTALL,
)


class PlaneRef(NamedTuple):
    """The location of a plane, or of a file with several.

    Attributes:
        file: The file or folder on disk.
        member: A file in an archive; `./` and the group of a Zarr in an archive; the number of an image in a file set;
            or an empty string.
        channel: A channel in a stack, or an empty string.
    """

    file: Path
    member: str = ""
    channel: str = ""

    @property
    def name(self) -> str:
        """Name of the image file, with its suffix."""
        return Path(self.member).name if self.member else self.file.name

    @property
    def image(self) -> PlaneRef:
        """The location of the image that contains the channel."""
        return self._replace(channel="")

    def join(self, path: str) -> PlaneRef:
        """Return the location of a file or group within this folder or group."""
        if self.member:
            return self._replace(member=f"{self.member}/{path}")
        return self._replace(file=self.file / path)

    def __str__(self) -> str:
        """Return the text that `parse_plane_ref` parses."""
        return "!".join(filter(None, map(str, self)))


def parse_plane_ref(path: Path) -> PlaneRef:
    """Parse `archive.zip!member` and `stack.tif!channel`; an existing file may have `!` in its name."""
    text = str(path)
    if "!" not in text or path.exists():
        return PlaneRef(path)
    member = channel = ""
    if match := _SET.fullmatch(text):
        text, member, channel = match["file"], match["member"], match["inside"] or ""
    elif match := _ARCHIVE.fullmatch(text):
        text, member = match["file"], match["inside"]
        if inner := _STACK.fullmatch(member):
            member, channel = inner["file"], inner["inside"]
    elif match := _STACK.fullmatch(text):
        text, channel = match["file"], match["inside"]
    elif (head := text.rpartition("!")[0]) and Path(head).is_dir():  # a Zarr group of any name
        text, _, channel = text.rpartition("!")
    return PlaneRef(Path(text), member, channel)


@contextmanager
def open_member(ref: PlaneRef) -> Iterator[IO[bytes]]:
    """Open a file or a member of an archive as a seekable stream; `.gz` is decompressed, up to `MAX_BYTES`.

    Raises:
        LociscopeError: The file cannot be read, is damaged, or is too large.
    """
    try:
        if ref.member:
            yield _decompress(BytesIO(_read_member(ref)), ref)
        else:
            with ref.file.open("rb") as file:
                yield _decompress(file, ref)
    except OSError as error:
        raise file_error(str(ref), error) from error


def _decompress(file: IO[bytes], ref: PlaneRef) -> IO[bytes]:
    if not ref.name.lower().endswith(".gz"):
        return file
    try:
        with gzip.GzipFile(fileobj=file) as inner:
            data = inner.read(MAX_BYTES + 1)
        if not data:
            raise empty_file_error(str(ref))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged_file_error(str(ref), error) from error
    check_bytes(len(data), str(ref))
    return BytesIO(data)


def _read_member(ref: PlaneRef) -> bytes:
    archive = open_archive(ref.file)
    try:
        entry = archive.getinfo(ref.member)
        if entry.flag_bits & 1:
            raise LociscopeError(
                f"'{ref}' is encrypted. Unpack the archive with its password.", code=Code.UNSUPPORTED_FORMAT
            )
        check_bytes(entry.file_size, str(ref))
        with archive.open(entry) as file:
            data = file.read(MAX_BYTES + 1)
        check_bytes(len(data), str(ref))
    except KeyError as error:
        raise LociscopeError(
            f"'{ref.file}' has no member '{ref.member}'. Check that it is the right archive.", code=Code.NOT_FOUND
        ) from error
    except (*ARCHIVE_ERRORS, EOFError, RuntimeError) as error:
        raise damaged_file_error(str(ref), error) from error
    return data


def open_archive(path: Path) -> zipfile.ZipFile:
    """Open a zip archive, and keep it open while it does not change; several threads may read from it.

    Raises:
        LociscopeError: The file cannot be read, or is not a zip archive.
    """
    try:
        stat = path.stat()
        return _archive(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise file_error(str(path), error) from error
    except ARCHIVE_ERRORS as error:
        raise LociscopeError(
            f"'{path}' is not a zip archive, or is truncated ({error}). Copy it again.", code=Code.CORRUPT
        ) from error


@lru_cache(maxsize=4)
def _archive(path: Path, size: int, changed: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)
