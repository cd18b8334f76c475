"""Find pictures in a folder and detect which no longer change: by polling, which works on any share.

A folder is listed again only if its own time has changed, so that polling 100,000 unchanged files costs one `stat` of
their folder. A file that grows does not change the time of its folder: changing files are checked at each poll, and all
files from time to time.
"""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from lociscope.errors import Code, LociscopeError
from lociscope.images.io.zarr_layout import SUFFIX as ZARR
from lociscope.storage.file_errors import unreadable_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TIME_RESOLUTION = 3.0
"""Seconds within which a file system may give two changes the same time (FAT: 2 s); meanwhile listings continue."""

SWEEP = 30.0
"""Least seconds between two checks of every file."""

SWEEP_SHARE, POLL_SHARE = 0.02, 0.05
"""Largest shares of a core for these checks, and for the polls between them."""


def check_folder(folder: Path) -> None:
    """Raise a LociscopeError unless a folder exists and can be read."""
    try:
        if not folder.is_dir():
            what = "is not a folder" if folder.exists() else "does not exist"
            raise LociscopeError(
                f"'{folder}' {what}. Name the folder that the microscope writes to.", code=Code.NOT_FOUND
            )
        next(folder.iterdir(), None)
    except OSError as error:
        raise unreadable_error(folder, error) from error


class PictureFile(NamedTuple):
    """A picture: its folder and its name."""

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """Return its path."""
        return self.folder / self.name


@dataclass(slots=True)
class FolderChanges:
    """The result of a poll.

    Attributes:
        changed: Pictures that are new or have changed since the last poll.
        settled: Pictures that have not changed for the settling time.
        removed: Pictures that no longer exist.
        problems: Error messages about unreadable folders, each reported once.
    """

    changed: list[PictureFile] = field(default_factory=list)
    settled: list[PictureFile] = field(default_factory=list)
    removed: list[PictureFile] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


_Mark = tuple[int, int, int]
"""Size, time of change, and time of change of the entry itself, which the program that writes cannot set; of a Zarr
folder the sum and the latest times of its files."""


@dataclass(slots=True)
class _Listing:
    """The state of a folder: its time of change, since when that is known, and when the folder was last listed."""

    modified: int = -1
    since: float = 0.0
    listed: float = float("-inf")
    files: dict[str, _Mark] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)
    reported: bool = False


class PolledFolder:
    """The pictures below a folder.

    Hidden sub-folders and links to folders are not entered.

    Args:
        root: The folder.
        is_picture: Return whether a name is that of a picture.
        settle: Seconds for which a picture must not change to be settled.
        skip: A sub-folder that is not entered.
    """

    def __init__(self, root: Path, is_picture: Callable[[str], bool], settle: float, skip: Path | None = None) -> None:
        self.root = root
        self.unavailable: str | None = None
        """Why the folder cannot be read at present; None if it can."""
        self._is_picture = is_picture
        self._settle = settle
        self._skip = None if skip is None else os.path.abspath(skip)
        self._folders: dict[Path, _Listing] = {root: _Listing()}
        self._moving: dict[PictureFile, float] = {}
        self._next_look = self._next_sweep = float("-inf")

    @property
    def has_unsettled(self) -> bool:
        """Return whether a picture has changed within the settling time."""
        return bool(self._moving)

    def poll(self, now: float, interval: float = 0.0) -> FolderChanges | None:
        """Poll the folder, if a poll is due.

        Args:
            now: Seconds of a monotonic clock.
            interval: Seconds between two polls; more if polling would take too much of a core.

        Returns:
            What has changed since the last poll; None if no poll is due.
        """
        if now < self._next_look:
            return None
        changes = FolderChanges()
        wall, work = time.perf_counter(), time.thread_time()
        sweep = now >= self._next_sweep
        self._look(now, changes, sweep=sweep)
        self._settle_files(now, changes)
        wall, work = time.perf_counter() - wall, time.thread_time() - work
        self._next_look = now + max(interval, work / POLL_SHARE, wall)
        if sweep:
            self._next_sweep = now + max(SWEEP, work / SWEEP_SHARE, 10 * wall)
            self._next_look = now + max(interval, wall)
        return changes

    def _look(self, now: float, changes: FolderChanges, *, sweep: bool) -> None:
        try:
            self.root.stat()
            self.unavailable = None
        except OSError as error:
            self.unavailable = error.strerror or str(error)
            return
        queue = deque(self._folders)
        while queue:
            folder = queue.popleft()
            if folder in self._folders:
                queue.extend(self._visit(folder, now, changes, sweep=sweep))

    def _visit(self, folder: Path, now: float, changes: FolderChanges, *, sweep: bool) -> list[Path]:
        """List a folder if it has changed; return its new sub-folders."""
        listing = self._folders[folder]
        try:
            changed = folder.stat().st_mtime_ns
            if changed != listing.modified:
                listing.modified, listing.since = changed, now
            elif listing.listed > listing.since + TIME_RESOLUTION and not sweep:
                return []
            return self._list(folder, listing, now, changes, sweep=sweep)
        except OSError as error:
            if folder == self.root:
                self.unavailable = error.strerror or str(error)
            elif isinstance(error, (FileNotFoundError, NotADirectoryError)):
                self._forget(folder, changes)
            elif not listing.reported:
                listing.reported = True
                reason = f"Cannot read '{folder}': {error.strerror}. Its permissions can be corrected while this runs."
                changes.problems.append(reason)
        return []

    def _list(self, folder: Path, listing: _Listing, now: float, changes: FolderChanges, *, sweep: bool) -> list[Path]:
        names: set[str] = set()
        inner: list[Path] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                names.add(name)
                if name in listing.others or (name in listing.files and not sweep):
                    continue
                is_folder = entry.is_dir(follow_symlinks=False)
                if (is_folder and not name.lower().endswith(ZARR)) or not self._is_picture(name):
                    listing.others.add(name)
                    if is_folder and not name.startswith(".") and os.path.abspath(entry.path) != self._skip:
                        inner.append(folder / name)
                else:
                    self._compare(folder, name, listing, now, changes)
        listing.listed, listing.reported = now, False
        for name in listing.files.keys() - names:
            self._drop(PictureFile(folder, name), listing, changes)
        for name in listing.others - names:
            listing.others.discard(name)
            if folder / name in self._folders:
                self._forget(folder / name, changes)
        self._folders |= {path: _Listing() for path in inner}
        return inner

    def _compare(self, folder: Path, name: str, listing: _Listing, now: float, changes: FolderChanges) -> None:
        """Record whether a picture has changed."""
        try:
            mark = _mark_of(os.path.join(folder, name))
        except OSError:  # a broken link is read, so that the reason is reported; a removed file is found by the listing
            mark = (-1, -1, -1)
        if listing.files.get(name) != mark:
            listing.files[name] = mark
            item = PictureFile(folder, name)
            self._moving[item] = now
            changes.changed.append(item)

    def _settle_files(self, now: float, changes: FolderChanges) -> None:
        """Check the pictures that were changing; the ones that no longer change have settled."""
        for item, since in list(self._moving.items()):
            if since < now:
                self._compare(*item, self._folders[item.folder], now, changes)
            if now - self._moving[item] >= self._settle:
                del self._moving[item]
                changes.settled.append(item)

    def _drop(self, item: PictureFile, listing: _Listing, changes: FolderChanges) -> None:
        del listing.files[item.name]
        self._moving.pop(item, None)
        changes.removed.append(item)

    def _forget(self, folder: Path, changes: FolderChanges) -> None:
        """Remove a sub-folder that no longer exists, with all its files."""
        for path in [each for each in self._folders if each == folder or folder in each.parents]:
            listing = self._folders.pop(path)
            for name in list(listing.files):
                self._drop(PictureFile(path, name), listing, changes)
        above = self._folders.get(folder.parent)
        if above is not None:
            above.others.discard(folder.name)


def _mark_of(path: str) -> _Mark:
    stat = os.stat(path)
    size, modified, changed = stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
    if path.lower().endswith(ZARR):
        for folder, _, names in os.walk(path):
            for name in names:
                inner = os.stat(os.path.join(folder, name))
                size += inner.st_size + 1
                modified, changed = max(modified, inner.st_mtime_ns), max(changed, inner.st_ctime_ns)
    return size, modified, changed
