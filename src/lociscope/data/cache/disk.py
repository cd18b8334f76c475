"""A cache of prepared fields on disk, which an interrupted process can resume.

While a cache is written it is named `.NAME.part` and contains `x.npy` (fields of one size, one after another),
`key.json` and `journal.jsonl`: a line for each field, packed or failed, written after its pixels, with their checksum.
The writing process holds a lock. If it is killed, or the disk is full, the next process resumes after the last field
whose pixels agree with the journal.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import Failure
from lociscope.storage.atomic import atomic_write
from lociscope.storage.locks import lock_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIXELS, JOURNAL, KEY, LOCK = "x.npy", "journal.jsonl", "key.json", ".lock"


def cache_folder(store: Path, key: dict[str, Any]) -> Path:
    """Return the folder for a key in a store that several trainings share."""
    return store / hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]


class PreparedField(NamedTuple):
    """A preprocessed field: its id, its group, (h, w, 4) of uint8, and its class numbers."""

    id: str
    group: str
    pixels: np.ndarray
    target: tuple[int, ...]


class CacheEntry(NamedTuple):
    """The journal's entry of a packed field."""

    id: str
    group: str
    target: list[int]


@dataclass(frozen=True, slots=True)
class DiskArray:
    """Rows of an `.npy` file, which are read when they are indexed and not kept in memory.

    The file is not memory-mapped: touched pages would count as memory of the process, up to the size of the cache.

    Attributes:
        path: The `.npy` file.
        start: Position of the first row, in bytes.
        each: (h, w, 4) of every row.
        rows: (n,) of int: the row numbers, in order.
    """

    path: Path
    start: int
    each: tuple[int, ...]
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, h, w, 4)."""
        return (len(self.rows), *self.each)

    def take(self, numbers: np.ndarray) -> DiskArray:
        """Return some rows without reading them."""
        return DiskArray(self.path, self.start, self.each, self.rows[numbers])

    def __getitem__(self, numbers: np.ndarray | slice) -> np.ndarray:
        """Read some rows."""
        wanted = self.rows[numbers]
        found = np.empty((len(wanted), *self.each), np.uint8)
        size = found[:1].nbytes
        try:
            with self.path.open("rb", buffering=0) as file:
                for row, pixels in zip(wanted.tolist(), found, strict=True):
                    file.seek(self.start + row * size)
                    if file.readinto(pixels) != size:
                        raise corrupt_cache_error(self.path.parent)
        except OSError as error:  # removed since the training began
            raise corrupt_cache_error(self.path.parent) from error
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: ANN401
        return np.asarray(self[:], dtype)


def open_disk_array(path: Path, n: int) -> DiskArray:
    """Open the pixels of n fields.

    Raises:
        LociscopeError: The file is missing, corrupt, or too short.
    """
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, fortran, kind = np.lib.format.read_array_header_1_0(file)
            start = file.tell()
            complete = start + int(np.prod(shape)) == path.stat().st_size
    except (OSError, ValueError) as error:
        raise corrupt_cache_error(path.parent) from error
    if not complete or shape[0] != n or len(shape) != 4 or fortran or kind != np.uint8:
        raise corrupt_cache_error(path.parent)
    return DiskArray(path, start, shape[1:], np.arange(n))


def corrupt_cache_error(folder: Path) -> LociscopeError:
    """Return the error for a cache whose files are missing, corrupt or too short."""
    return LociscopeError(
        f"The packed fields in '{folder}' are damaged or cut short. Remove the folder to pack again.", code=Code.CORRUPT
    )


class CacheWriter:
    """Writes a cache field by field.

    Attributes:
        items: The packed fields and the failures so far, in order.
    """

    def __init__(self, folder: Path, each: tuple[int, ...]) -> None:
        self.folder, self.each = folder, each
        self.items: list[CacheEntry | Failure] = []
        self._size = int(np.prod(each))
        self._pixels: IO[bytes] = (folder / PIXELS).open("r+b" if (folder / PIXELS).exists() else "w+b", buffering=0)
        self._journal: IO[bytes] = (folder / JOURNAL).open("a+b", buffering=0)
        self._recover()

    @property
    def packed(self) -> list[CacheEntry]:
        """The packed fields so far."""
        return [item for item in self.items if isinstance(item, CacheEntry)]

    def add(self, item: PreparedField | Failure) -> None:
        """Write a field, or a failure to read one."""
        if isinstance(item, Failure):
            self._note(item, [*item])
            return
        pixels = item.pixels.tobytes()
        _write_all(self._pixels, pixels)
        entry = CacheEntry(item.id, item.group, [*item.target])
        self._note(entry, [*entry, zlib.crc32(pixels)])

    def read_back(self) -> DiskArray:
        """Return the pixels of the packed fields so far."""
        rows = np.arange(len(self.packed))
        return DiskArray(self.folder / PIXELS, len(_header(0, self.each)), self.each, rows)

    def finish(self, about: dict[str, Any]) -> None:
        """Write the final number of rows, and `about` as `pack.json`."""
        self._pixels.seek(0)
        _write_all(self._pixels, _header(len(self.packed), self.each))
        os.fsync(self._pixels.fileno())
        self.close()
        with atomic_write(
            self.folder / "pack.json"
        ) as part:  # before the journal is removed, so that a crash here loses nothing
            part.write_text(json.dumps(about), encoding="utf-8")
        (self.folder / JOURNAL).unlink()
        (self.folder / KEY).unlink()

    def close(self) -> None:
        """Close the files."""
        self._pixels.close()
        self._journal.close()

    def _note(self, item: CacheEntry | Failure, words: list[Any]) -> None:
        _write_all(self._journal, json.dumps(words).encode() + b"\n")
        self.items.append(item)

    def _recover(self) -> None:
        """Read what an earlier process wrote, as far as pixels and journal agree, and truncate the rest."""
        first = len(_header(0, self.each))
        if self._pixels.seek(0, os.SEEK_END) < first:
            self._pixels.seek(0)
            _write_all(self._pixels, _header(0, self.each))
        self._pixels.seek(first)
        self._journal.seek(0)
        good = 0
        for line in self._journal:
            item, checksum = _item(line)
            if item is None or (isinstance(item, CacheEntry) and zlib.crc32(self._pixels.read(self._size)) != checksum):
                break
            self.items.append(item)
            good += len(line)
        self._journal.truncate(good)
        self._pixels.truncate(first + self._size * len(self.packed))
        self._pixels.seek(0, os.SEEK_END)


@contextmanager
def open_cache_writer(
    folder: Path, key: dict[str, Any], each: tuple[int, ...], wait: bool = False
) -> Iterator[CacheWriter | None]:
    """Open a cache for writing, and rename it to its final name when it is finished.

    Args:
        folder: The final name.
        key: What the cache depends on; a part written for another key is discarded.
        each: (h, w, 4).
        wait: Whether to wait while another process writes this cache.

    Yields:
        The writer; None where another process has finished the cache in the meantime.

    Raises:
        LociscopeError: Another process writes this cache, and `wait` is false.
        OSError: The folder cannot be written.
    """
    part = folder.with_name(f".{folder.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    with (part / LOCK).open("a") as held:
        if not lock_file(held, wait=wait):
            raise LociscopeError(
                f"'{folder}' is being packed by another process. Wait until it has finished, or pass another folder.",
                code=Code.IN_USE,
            )
        if (folder / "pack.json").is_file():
            shutil.rmtree(part, ignore_errors=True)
            yield None
            return
        if _read(part / KEY) != json.dumps(key):
            for name in (PIXELS, JOURNAL):
                (part / name).unlink(missing_ok=True)
            (part / KEY).write_text(json.dumps(key), encoding="utf-8")
        writer = CacheWriter(part, each)
        try:
            yield writer
        finally:
            writer.close()
        if (part / "pack.json").is_file():
            part.rename(folder)
            (folder / LOCK).unlink(missing_ok=True)
        else:
            shutil.rmtree(part)


def _item(line: bytes) -> tuple[CacheEntry | Failure | None, int]:
    """Parse a line of the journal into an entry and the checksum of its pixels; None where the line is incomplete."""
    try:
        words = json.loads(line)
        if isinstance(words[2], str):  # the reason of a failure; of a packed field, its targets
            return Failure(*words), 0
        return CacheEntry(*words[:-1]), int(words[-1])
    except (IndexError, ValueError, TypeError):
        return None, 0


def _header(n: int, each: tuple[int, ...]) -> bytes:
    """Return the start of an `.npy` file; numpy pads it so that its length does not depend on n."""
    buffer = BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": (n, *each)})
    return buffer.getvalue()


def _write_all(file: IO[bytes], data: bytes) -> None:
    """Write all bytes: an unbuffered file may accept only a part, and a full disk raises on the next call."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None
