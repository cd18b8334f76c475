"""Detect whether a file is complete, as far as possible while another program may still write it.

A copy that reserves the whole size first (robocopy, `rsync --inplace`, SMB) has its final size from the start, and
zeros where nothing is written yet. Two signs of that can be observed: a block of zeros, and on Linux a program of this
machine that has the file open for writing. Neither is a proof: a black plane is zeros too, and a program may close a
file late. A file with one sign is read after it has not changed for a while, a file with both signs only after one of
them is gone. PNG, gzip and zip have checksums, which their readers verify.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lociscope.images.discovery.sources import FieldSource

BLOCK = 4096
"""Bytes of zeros, aligned to the same number, that count as reserved space that is not written yet."""
TAIL = 64
"""The same at the end of a file, because the last write of a copy may be short."""
OLD_S = 3600.0
"""Seconds without a change after which a file counts as complete, whatever its contents."""
_MOUNTS = Path("/proc/self/mountinfo")
_LOCAL = frozenset(("btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"))
_READ = 1 << 24
_CHECKED = (".png", ".gz", ".zip")
_JPEG = (".jpg", ".jpeg")
_EOI = b"\xff\xd9"


class Incomplete(NamedTuple):
    """Why a field is not read yet.

    Attributes:
        reason: The error message.
        changed: Whether its files have changed since the last check, or this is the first check.
    """

    reason: str
    changed: bool


class _Signs(NamedTuple):
    """The signs that a field is incomplete.

    Attributes:
        reason: The error message.
        gap: Whether a part of a file seems not to be written yet.
        written: A file that a program has open for writing.
        marks: Sizes and times of change of the files.
        since: When they last changed.
    """

    reason: str
    gap: bool
    written: Path | None
    marks: tuple[tuple[int, int, int], ...]
    since: float

    @property
    def certain(self) -> bool:
        """Return whether the field is incomplete beyond doubt, so that waiting alone is not enough."""
        return self.gap and self.written is not None


class CompletenessCheck:
    """Decides which fields are complete.

    Args:
        rest: Seconds for which the files of a field that may be incomplete must not change before they are read.
    """

    def __init__(self, rest: float) -> None:
        self._rest = rest
        self._signs: dict[str, _Signs] = {}

    def check(self, source: FieldSource, since: float, now: float) -> Incomplete | None:
        """Return why a field is not read yet; None if it can be read.

        Args:
            source: The field.
            since: When its files last changed, as far as the caller knows, s.
            now: Seconds of the same clock.
        """
        files = list(_files(source))
        marks = tuple(map(_mark, files))
        previous = self._signs.get(source.id)
        if previous is not None and previous.marks == marks:
            if self._waits(previous, now) and (previous.written is None or is_open_for_writing(previous.written)):
                return Incomplete(previous.reason, changed=False)
            since = previous.since
        elif previous is not None:
            since = now
        signs = _find_signs(files, marks, since)
        if signs is None and previous is not None and previous.marks != marks:  # it seems complete; wait once more
            reason = f"'{files[0]}' and the files beside it were being written a moment ago. They are read again."
            signs = _Signs(reason, gap=False, written=None, marks=marks, since=now - self._rest)
            self._signs[source.id] = signs
            return Incomplete(reason, changed=True)
        if signs is None or _is_old(marks):
            self.forget(source.id)
            return None
        self._signs[source.id] = signs
        if not self._waits(signs, now):
            return None
        return Incomplete(signs.reason, changed=previous is None or previous.marks != marks)

    def is_undecided(self, now: float) -> bool:
        """Return whether a field waits that will be read after some time without a change."""
        return any(not each.certain and now - each.since < 2 * self._rest for each in self._signs.values())

    def forget(self, name: str) -> None:
        """Forget a field that has been read."""
        self._signs.pop(name, None)

    def _waits(self, signs: _Signs, now: float) -> bool:
        return signs.certain or now - signs.since < self._rest


def find_gap(path: Path) -> str | None:
    """Return which part of a file looks like space that is not written yet; None for no such part.

    Raises:
        OSError: The file cannot be read.
    """
    name = path.name.lower()
    if name.endswith(_CHECKED):
        return None
    end = b""
    with path.open("rb") as file:
        while buffer := file.read(_READ):
            whole = len(buffer) // BLOCK * BLOCK
            blocks = np.frombuffer(buffer, np.uint64, whole // 8).reshape(-1, BLOCK // 8)
            if not blocks.any(axis=1).all():
                return f"holds {BLOCK} bytes of zeros in a row"
            end = (end + buffer)[-2 * BLOCK :]
    if end and not any(end[-TAIL:]):
        return "ends in zeros"
    if name.endswith(_JPEG) and _EOI not in end:
        return "lacks the end of its picture"
    return None


def is_open_for_writing(path: Path) -> bool | None:
    """Return whether a program of this machine has a file open for writing.

    Returns:
        None if that is unknown: on other systems than Linux, for files of another user, on network shares.
    """
    if sys.platform != "linux":
        return None
    import errno
    import fcntl

    try:
        with path.open("rb") as file:
            # A read lease is granted only while no process has the file open for writing. It is returned at once; a
            # process that opens the file in that moment waits for it, and the signal that reports this does nothing.
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN and _is_on_local_disk(path) else None
    return False


def _is_on_local_disk(path: Path) -> bool:
    """Return whether a refused lease means that a process writes: NFS and SMB refuse it for any file."""
    real = os.path.realpath(path)
    longest, kind = "", ""
    try:
        lines = _MOUNTS.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return False
    for line in lines:
        before, _, after = line.partition(" - ")
        mount = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), before.split()[4])
        if real.startswith(mount.rstrip("/") + "/") and len(mount) >= len(longest):  # a later one lies over an earlier
            longest, kind = mount, after.split()[0]
    return kind in _LOCAL


def _find_signs(files: list[Path], marks: tuple[tuple[int, int, int], ...], since: float) -> _Signs | None:
    """Return the signs that a field is incomplete: of a file with both signs, or else with one; None for no sign."""
    found = None
    for path in files:
        try:
            gap = find_gap(path)
            written = not path.name.lower().endswith(_CHECKED) and is_open_for_writing(path)
        except OSError:  # the reader says why
            continue
        if gap and written:
            reason = f"'{path}' {gap}, and a program has it open for writing. It is read when that program closes it."
            return _Signs(reason, True, path, marks, since)
        if gap:
            reason = f"'{path}' {gap}, as a file that is still being copied does. It is read when it no longer changes."
            found = _Signs(reason, True, None, marks, since)
        elif written and found is None:
            reason = f"A program has '{path}' open for writing. It is read when it is closed, or no longer changes."
            found = _Signs(reason, False, path, marks, since)
    return found


def _files(source: FieldSource) -> Iterator[Path]:
    """Yield the files of a field on disk, each once; of a folder all its files."""
    planes = source.loose or source.planes
    for path in dict.fromkeys(ref.file for ref in planes if ref is not None):
        if path.is_dir():
            for folder, _, names in os.walk(path):
                yield from (Path(folder, name) for name in sorted(names))
        else:
            yield path


def _mark(path: Path) -> tuple[int, int, int]:
    """Return size and times of change; the second time cannot be set by the program that writes."""
    try:
        stat = path.stat()
    except OSError:
        return -1, -1, -1
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _is_old(marks: tuple[tuple[int, int, int], ...]) -> bool:
    """Return whether all files were last changed long ago, by the clock of this machine; a share may have another."""
    newest = max((max(modified, changed) for _, modified, changed in marks), default=0)
    return time.time() - newest / 1e9 > OLD_S
