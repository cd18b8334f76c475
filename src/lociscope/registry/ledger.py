"""The ledger of a registry, `registry.json`: versions, aliases, and who did what, when and why.

It is replaced as a whole under a lock, so that what it says of aliases and of their history agrees whenever a process
is killed.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lociscope.errors import Code, LociscopeError
from lociscope.storage.atomic import atomic_write
from lociscope.storage.locks import lock_file
from lociscope.storage.schema import parse_model

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = 1


class Event(BaseModel):
    """One line of the history: what was done to which version, by whom, when and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["add", "promote", "rollback", "retire"]
    version: str
    alias: str | None = None
    before: str | None = Field(None, description="The version that the alias named before.")
    who: str
    why: str
    when: str


class State(BaseModel):
    """`registry.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: int = Field(SCHEMA, alias="schema")
    versions: dict[str, str] = Field({}, description="The sha256 of each bundle.")
    aliases: dict[str, list[str]] = Field({}, description="The versions of each alias, the present one last.")
    retired: list[str] = []
    history: list[Event] = []

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        named = {version for versions in self.aliases.values() for version in versions}
        added = {event.version for event in self.history if event.action == "add"}
        if not all(self.aliases.values()) or not named | set(self.retired) | added <= self.versions.keys() <= added:
            raise ValueError("it names versions that were never added")
        return self

    def named(self, version: str) -> tuple[str, ...]:
        """The aliases that name a version now."""
        return tuple(sorted(alias for alias, versions in self.aliases.items() if versions[-1] == version))


class Ledger:
    """The file; cheap enough to be asked at every request.

    Args:
        folder: The registry that it lies in.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "registry.json"
        self._known: tuple[object, State] | None = None

    def state(self) -> State:
        """What it says; that of an empty registry where there is none. Costs one look at a file that has not changed.

        Raises:
            LociscopeError: There is no such folder, or the file cannot be read, is damaged or of a newer schema.
        """
        try:
            mark = _mark(self._file.stat())
            if self._known is None or self._known[0] != mark:
                self._known = mark, parse_model(self._file.read_bytes(), State, SCHEMA, f"'{self._file}'")
        except (FileNotFoundError, NotADirectoryError) as error:
            if not self._folder.is_dir():
                raise LociscopeError(
                    f"There is no registry '{self._folder}'. Begin one with `lociscope models add`, or check the path.",
                    code=Code.WRONG_FILE,
                ) from error
            return State()
        except OSError as error:
            raise LociscopeError(
                f"Cannot read '{self._file}': {error.strerror}. Check its permissions.", code=Code.UNREADABLE
            ) from error
        return self._known[1]

    @contextmanager
    def edit(self, *, begin: bool = False) -> Iterator[State]:
        """The state, while nobody else changes it.

        Args:
            begin: Whether to make the registry where there is none.

        Raises:
            LociscopeError: The folder cannot be written in or locked, or as `state` does.
        """
        if not begin:
            self.state()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            held = (self._folder / ".lock").open("a+b")
        except OSError as error:
            raise self._unwritable(error) from error
        with held:
            try:
                lock_file(held, wait=True)
            except OSError as error:  # a share that knows no locks
                raise self._unwritable(error) from error
            yield self.state()

    def write(self, state: State, event: Event, **changed: object) -> None:
        """Puts a changed state in its place, with what was done; called within `edit`.

        Raises:
            LociscopeError: It cannot be written.
        """
        made = state.model_copy(update={**changed, "history": [*state.history, event]})
        with atomic_write(self._file) as part:
            part.write_text(made.model_dump_json(by_alias=True, indent=2, exclude_none=True) + "\n", encoding="utf-8")

    def _unwritable(self, error: OSError) -> LociscopeError:
        return LociscopeError(
            f"Cannot write in registry '{self._folder}': {error.strerror}. Check the path and its permissions.",
            code=Code.NOT_FOUND,
        )


def now() -> str:
    """The time as the history has it, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _mark(stat: os.stat_result) -> tuple[int, ...]:
    """Changes whenever the file is replaced."""
    return stat.st_mtime_ns, stat.st_ino, stat.st_size
