"""The registry: a folder of bundles by version, and aliases that say which of them is in use.

registry/
bundles/<name>-<version>-<first 8 of sha256>/   the bundles, as they were exported
registry.json                                   aliases, what is retired, and the history (`lociscope.registry.ledger`)
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lociscope.artifacts.bundle import MANIFEST, read_bundle
from lociscope.errors import Code, Exit, LociscopeError, suggest
from lociscope.registry.ledger import Event, Ledger, State, now
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PRODUCTION = "production"
"""The alias that `lociscope serve --registry` serves."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SHORT = 8
_LEAST_PREFIX = 4


class PromotionRefusedError(LociscopeError):
    """The bundle does not pass its check on this machine, so no alias names it."""

    exit_code = Exit.CHECK_FAILED
    code = Code.REFUSED


@dataclass(frozen=True, slots=True)
class Entry:
    """A version of the registry.

    Attributes:
        version: Its name there.
        folder: The bundle.
        sha256: The bundle's identity, as the log names it.
        aliases: The aliases that name it now.
        retired: Whether it may no longer be promoted.
        added: When it was added, by whom and why.
    """

    version: str
    folder: Path
    sha256: str
    aliases: tuple[str, ...]
    retired: bool
    added: Event


class Registry:
    """A folder of bundles; the folder is made by the first `add`.

    Args:
        folder: The registry.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ledger = Ledger(folder)

    # === Asking ===

    def entries(self) -> list[Entry]:
        """The versions, the latest added first.

        Raises:
            LociscopeError: `registry.json` is damaged or of a newer schema.
        """
        state = self.state()
        added = {event.version: event for event in state.history if event.action == "add"}
        return [
            Entry(
                version, self._bundle(version), sha256, state.named(version), version in state.retired, added[version]
            )
            for version, sha256 in reversed(state.versions.items())
        ]

    def entry(self, version: str) -> Entry:
        """One version, by its name, the beginning of its name or of its sha256, or an alias.

        Raises:
            LociscopeError: None is called so, or several are.
        """
        entries = {entry.version: entry for entry in self.entries()}
        return entries[self._resolve(self.state(), version)]

    def path(self, alias: str = PRODUCTION) -> Path:
        """The folder of the bundle that an alias names now; costs one look at a file unless that has changed.

        Raises:
            LociscopeError: There is no such alias, or the folder of its bundle is gone.
        """
        folder = self.find_promoted(alias)
        if not (folder / MANIFEST).is_file():
            raise LociscopeError(
                f"Alias '{alias}' names '{folder.name}', whose folder is gone. Restore '{folder}', or promote another.",
                code=Code.NOT_FOUND,
            )
        return folder

    def find_promoted(self, alias: str = PRODUCTION) -> Path:
        """Return the folder that an alias names, whether or not its bundle has arrived there.

        Raises:
            LociscopeError: There is no such alias.
        """
        return self._bundle(self._current(self.state(), alias))

    def state(self) -> State:
        """Versions, aliases and history; those of an empty registry where nothing was added.

        Raises:
            LociscopeError: There is no such folder, or `registry.json` cannot be read, is damaged or of a newer schema.
        """
        return self._ledger.state()

    # === Changing ===

    def add(self, bundle: Path, *, who: str, why: str) -> Entry:
        """Copies a bundle in; one that is there already is left as it is, and is no longer retired.

        Args:
            bundle: The bundle, which is checked as `lociscope.artifacts.bundle.read_bundle` does.
            who: Who adds it.
            why: Why.

        Raises:
            LociscopeError: It is no sound bundle, or cannot be copied.
        """
        opened = read_bundle(bundle)
        version = version_name(opened.card.name, opened.card.version, opened.sha256)
        with self._ledger.edit(begin=True) as state:
            folder = self._bundle(version)
            if version not in state.versions or version in state.retired or not folder.is_dir():
                with atomic_write(folder) as part:
                    shutil.copytree(bundle, part)
                    if read_bundle(part).sha256 != opened.sha256:
                        raise LociscopeError(
                            f"'{bundle}' changed while it was copied. Add it again.", code=Code.CONFLICT
                        )
                event = Event(action="add", version=version, who=who, why=why, when=now())
                retired = [name for name in state.retired if name != version]
                self._ledger.write(state, event, versions=state.versions | {version: opened.sha256}, retired=retired)
        return self.entry(version)

    def promote(
        self,
        version: str,
        *,
        alias: str = PRODUCTION,
        who: str,
        why: str,
        check: Callable[[Path], object] | None = None,
    ) -> Entry:
        """Lets an alias name a version, if that passes.

        Args:
            version: As `entry` takes it.
            alias: Lower-case letters, digits, `.`, `_` and `-`; a new one is made.
            who: Who promotes.
            why: Why.
            check: Called with the bundle's folder before anything changes; a LociscopeError refuses. By default only
                the files' hashes are checked: proving that the model runs here is for those who can run it.

        Raises:
            PromotionRefusedError: It does not pass.
            LociscopeError: There is no such version, it is retired, or the alias is no name.
        """
        if not _NAME.fullmatch(alias):
            raise LociscopeError(
                f"Alias {alias[:80]!r} is no name. Use lower-case letters, digits, '.', '_' and '-'.",
                code=Code.WRONG_FILE,
            )
        with self._ledger.edit() as state:
            chosen = self._resolve(state, version)
            if chosen in state.retired:
                raise LociscopeError(f"'{chosen}' is retired. Add it again before it is promoted.", code=Code.CONFLICT)
            self._pass(chosen, alias, check)
            stack = state.aliases.get(alias, [])
            if stack[-1:] != [chosen]:
                before = stack[-1] if stack else None
                event = Event(
                    action="promote", version=chosen, alias=alias, before=before, who=who, why=why, when=now()
                )
                self._ledger.write(state, event, aliases=state.aliases | {alias: [*stack, chosen]})
        return self.entry(chosen)

    def rollback(
        self, *, alias: str = PRODUCTION, who: str, why: str, check: Callable[[Path], object] | None = None
    ) -> Entry:
        """Lets an alias name again what it named before; a second time, what it named before that.

        Args:
            alias: The alias.
            who: Who goes back.
            why: Why.
            check: As for `promote`.

        Raises:
            PromotionRefusedError: What it named before does not pass.
            LociscopeError: There is no such alias, or it has named nothing before that is not retired.
        """
        with self._ledger.edit() as state:
            present = self._current(state, alias)
            stack = [version for version in state.aliases[alias][:-1] if version not in state.retired]
            while stack[-1:] == [present]:  # what lay between is retired
                stack.pop()
            if not stack:
                raise LociscopeError(
                    f"Alias '{alias}' has named nothing before '{present}'. Promote a version by its name.",
                    code=Code.INVALID_VALUE,
                )
            self._pass(stack[-1], alias, check)
            event = Event(
                action="rollback", version=stack[-1], alias=alias, before=present, who=who, why=why, when=now()
            )
            self._ledger.write(state, event, aliases=state.aliases | {alias: stack})
        return self.entry(stack[-1])

    def retire(self, version: str, *, who: str, why: str) -> Entry:
        """Keeps a version from being promoted or rolled back to; its folder stays.

        Raises:
            LociscopeError: There is no such version, or an alias names it.
        """
        with self._ledger.edit() as state:
            chosen = self._resolve(state, version)
            named = state.named(chosen)
            if named:
                raise LociscopeError(
                    f"'{chosen}' is in use as '{named[0]}'. Promote another to '{named[0]}' first.", code=Code.CONFLICT
                )
            if chosen not in state.retired:
                event = Event(action="retire", version=chosen, who=who, why=why, when=now())
                self._ledger.write(state, event, retired=[*state.retired, chosen])
        return self.entry(chosen)

    # === Inside ===

    def _bundle(self, version: str) -> Path:
        return self.folder / "bundles" / version

    def _current(self, state: State, alias: str) -> str:
        if alias not in state.aliases:
            known = suggest(alias, state.aliases) if state.aliases else f" Promote a version to '{alias}'."
            raise LociscopeError(
                f"Registry '{self.folder}' has no alias {alias[:80]!r}.{known}", code=Code.INVALID_VALUE
            )
        return state.aliases[alias][-1]

    def _resolve(self, state: State, given: str) -> str:
        if given in state.versions:
            return given
        if given in state.aliases:
            return state.aliases[given][-1]
        if not state.versions:
            raise LociscopeError(
                f"Registry '{self.folder}' holds no bundle. Add one with `lociscope models add`.",
                code=Code.INVALID_VALUE,
            )
        by_hash = given if len(given) >= _LEAST_PREFIX else None
        found = [
            version
            for version, sha256 in state.versions.items()
            if (given and version.startswith(given)) or (by_hash and sha256.startswith(by_hash))
        ]
        if len(found) > 1:
            raise LociscopeError(
                f"{given!r} may be {' or '.join(found[:3])}. Write more of its name.", code=Code.INVALID_VALUE
            )
        if not found:
            remedy = suggest(given, {*(version.rpartition("-")[0] for version in state.versions), *state.aliases})
            raise LociscopeError(
                f"Registry '{self.folder}' has no version {given[:80]!r}.{remedy}", code=Code.INVALID_VALUE
            )
        return found[0]

    def _pass(self, version: str, alias: str, check: Callable[[Path], object] | None) -> None:
        try:
            (read_bundle if check is None else check)(self._bundle(version))
        except LociscopeError as error:
            raise PromotionRefusedError(f"'{version}' is not promoted to '{alias}'. {error}") from error


def version_name(name: str, version: str, sha256: str) -> str:
    """Return the name of a version, which is also that of its folder: `<name>-<version>-<first 8 of sha256>`."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{name}-{version}").strip("._-")[:80]
    return f"{plain}-{sha256[:_SHORT]}"
