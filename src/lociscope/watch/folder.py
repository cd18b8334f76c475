"""Which pictures lie below a folder, and which have come to rest: by polling, so that any share serves.

A folder is listed again only when its own time has changed, so that watching 100,000 files that rest costs one look
at their folder. A file that grows does not change its folder's time: those that move are looked at each time, and
now and then all of them are.
"""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from lociscope.images.io.zarr_layout import SUFFIX as ZARR

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COARSE = 3.0
"""Seconds within which a file system may give two changes one time (FAT: 2 s); until they are over, listings go on."""

SWEEP = 30.0
"""Least seconds between two looks at every file."""

SWEEP_SHARE, POLL_SHARE = 0.02, 0.05
"""Most of a core that these looks, and those between them, may take."""


class Item(NamedTuple):
    """A picture: the folder that it lies in, and its name."""

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.folder / self.name


@dataclass(slots=True)
class Seen:
    """What a look found.

    Attributes:
        stirred: Pictures that are new or have changed since the last look.
        settled: Pictures that have not changed for the settling time.
        gone: Pictures that are no longer there.
        trouble: Sentences about folders that cannot be read, each said once.
    """

    stirred: list[Item] = field(default_factory=list)
    settled: list[Item] = field(default_factory=list)
    gone: list[Item] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)


_Mark = tuple[int, int, int]
"""Size, time of change, and time of change of the entry itself, which the program that writes cannot set; of a Zarr
folder the sum and the latest of what it holds."""


@dataclass(slots=True)
class _Listing:
    """What is known of a folder: its time, since when it has been that, and when the folder was last listed."""

    changed: int = -1
    since: float = 0.0
    listed: float = float("-inf")
    files: dict[str, _Mark] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)
    silent: bool = False


class PolledFolder:
    """The pictures below a folder.

    Hidden sub-folders and links to folders are not entered.

    Args:
        root: The folder.
        wanted: Whether a name is a picture's.
        settle: Seconds for which a picture must not change to be at rest.
        skip: A sub-folder that is not entered.
    """

    def __init__(self, root: Path, wanted: Callable[[str], bool], settle: float, skip: Path | None = None) -> None:
        self.root = root
        self.away: str | None = None
        """Why the folder cannot be read at present."""
        self._wanted = wanted
        self._settle = settle
        self._skip = None if skip is None else os.path.abspath(skip)
        self._folders: dict[Path, _Listing] = {root: _Listing()}
        self._moving: dict[Item, float] = {}
        self._next_look = self._next_sweep = float("-inf")

    def poll(self, now: float, every: float = 0.0) -> Seen | None:
        """Looks, if it is time to.

        Args:
            now: Seconds of a clock that never goes back.
            every: Seconds between two looks; more where looking would take too much of a core.

        Returns:
            What has changed since the last look; None where it is not time yet.
        """
        if now < self._next_look:
            return None
        seen = Seen()
        wall, work = time.perf_counter(), time.thread_time()
        sweep = now >= self._next_sweep
        self._look(now, seen, sweep=sweep)
        self._rest(now, seen)
        wall, work = time.perf_counter() - wall, time.thread_time() - work
        self._next_look = now + max(every, work / POLL_SHARE, wall)
        if sweep:
            self._next_sweep = now + max(SWEEP, work / SWEEP_SHARE, 10 * wall)
            self._next_look = now + max(every, wall)
        return seen

    def _look(self, now: float, seen: Seen, *, sweep: bool) -> None:
        try:
            self.root.stat()
            self.away = None
        except OSError as error:
            self.away = error.strerror or str(error)
            return
        queue = deque(self._folders)
        while queue:
            folder = queue.popleft()
            if folder in self._folders:
                queue.extend(self._visit(folder, now, seen, sweep=sweep))

    def _visit(self, folder: Path, now: float, seen: Seen, *, sweep: bool) -> list[Path]:
        """Lists a folder if it has changed; gives its new sub-folders."""
        held = self._folders[folder]
        try:
            changed = folder.stat().st_mtime_ns
            if changed != held.changed:
                held.changed, held.since = changed, now
            elif held.listed > held.since + COARSE and not sweep:
                return []
            return self._list(folder, held, now, seen, sweep=sweep)
        except OSError as error:
            if folder == self.root:
                self.away = error.strerror or str(error)
            elif isinstance(error, (FileNotFoundError, NotADirectoryError)):
                self._forget(folder, seen)
            elif not held.silent:
                held.silent = True
                reason = f"Cannot read '{folder}': {error.strerror}. Its permissions can be mended while this runs."
                seen.trouble.append(reason)
        return []

    def _list(self, folder: Path, held: _Listing, now: float, seen: Seen, *, sweep: bool) -> list[Path]:
        names: set[str] = set()
        inner: list[Path] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                names.add(name)
                if name in held.others or (name in held.files and not sweep):
                    continue
                is_folder = entry.is_dir(follow_symlinks=False)
                if (is_folder and not name.lower().endswith(ZARR)) or not self._wanted(name):
                    held.others.add(name)
                    if is_folder and not name.startswith(".") and os.path.abspath(entry.path) != self._skip:
                        inner.append(folder / name)
                else:
                    self._compare(folder, name, held, now, seen)
        held.listed, held.silent = now, False
        for name in held.files.keys() - names:
            self._drop(Item(folder, name), held, seen)
        for name in held.others - names:
            held.others.discard(name)
            if folder / name in self._folders:
                self._forget(folder / name, seen)
        self._folders |= {path: _Listing() for path in inner}
        return inner

    def _compare(self, folder: Path, name: str, held: _Listing, now: float, seen: Seen) -> None:
        """Notes whether a picture is as it was."""
        try:
            mark = _mark_of(os.path.join(folder, name))
        except OSError:  # a link that leads nowhere is read, and the reason told; what has gone is found gone
            mark = (-1, -1, -1)
        if held.files.get(name) != mark:
            held.files[name] = mark
            item = Item(folder, name)
            self._moving[item] = now
            seen.stirred.append(item)

    def _rest(self, now: float, seen: Seen) -> None:
        """Looks at the pictures that moved; those that do no longer have settled."""
        for item, since in list(self._moving.items()):
            if since < now:
                self._compare(*item, self._folders[item.folder], now, seen)
            if now - self._moving[item] >= self._settle:
                del self._moving[item]
                seen.settled.append(item)

    def _drop(self, item: Item, held: _Listing, seen: Seen) -> None:
        del held.files[item.name]
        self._moving.pop(item, None)
        seen.gone.append(item)

    def _forget(self, folder: Path, seen: Seen) -> None:
        """Takes out a sub-folder that has gone, with all below it."""
        for path in [each for each in self._folders if each == folder or folder in each.parents]:
            held = self._folders.pop(path)
            for name in list(held.files):
                self._drop(Item(path, name), held, seen)
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
