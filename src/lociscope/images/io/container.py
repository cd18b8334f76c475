"""Where a file's bytes are: on disk, compressed by gzip, or in a zip archive that is read in place.

`!` separates a container from what it holds: `train.zip!a1_red.png` is a file in an archive, `a1.ome.tif!DAPI` a
channel of a stack, `a1.zarr.zip!./0` a Zarr group in an archive (`.` is the archive's root), and
`run.companion.ome!1` an image of a set of files that its index describes.
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
from lociscope.images.io.picture import MAX_BYTES, check_bytes, damaged_file_error, empty_file_error

if TYPE_CHECKING:
    from collections.abc import Iterator

ARCHIVE_ERRORS = (zipfile.BadZipFile, zlib.error, ValueError, struct.error, NotImplementedError, OverflowError)
"""What a damaged archive raises."""

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
    """Where a plane lies.

    Attributes:
        file: The file or folder on disk.
        member: The file within an archive, `./` and the group of a Zarr within one, the number of an image within a
            set; or an empty string.
        channel: The channel within a stack, or an empty string.
    """

    file: Path
    member: str = ""
    channel: str = ""

    @property
    def name(self) -> str:
        """Name of the file that holds the picture, with its suffix."""
        return Path(self.member).name if self.member else self.file.name

    def __str__(self) -> str:
        return f"{self.file}!{self.member}" if self.member else str(self.file)


def parse_plane_ref(path: Path) -> PlaneRef:
    """Takes `archive.zip!member` and `stack.tif!channel` apart; a real file whose name holds `!` is itself."""
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
    """The bytes of a place, seekable; what `.gz` compresses is decompressed up to `MAX_BYTES`.

    Raises:
        LociscopeError: They cannot be read, are damaged, or are too many.
    """
    try:
        if ref.member:
            yield _decompress(BytesIO(_read_member(ref)), ref)
        else:
            with ref.file.open("rb") as file:
                yield _decompress(file, ref)
    except OSError as error:
        if error.errno is None:  # a decoder's own complaint about the contents
            raise damaged_file_error(str(ref), error) from error
        raise LociscopeError(
            f"Cannot read '{ref}': {error.strerror}. Check the path and its permissions.", code=Code.NOT_FOUND
        ) from error


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
            f"'{ref.file}' holds no '{ref.member}'. Is it the right archive?", code=Code.NOT_FOUND
        ) from error
    except (*ARCHIVE_ERRORS, EOFError, RuntimeError) as error:
        raise damaged_file_error(str(ref), error) from error
    return data


def open_archive(path: Path) -> zipfile.ZipFile:
    """Opens a zip archive, once for as long as it does not change; several threads may read from it.

    Raises:
        LociscopeError: It cannot be read or is no zip archive.
    """
    try:
        stat = path.stat()
        return _archive(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise LociscopeError(
            f"Cannot read '{path}': {error.strerror}. Check the path and its permissions.", code=Code.NOT_FOUND
        ) from error
    except ARCHIVE_ERRORS as error:
        raise LociscopeError(
            f"'{path}' is no zip archive, or is cut short ({error}). Copy it again.", code=Code.CORRUPT
        ) from error


@lru_cache(maxsize=4)
def _archive(path: Path, size: int, changed: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)
