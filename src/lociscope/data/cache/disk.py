"""The store on disk: fields of one size as bytes, one after another, and a journal by which packing goes on.

A store that is being made lies beside its final name, in `.NAME.part`: `x.npy`, `key.json` and `journal.jsonl`, a line
for each field that came, packed or failed, written after its pixels with their checksum. Whoever packs holds a lock; a
packer that was killed, or for which the disk was full, leaves what it has, and the next one goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
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
    """The folder, in a store that many trainings share, of what depends on a key."""
    return store / hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]


class PreparedField(NamedTuple):
    """A field ready to be packed: its name, its group, (h, w, 4) of uint8, and its class numbers."""

    id: str
    group: str
    pixels: np.ndarray
    target: tuple[int, ...]


class CacheEntry(NamedTuple):
    """What the journal says of a packed field."""

    id: str
    group: str
    target: list[int]


@dataclass(frozen=True, slots=True)
class DiskArray:
    """Some rows of the pixels on disk: what is asked for is read, and nothing is kept.

    Not mapped into memory: pages that were touched would count as the process', up to the size of the store.

    Attributes:
        path: The `.npy` file.
        each: (h, w, 4) of every row.
        rows: (n,) of int: which rows, in order.
    """

    path: Path
    each: tuple[int, ...]
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return (len(self.rows), *self.each)

    def take(self, numbers: np.ndarray) -> DiskArray:
        """The rows of these numbers, unread."""
        return DiskArray(self.path, self.each, self.rows[numbers])

    def __getitem__(self, numbers: np.ndarray | slice) -> np.ndarray:
        """Reads the rows of these numbers."""
        wanted = self.rows[numbers]
        found = np.empty((len(wanted), *self.each), np.uint8)
        size = found[:1].nbytes
        try:
            with self.path.open("rb", buffering=0) as file:
                start = _start(file)
                for row, place in zip(wanted.tolist(), found, strict=True):
                    file.seek(start + row * size)
                    if file.readinto(place) != size:
                        raise corrupt_cache_error(self.path.parent)
        except OSError as error:  # gone, since the training began
            raise corrupt_cache_error(self.path.parent) from error
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: ANN401
        return np.asarray(self[:], dtype)


def open_disk_array(path: Path, n: int) -> DiskArray:
    """Opens the pixels of n fields.

    Raises:
        LociscopeError: The file is missing, damaged, or cut short.
    """
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, fortran, kind = np.lib.format.read_array_header_1_0(file)
            whole = file.tell() + int(np.prod(shape)) == path.stat().st_size
    except (OSError, ValueError) as error:
        raise corrupt_cache_error(path.parent) from error
    if not whole or shape[0] != n or len(shape) != 4 or fortran or kind != np.uint8:
        raise corrupt_cache_error(path.parent)
    return DiskArray(path, shape[1:], np.arange(n))


def corrupt_cache_error(folder: Path) -> LociscopeError:
    """The sentence for a store that does not hold what it says."""
    return LociscopeError(
        f"The packed fields in '{folder}' are damaged or cut short. Remove the folder to pack again.", code=Code.CORRUPT
    )


class CacheWriter:
    """A store in the making.

    Attributes:
        items: What has come so far: packed fields and failures, in order.
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
        """The fields that are packed."""
        return [item for item in self.items if isinstance(item, CacheEntry)]

    def add(self, item: PreparedField | Failure) -> None:
        """Writes a field, or that it cannot be read."""
        if isinstance(item, Failure):
            self._note(item, [*item])
            return
        pixels = item.pixels.tobytes()
        _write_all(self._pixels, pixels)
        kept = CacheEntry(item.id, item.group, [*item.target])
        self._note(kept, [*kept, zlib.crc32(pixels)])

    def finish(self, about: dict[str, Any]) -> None:
        """Writes the final number of rows, and what the store holds."""
        self._pixels.seek(0)
        _write_all(self._pixels, _header(len(self.packed), self.each))
        os.fsync(self._pixels.fileno())
        self.close()
        with atomic_write(self.folder / "pack.json") as part:  # first: a crash before the journal goes costs nothing
            part.write_text(json.dumps(about), encoding="utf-8")
        (self.folder / JOURNAL).unlink()
        (self.folder / KEY).unlink()

    def close(self) -> None:
        """Closes its files."""
        self._pixels.close()
        self._journal.close()

    def _note(self, item: CacheEntry | Failure, words: list[Any]) -> None:
        _write_all(self._journal, json.dumps(words).encode() + b"\n")
        self.items.append(item)

    def _recover(self) -> None:
        """Reads what an earlier packer left, as far as pixels and journal agree, and cuts off the rest."""
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
    """Opens the store in the making beside `folder`, and puts it in its place where it was finished.

    Args:
        folder: The final name.
        key: What the result depends on; what was begun for another key is begun anew.
        each: (h, w, 4).
        wait: Whether to wait while another process packs here.

    Yields:
        The store; None where another process has finished it meanwhile.

    Raises:
        LociscopeError: Another process is packing here, and nobody waits.
        OSError: The place cannot be written.
    """
    part = folder.with_name(f".{folder.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    with (part / LOCK).open("a") as held:
        if not lock_file(held, wait=wait):
            raise LociscopeError(
                f"'{folder}' is being packed by another process. Wait until it is done, or name another folder.",
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
    """What a line of the journal says, and the checksum of its pixels; None where it was cut short."""
    try:
        words = json.loads(line)
        if isinstance(words[2], str):  # the reason of a failure; of a packed field, its targets
            return Failure(*words), 0
        return CacheEntry(*words[:-1]), int(words[-1])
    except (IndexError, ValueError, TypeError):
        return None, 0


def _header(n: int, each: tuple[int, ...]) -> bytes:
    """The start of a `.npy` file; equally long whatever n is."""
    words = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({n}, {', '.join(map(str, each))}), }}"
    return np.lib.format.magic(1, 0) + (118).to_bytes(2, "little") + words.ljust(117).encode() + b"\n"


def _start(file: IO[bytes]) -> int:
    """Where the pixels begin."""
    head = file.read(10)
    return 10 + int.from_bytes(head[8:10], "little")


def _write_all(file: IO[bytes], data: bytes) -> None:
    """Writes everything: an unbuffered file may take a part, and a full disk then says so."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None
