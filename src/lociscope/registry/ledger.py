"""The ledger of a registry, `registry.json`: versions, aliases, and the history of changes.

It is replaced as a whole under a lock, so that aliases and history agree even if a process is killed.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lociscope.errors import Code, LociscopeError, suggest
from lociscope.registry.gate import GateRecord
from lociscope.storage.atomic import atomic_write
from lociscope.storage.file_errors import unreadable_error, unwritable_error
from lociscope.storage.locks import LOCK, lock_file
from lociscope.storage.schema import parse_model

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = 2
"""Version of `registry.json`. Version 1 had no gate."""
_LEAST_PREFIX = 4
Action = Literal["add", "promote", "rollback", "retire", "gate", "withdraw"]


class Event(BaseModel):
    """One entry of the history: an action on a version, who did it, when and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Action
    version: str = Field(description="Empty for a change of the gate.")
    alias: str | None = None
    before: str | None = Field(None, description="The version that the alias named before the action.")
    who: str
    why: str
    when: str
    gate: GateRecord | None = Field(None, description="What the gate found before a promotion.")


class State(BaseModel):
    """`registry.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: int = Field(SCHEMA, alias="schema")
    versions: dict[str, str] = Field({}, description="The sha256 of each bundle.")
    aliases: dict[str, list[str]] = Field({}, description="The versions of each alias, the current one last.")
    retired: list[str] = []
    history: list[Event] = []

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        named = {version for versions in self.aliases.values() for version in versions}
        added = {event.version for event in self.history if event.action == "add"}
        if not all(self.aliases.values()) or not named | set(self.retired) | added <= self.versions.keys() <= added:
            raise ValueError("it names versions that were not added")
        return self

    def find_aliases(self, version: str) -> tuple[str, ...]:
        """Return the aliases that name a version now."""
        return tuple(sorted(alias for alias, versions in self.aliases.items() if versions[-1] == version))


class Ledger:
    """Reader and writer of `registry.json`; cheap enough to call for every request.

    Args:
        folder: The registry.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "registry.json"
        self._cached: tuple[object, State] | None = None

    def state(self) -> State:
        """Return the current state; an empty one where the file is absent. An unchanged file is not read again.

        Raises:
            LociscopeError: The folder does not exist, or the file cannot be read, is damaged or of a newer schema.
        """
        try:
            mark = _mark(self._file.stat())
            if self._cached is None or self._cached[0] != mark:
                self._cached = mark, parse_model(self._file.read_bytes(), State, SCHEMA, f"'{self._file}'")
        except (FileNotFoundError, NotADirectoryError) as error:
            if not self._folder.is_dir():
                raise LociscopeError(
                    f"'{self._folder}' is not a registry. Create it with `lociscope models add`, or check the path.",
                    code=Code.NOT_FOUND,
                ) from error
            return State()
        except OSError as error:
            raise unreadable_error(self._file, error) from error
        return self._cached[1]

    @contextmanager
    def edit(self, *, create: bool = False) -> Iterator[State]:
        """Yield the state while this process holds the lock.

        Args:
            create: Whether to create the registry where there is none.

        Raises:
            LociscopeError: The folder cannot be written in or locked, or as `state` does.
        """
        if not create:
            self.state()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = (self._folder / LOCK).open("a+b")
        except OSError as error:
            raise unwritable_error(self._folder, error, "registry") from error
        with lock:
            try:
                lock_file(lock, wait=True)
            except OSError as error:  # a network share without locks
                raise unwritable_error(self._folder, error, "registry") from error
            yield self.state()

    def write(self, state: State, event: Event, **changed: object) -> None:
        """Write a changed state and the event; called within `edit`.

        Raises:
            LociscopeError: It cannot be written.
        """
        new = state.model_copy(update={**changed, "schema_": SCHEMA, "history": [*state.history, event]})
        with atomic_write(self._file) as part:
            part.write_text(new.model_dump_json(by_alias=True, indent=2, exclude_none=True) + "\n", encoding="utf-8")


def make_event(
    action: Action,
    version: str,
    who: str,
    why: str,
    *,
    alias: str | None = None,
    before: str | None = None,
    gate: GateRecord | None = None,
) -> Event:
    """Make an entry of the history, with the current time as ISO 8601 in UTC."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return Event(action=action, version=version, alias=alias, before=before, who=who, why=why, when=when, gate=gate)


def resolve_version(state: State, given: str, folder: Path) -> str:
    """Return the version that a name, a prefix of a name or of a sha256, or an alias means.

    Args:
        state: The registry.
        given: What names it.
        folder: The registry, for error messages.

    Raises:
        LociscopeError: No version, or several match.
    """
    if given in state.versions:
        return given
    if given in state.aliases:
        return state.aliases[given][-1]
    if not state.versions:
        raise LociscopeError(
            f"Registry '{folder}' holds no bundle. Add one with `lociscope models add`.",
            code=Code.NOTHING_FOUND,
        )
    by_hash = given if len(given) >= _LEAST_PREFIX else None
    found = [
        version
        for version, sha256 in state.versions.items()
        if (given and version.startswith(given)) or (by_hash and sha256.startswith(by_hash))
    ]
    if len(found) > 1:
        raise LociscopeError(
            f"{given!r} may be {' or '.join(found[:3])}. Give more of its name.", code=Code.INVALID_VALUE
        )
    if not found:
        remedy = suggest(given, {*(version.rpartition("-")[0] for version in state.versions), *state.aliases})
        raise LociscopeError(f"Registry '{folder}' has no version {given[:80]!r}.{remedy}", code=Code.UNKNOWN_NAME)
    return found[0]


def _mark(stat: os.stat_result) -> tuple[int, ...]:
    """Return values that change whenever the file is replaced."""
    return stat.st_mtime_ns, stat.st_ino, stat.st_size
