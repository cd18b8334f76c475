"""Fields on their way: which files of which field have come, and what it still waits for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from lociscope.channels import match_channel
from lociscope.errors import LociscopeError
from lociscope.images.discovery.layouts import locate
from lociscope.images.discovery.naming import parse_composite_name, split_suffix
from lociscope.images.discovery.sources import Failure, FieldSource, find_fields
from lociscope.images.io.file_sets import NDTIFF
from lociscope.images.io.ndtiff import STACK
from lociscope.predict.fingerprint import compute_fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lociscope.images.discovery.naming import Rules
    from lociscope.watch.folder import Item, Seen

FIRST_PAUSE, LAST_PAUSE = 1.0, 3600.0
"""Seconds between two tries to read what cannot be read; each pause is twice the one before."""


class Ready(NamedTuple):
    """A field that can be read now.

    Attributes:
        source: The field.
        fingerprint: Identifies its files as they are.
        since: When one of them last changed.
    """

    source: FieldSource
    fingerprint: str
    since: float


@dataclass(slots=True)
class _Set:
    """The files that bear one id in one folder.

    Attributes:
        names: Those that are there.
        moving: Those that still change.
        since: When one of them last changed.
        retry: When to look again; None where only a change of the files can help.
        pause: Seconds to the next try after one that fails.
        reason: Why there is no field of them yet.
        told: Whether that has been said.
    """

    names: set[str] = field(default_factory=set)
    moving: set[str] = field(default_factory=set)
    since: float = 0.0
    retry: float | None = None
    pause: float = FIRST_PAUSE
    reason: str | None = None
    told: bool = False


_Key = tuple["Path", str]


class Arrivals:
    """The fields of a watched folder.

    Args:
        root: The folder. A field of a sub-folder bears that before its name, `plate1/a1`, so that it is one field
            however many sub-folders come.
        rules: How files are told apart, and what a field may lack.
        patience: Seconds after the last change of a field's files from which it is said what it lacks.
        known: Fingerprints of the fields that are predicted already, by id; looked at again at each turn.
    """

    def __init__(self, root: Path, rules: Rules, patience: float, known: Mapping[str, str]) -> None:
        self._root = root
        self._rules = rules
        self._patience = patience
        self._known = known
        self._sets: dict[_Key, _Set] = {}
        self._active: dict[_Key, None] = {}  # not predicted as they are; the next two hold some of them
        self._due: dict[_Key, None] = {}  # to be looked at again
        self._untold: dict[_Key, None] = {}  # for a reason that has not been said
        self._owner: dict[str, _Key] = {}

    def wanted(self, name: str) -> bool:
        """Whether a file of that name may belong to a field; its folder may tell more.

        Of an NDTiff data set, that is its index.
        """
        return name.lower() == NDTIFF or (split_suffix(name)[1] != "" and not STACK.fullmatch(name))

    def update(self, seen: Seen, now: float) -> None:
        """Takes in what a look at the folder found."""
        for item in sorted(seen.stirred, key=attrgetter("name")):
            key, name = self._place(item)
            if key is None:
                continue
            held = self._sets.setdefault(key, _Set())
            held.names.add(name)
            held.moving.add(name)
            held.since, held.pause = now, FIRST_PAUSE
            self._active[key] = None
            self._schedule(key, held, now)
        for item in seen.settled:
            key, name = self._place(item)
            if key is not None:
                self._sets[key].moving.discard(name)
        for item in seen.gone:
            key, name = self._place(item)
            if key is None:
                continue
            held = self._sets[key]
            held.names.discard(name)
            held.moving.discard(name)
            if key in self._active:
                self._schedule(key, held, now)
            if not held.names:
                del self._sets[key]
                self._finish(key)

    def postpone(self, now: float) -> None:
        """Begins to wait anew: the folder was away."""
        for key in self._active:
            held = self._sets[key]
            held.since, held.pause = now, FIRST_PAUSE
            self._schedule(key, held, now)

    def ready(self, now: float, most: int) -> list[Ready]:
        """Fields whose files are all there and at rest, and that are not predicted as they are; at most about `most`.

        Each of them is to be answered by `done` or `refused`.
        """
        found: list[Ready] = []
        for key in list(self._due):
            if len(found) >= most:
                break
            held = self._sets[key]
            if not held.moving and held.retry is not None and held.retry <= now:
                found += self._judged(key, held, now)
        return found

    def _judged(self, key: _Key, held: _Set, now: float) -> Iterator[Ready]:
        held.retry = None
        self._due.pop(key, None)
        folder, _ = key
        try:
            sources, failures = find_fields([folder / name for name in sorted(held.names)], self._rules)
        except LociscopeError as error:
            sources, failures = [], [Failure("", "", str(error), error.code)]
        more = f" {len(failures) - 1} more of its images fail." if len(failures) > 1 else ""
        held.reason = failures[0].reason + more if failures else None
        waits = False
        for source in sources:
            if now - held.since < self._patience and _lacks_one(source):
                self._schedule(key, held, held.since + self._patience)
                waits = True
                continue
            name = self._prefix(folder) + source.id
            if not key[1]:  # the folder is the field's
                name = self._prefix(folder).rstrip("/") or source.id
            named = replace(source, id=name, about=tuple(source.origin.items()))
            mark = compute_fingerprint(named)
            if self._known.get(named.id) == mark:
                self._owner[named.id] = key
            elif self._sets.get(owner := self._owner.setdefault(named.id, key)) and owner != key:
                held.reason = f"The id '{named.id}' comes from two places. Rename one."
            else:
                self._owner[named.id] = key
                waits = True
                yield Ready(named, mark, held.since)
        if held.reason and not held.told:
            self._untold[key] = None
        elif not waits and held.reason is None:
            self._finish(key)

    def done(self, ready: Ready) -> bool:
        """Takes note that a field is predicted; gives whether it had been said to lack something."""
        key = self._owner[ready.source.id]
        held = self._sets.get(key)
        if held is None:
            return False
        told, held.told = held.told, False
        if held.retry is None and held.reason is None:
            self._finish(key)
        return told

    def refused(self, ready: Ready, reason: str, now: float, pause: float | None = None) -> None:
        """Take note that a field cannot be read as it is; it is tried again, less and less often.

        Args:
            ready: The field.
            reason: Why it cannot be read.
            now: Seconds of a clock that never goes back.
            pause: Seconds to the next try, where that is known.
        """
        key = self._owner[ready.source.id]
        held = self._sets.get(key)
        if held is not None:
            self._active[key] = None  # another field of the same folder may have been done meanwhile
            held.reason = reason
            overdue = held.since + self._patience
            again = now + (held.pause if pause is None else pause)
            self._schedule(key, held, overdue if now < overdue < again else again)  # once more before it is told
            if pause is None:
                held.pause = min(2 * held.pause, LAST_PAUSE)
            if not held.told:
                self._untold[key] = None

    def overdue(self, now: float) -> list[Failure]:
        """The fields that have just become overdue: nothing of theirs has changed for `patience`."""
        found = []
        for key in list(self._untold):
            held = self._sets[key]
            if held.reason and now - held.since >= self._patience:
                held.told = True
                found.append(self._failure(key, held))
            if held.told or not held.reason:
                del self._untold[key]
        return found

    def failures(self) -> list[Failure]:
        """All the fields that lack something or cannot be read, in the order of their names."""
        return sorted(self._failure(key, held) for key in self._active if (held := self._sets[key]).reason)

    def _schedule(self, key: _Key, held: _Set, when: float) -> None:
        held.retry = when
        self._due[key] = None

    def _finish(self, key: _Key) -> None:
        for keys in (self._active, self._due, self._untold):
            keys.pop(key, None)

    def _failure(self, key: _Key, held: _Set) -> Failure:
        folder, name = key
        shown = (self._prefix(folder) + name).encode(errors="backslashreplace").decode()
        return Failure(shown, str(folder / min(held.names)), held.reason or "")

    def _place(self, item: Item) -> tuple[_Key | None, str]:
        """The folder and the id that a file's field has, with the file's path in that folder; no key for no field.

        What depends on the files beside it is taken as it will be once they are there: `red/a1.png` is one channel of
        `a1`, `a1/red.png` of `a1`, and `a1_blue_red_green.jpg` is a composite.
        """
        if item.name.lower() == NDTIFF:
            return (item.folder, item.name), item.name
        located = locate(item.folder, item.name, item.path, self._rules)
        if located is None:
            return None, item.name
        composite = parse_composite_name(item.name)
        if self._rules.depth and located.parsed:
            key = located.folder, located.parsed.id
        elif located.channel and item.folder != self._root and match_channel(item.folder.name):
            key = item.folder.parent, located.channel.id
        elif composite and len(composite[1]) > 2:
            key = item.folder, composite[0]
        elif located.parsed:
            key = item.folder, located.parsed.id
        else:
            key = item.folder, ""
        return key, item.path.relative_to(key[0]).as_posix()

    def _prefix(self, folder: Path) -> str:
        return "" if folder == self._root else folder.relative_to(self._root).as_posix() + "/"


def _lacks_one(source: FieldSource) -> bool:
    """Whether a field could be predicted as it is, but a channel that it may lack may still come."""
    return None in source.planes and len(source.loose) < len(source.planes)
