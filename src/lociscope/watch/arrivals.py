"""Fields whose files are arriving: which files of each field are there, and which are still missing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from lociscope.channels import match_channel
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.layouts import locate
from lociscope.images.discovery.naming import parse_composite_name, split_suffix
from lociscope.images.discovery.sources import Failure, FieldSource, find_fields
from lociscope.images.io.container import PlaneRef
from lociscope.images.io.file_sets import NDTIFF
from lociscope.images.io.ndtiff import STACK
from lociscope.predict.fingerprint import compute_fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lociscope.images.discovery.naming import Rules
    from lociscope.watch.folder import FolderChanges, PictureFile

FIRST_PAUSE, LAST_PAUSE = 1.0, 3600.0
"""Seconds between two tries to read an unreadable field; each pause is twice the previous one."""


class ReadyField(NamedTuple):
    """A field that can be read now.

    Attributes:
        source: The field.
        fingerprint: Identifies the present contents of its files.
        since: When one of them last changed.
    """

    source: FieldSource
    fingerprint: str
    since: float


@dataclass(slots=True)
class _FileSet:
    """The files of one id in one folder.

    Attributes:
        names: The files that are there.
        moving: The files that still change.
        since: When one of them last changed.
        retry: When to check again; None if only a change of the files can help.
        pause: Seconds to the next try after a failed one.
        reason: Why they do not make a field yet.
        code: A value of `lociscope.errors.Code` for the reason.
        reported: Whether the reason has been reported.
    """

    names: set[str] = field(default_factory=set)
    moving: set[str] = field(default_factory=set)
    since: float = 0.0
    retry: float | None = None
    pause: float = FIRST_PAUSE
    reason: str | None = None
    code: str = ""
    reported: bool = False


_Key = tuple["Path", str]


class FieldTracker:
    """Tracks the fields of a watched folder.

    Args:
        root: The folder. The id of a field in a sub-folder begins with that: `plate1/a1`, so that it does not depend on
            the sub-folders that arrive later.
        rules: How file names are parsed, and which channels are optional.
        patience: Seconds after the last change of a field's files until it is reported as incomplete.
        predicted: Fingerprints of the predicted fields by id; the caller keeps the mapping up to date.
    """

    def __init__(self, root: Path, rules: Rules, patience: float, predicted: Mapping[str, str]) -> None:
        self._root = root
        self._rules = rules
        self._patience = patience
        self._predicted = predicted
        self._sets: dict[_Key, _FileSet] = {}
        self._active: dict[_Key, None] = {}  # not predicted yet; the next two are subsets
        self._due: dict[_Key, None] = {}  # to be checked again
        self._unreported: dict[_Key, None] = {}  # whose reason has not been reported
        self._owner: dict[str, _Key] = {}

    def may_be_field(self, name: str) -> bool:
        """Return whether a file of that name may belong to a field; of an NDTiff data set, only its index does."""
        return name.lower() == NDTIFF or (split_suffix(name)[1] != "" and not STACK.fullmatch(name))

    def update(self, changes: FolderChanges, now: float) -> None:
        """Take in the changes of the folder."""
        for item in sorted(changes.changed, key=attrgetter("name")):
            key, name = self._locate(item)
            if key is None:
                continue
            file_set = self._sets.setdefault(key, _FileSet())
            file_set.names.add(name)
            file_set.moving.add(name)
            file_set.since, file_set.pause = now, FIRST_PAUSE
            self._active[key] = None
            self._schedule(key, file_set, now)
        for item in changes.settled:
            key, name = self._locate(item)
            if key is not None:
                self._sets[key].moving.discard(name)
        for item in changes.removed:
            key, name = self._locate(item)
            if key is None:
                continue
            file_set = self._sets[key]
            file_set.names.discard(name)
            file_set.moving.discard(name)
            if key in self._active:
                self._schedule(key, file_set, now)
            if not file_set.names:
                del self._sets[key]
                self._finish(key)

    def postpone(self, now: float) -> None:
        """Start all waiting times again, because the folder was unavailable."""
        for key in self._active:
            file_set = self._sets[key]
            file_set.since, file_set.pause = now, FIRST_PAUSE
            self._schedule(key, file_set, now)

    def take_ready(self, now: float, max_fields: int) -> list[ReadyField]:
        """Return fields whose files are complete, no longer change, and are not predicted yet; about `max_fields`.

        Each of them must be passed to `mark_predicted` or `mark_unreadable`.
        """
        found: list[ReadyField] = []
        for key in list(self._due):
            if len(found) >= max_fields:
                break
            file_set = self._sets[key]
            if not file_set.moving and file_set.retry is not None and file_set.retry <= now:
                found += self._find_ready(key, file_set, now)
        return found

    def _find_ready(self, key: _Key, file_set: _FileSet, now: float) -> Iterator[ReadyField]:
        file_set.retry = None
        self._due.pop(key, None)
        folder, _ = key
        try:
            sources, failures = find_fields([folder / name for name in sorted(file_set.names)], self._rules)
        except LociscopeError as error:
            sources, failures = [], [Failure("", "", str(error), error.code)]
        more = f" {len(failures) - 1} more of its images fail." if len(failures) > 1 else ""
        file_set.reason = failures[0].reason + more if failures else None
        file_set.code = failures[0].code if failures else ""
        waits = False
        for source in sources:
            if now - file_set.since < self._patience and _lacks_channel(source):
                self._schedule(key, file_set, file_set.since + self._patience)
                waits = True
                continue
            name = self._prefix(folder) + source.id
            if not key[1]:  # the folder is the field's
                name = self._prefix(folder).rstrip("/") or source.id
            named = replace(source, id=name, about=tuple(source.origin.items()))
            fingerprint = compute_fingerprint(named)
            if self._predicted.get(named.id) == fingerprint:
                self._owner[named.id] = key
            elif self._sets.get(owner := self._owner.setdefault(named.id, key)) and owner != key:
                file_set.reason = f"The id '{named.id}' comes from two folders. Rename one."
                file_set.code = Code.DUPLICATE
            else:
                self._owner[named.id] = key
                waits = True
                yield ReadyField(named, fingerprint, file_set.since)
        if file_set.reason and not file_set.reported:
            self._unreported[key] = None
        elif not waits and file_set.reason is None:
            self._finish(key)

    def mark_predicted(self, ready: ReadyField) -> bool:
        """Record that a field is predicted; return whether it had been reported as incomplete."""
        key = self._owner[ready.source.id]
        file_set = self._sets.get(key)
        if file_set is None:
            return False
        reported, file_set.reported = file_set.reported, False
        if file_set.retry is None and file_set.reason is None:
            self._finish(key)
        return reported

    def mark_unreadable(
        self, ready: ReadyField, reason: str, now: float, pause: float | None = None, *, code: str = Code.INCOMPLETE
    ) -> None:
        """Record that a field cannot be read now; it is tried again at growing intervals.

        Args:
            ready: The field.
            reason: Why it cannot be read.
            now: Seconds of a monotonic clock.
            pause: Seconds to the next try; None doubles the previous pause.
            code: What kind of reason it is.
        """
        key = self._owner[ready.source.id]
        file_set = self._sets.get(key)
        if file_set is not None:
            self._active[key] = None  # another field of the same folder may have been done meanwhile
            file_set.reason, file_set.code = reason, code
            overdue = file_set.since + self._patience
            again = now + (file_set.pause if pause is None else pause)
            retry = overdue if now < overdue < again else again  # once more before it is reported
            self._schedule(key, file_set, retry)
            if pause is None:
                file_set.pause = min(2 * file_set.pause, LAST_PAUSE)
            if not file_set.reported:
                self._unreported[key] = None

    def take_overdue(self, now: float) -> list[Failure]:
        """Return the fields that have just become overdue: none of their files has changed for `patience`."""
        found = []
        for key in list(self._unreported):
            file_set = self._sets[key]
            if file_set.reason and now - file_set.since >= self._patience:
                file_set.reported = True
                found.append(self._failure(key, file_set))
            if file_set.reported or not file_set.reason:
                del self._unreported[key]
        return found

    def failures(self) -> list[Failure]:
        """Return all incomplete or unreadable fields in the order of their names."""
        return sorted(self._failure(key, file_set) for key in self._active if (file_set := self._sets[key]).reason)

    def _schedule(self, key: _Key, file_set: _FileSet, when: float) -> None:
        file_set.retry = when
        self._due[key] = None

    def _finish(self, key: _Key) -> None:
        for keys in (self._active, self._due, self._unreported):
            keys.pop(key, None)

    def _failure(self, key: _Key, file_set: _FileSet) -> Failure:
        folder, name = key
        shown = (self._prefix(folder) + name).encode(errors="backslashreplace").decode()
        return Failure(shown, str(folder / min(file_set.names)), file_set.reason or "", file_set.code)

    def _locate(self, item: PictureFile) -> tuple[_Key | None, str]:
        """Return the key of a file's field, its folder and id, and the path of the file in that folder.

        The key is None for a file without a field. Where the field depends on files that may arrive later, they are
        assumed to be there: `red/a1.png` and `a1/red.png` are channels of `a1`, `a1_blue_red_green.jpg` is a composite.
        """
        if item.name.lower() == NDTIFF:
            return (item.folder, item.name), item.name
        located = locate(item.folder, item.name, PlaneRef(item.path), self._rules)
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


def _lacks_channel(source: FieldSource) -> bool:
    """Return whether an optional channel of a field is missing that may still arrive."""
    return None in source.planes and len(source.loose) < len(source.planes)
