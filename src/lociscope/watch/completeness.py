"""Whether a file is complete, as far as that can be known while another program may still write it.

A copy that reserves the whole size first (robocopy, `rsync --inplace`, SMB) is as large from its first moment as at its
end, and zero where nothing is written yet. Two signs of that can be seen: a block of zeros, and on Linux a program of
this machine that has the file open for writing. Neither is proof: a black plane is zeros too, and a program may close
a file late. A file with one sign is read once it has rested for a while, one with both signs not before that changes.
PNG, gzip and zip prove themselves by checksums, which their readers check.
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

from lociscope.images.io.container import parse_plane_ref

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lociscope.images.discovery.sources import FieldSource

BLOCK = 4096
"""Bytes of zeros, from a multiple of as many, that are taken for space that is reserved and not yet written."""
TAIL = 64
"""The same at the end of a file: the last write of a copy may be short."""
OLD_S = 3600.0
"""Seconds after which a file that has not changed is complete, whatever it looks like."""
_MOUNTS = Path("/proc/self/mountinfo")
_LOCAL = frozenset(("btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"))
_READ = 1 << 24
_CHECKED = (".png", ".gz", ".zip")
_JPEG = (".jpg", ".jpeg")
_EOI = b"\xff\xd9"


class Doubt(NamedTuple):
    """Why a field is not to be read yet.

    Attributes:
        reason: An error message.
        fresh: Whether its files have changed since the last look, or this is the first.
    """

    reason: str
    fresh: bool


class _Signs(NamedTuple):
    """What speaks against a field's completeness.

    Attributes:
        reason: An error message.
        gap: Whether a file looks as if a part of it were not written yet.
        written: A file that a program has open for writing.
        marks: Size and times of change of the files.
        since: When they last changed.
    """

    reason: str
    gap: bool
    written: Path | None
    marks: tuple[tuple[int, int, int], ...]
    since: float

    @property
    def certain(self) -> bool:
        """Whether there is no other explanation, so that no time is long enough."""
        return self.gap and self.written is not None


class Completeness:
    """Decides which fields are complete.

    Args:
        rest: Seconds for which the files of a field that may be incomplete must not change to be read.
    """

    def __init__(self, rest: float) -> None:
        self._rest = rest
        self._known: dict[str, _Signs] = {}

    def doubt(self, source: FieldSource, since: float, now: float) -> Doubt | None:
        """Return why a field is not to be read yet; None where it is.

        Args:
            source: The field.
            since: When its files last changed, as far as the caller knows.
            now: Seconds of the same clock.
        """
        files = list(_files(source))
        marks = tuple(map(_mark, files))
        known = self._known.get(source.id)
        if known is not None and known.marks == marks:
            if self._waits(known, now) and (known.written is None or is_open_for_writing(known.written)):
                return Doubt(known.reason, fresh=False)
            since = known.since
        elif known is not None:
            since = now
        signs = _signs(files, marks, since)
        if signs is None and known is not None and known.marks != marks:  # complete, it seems; let it rest once more
            reason = f"'{files[0]}' and the files beside it were being written a moment ago. They are read again."
            signs = _Signs(reason, gap=False, written=None, marks=marks, since=now - self._rest)
            self._known[source.id] = signs
            return Doubt(reason, fresh=True)
        if signs is None or _old(marks):
            self.forget(source.id)
            return None
        self._known[source.id] = signs
        return Doubt(signs.reason, fresh=known is None or known.marks != marks) if self._waits(signs, now) else None

    def undecided(self, now: float) -> bool:
        """Whether time alone will decide about a field that was doubted."""
        return any(not each.certain and now - each.since < 2 * self._rest for each in self._known.values())

    def forget(self, name: str) -> None:
        """Forget a field that has been read."""
        self._known.pop(name, None)

    def _waits(self, signs: _Signs, now: float) -> bool:
        return signs.certain or now - signs.since < self._rest


def find_gap(path: Path) -> str | None:
    """Return what in a file looks like space that is not yet written; None where nothing does.

    Raises:
        OSError: It cannot be read.
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
        None where that cannot be known: on other systems than Linux, of files of another user, on network shares.
    """
    if sys.platform != "linux":
        return None
    import errno
    import fcntl

    try:
        with path.open("rb") as file:
            # A read lease is granted only while nobody writes. It is given back at once; who opens the file in
            # that moment waits for it, and the signal that would tell us of it is one that does nothing.
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN and _is_on_local_disk(path) else None
    return False


def _is_on_local_disk(path: Path) -> bool:
    """Return whether a lease that is refused means that somebody writes: NFS and SMB refuse it of any file."""
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


def _signs(files: list[Path], marks: tuple[tuple[int, int, int], ...], since: float) -> _Signs | None:
    """Return what speaks against a field's completeness: a file with both signs, or else with one; None for nothing."""
    found = None
    for path in files:
        try:
            gap = find_gap(path)
            written = not path.name.lower().endswith(_CHECKED) and is_open_for_writing(path)
        except OSError:  # the reader says why
            continue
        if gap and written:
            reason = f"'{path}' {gap}, and a program has it open for writing. It is read when that is done."
            return _Signs(reason, True, path, marks, since)
        if gap:
            reason = f"'{path}' {gap}, as a file that is still being copied does. It is read once it has rested."
            found = _Signs(reason, True, None, marks, since)
        elif written and found is None:
            reason = f"A program has '{path}' open for writing. It is read when it is closed, or has rested."
            found = _Signs(reason, False, path, marks, since)
    return found


def _files(source: FieldSource) -> Iterator[Path]:
    """The files of a field on disk, each once; of a folder all that are in it."""
    planes = source.loose or source.planes
    for path in dict.fromkeys(parse_plane_ref(plane).file for plane in planes if plane is not None):
        if path.is_dir():
            for folder, _, names in os.walk(path):
                yield from (Path(folder, name) for name in sorted(names))
        else:
            yield path


def _mark(path: Path) -> tuple[int, int, int]:
    """Size and times of change; the second of these cannot be set by the program that writes."""
    try:
        stat = path.stat()
    except OSError:
        return -1, -1, -1
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _old(marks: tuple[tuple[int, int, int], ...]) -> bool:
    """Whether all files were last changed long ago, by the clock of this machine, which a share need not have."""
    newest = max((max(modified, changed) for _, modified, changed in marks), default=0)
    return time.time() - newest / 1e9 > OLD_S
