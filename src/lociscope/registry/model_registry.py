"""The registry: a folder of bundles by version, with aliases for those in use.

registry/
bundles/<name>-<version>-<first 8 of sha256>/   the bundles, as exported
registry.json                                   aliases, retired versions and history (`lociscope.registry.ledger`)
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lociscope.artifacts.bundle import MANIFEST, read_bundle
from lociscope.errors import Code, LociscopeError, suggest
from lociscope.registry.gate import GateRecord, PromotionRefusedError
from lociscope.registry.ledger import Event, Ledger, State, make_event, resolve_version
from lociscope.storage.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PRODUCTION = "production"
"""The alias that `lociscope serve --registry` serves."""

CANDIDATE = "candidate"
"""The alias that `lociscope serve --candidate` compares with production."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SHORT = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """A version of the registry.

    Attributes:
        version: Its name.
        folder: The bundle.
        sha256: The bundle's identity, as in the prediction log.
        aliases: The aliases that name it now.
        retired: Whether it may not be promoted.
        added: When it was added, who added it, and why.
    """

    version: str
    folder: Path
    sha256: str
    aliases: tuple[str, ...]
    retired: bool
    added: Event


class Registry:
    """A folder of bundles, created by the first `add`.

    Args:
        folder: The registry.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ledger = Ledger(folder)

    def entries(self) -> list[Entry]:
        """Return the versions, the last added first.

        Raises:
            LociscopeError: `registry.json` is damaged or of a newer schema.
        """
        state = self.state()
        added = {event.version: event for event in state.history if event.action == "add"}
        return [
            Entry(
                version,
                self._bundle(version),
                sha256,
                state.find_aliases(version),
                version in state.retired,
                added[version],
            )
            for version, sha256 in reversed(state.versions.items())
        ]

    def entry(self, version: str) -> Entry:
        """Return a version by its name, a prefix of its name or of its sha256, or an alias.

        Raises:
            LociscopeError: No version, or several match.
        """
        entries = {entry.version: entry for entry in self.entries()}
        return entries[resolve_version(self.state(), version, self.folder)]

    def path(self, alias: str = PRODUCTION) -> Path:
        """Return the folder of the bundle that an alias names now.

        Raises:
            LociscopeError: The alias does not exist, or the folder is missing.
        """
        folder = self.find_promoted(alias)
        if not (folder / MANIFEST).is_file():
            raise LociscopeError(
                f"Alias '{alias}' names '{folder.name}', whose folder is missing. Restore '{folder}', or promote "
                "another version.",
                code=Code.NOT_FOUND,
            )
        return folder

    def find_promoted(self, alias: str = PRODUCTION) -> Path:
        """Return the folder that an alias names, whether or not it exists.

        Raises:
            LociscopeError: The alias does not exist.
        """
        return self._bundle(self._current(self.state(), alias))

    def state(self) -> State:
        """Return versions, aliases and history; an empty state before the first `add`.

        Raises:
            LociscopeError: The folder does not exist; or `registry.json` cannot be read, is damaged, or is newer.
        """
        return self._ledger.state()

    def add(self, bundle: Path, *, who: str, why: str) -> Entry:
        """Copy a bundle into the registry; a version that exists is kept, and is not retired any more.

        Args:
            bundle: The bundle, which `lociscope.artifacts.bundle.read_bundle` checks.
            who: Who adds it.
            why: Why.

        Raises:
            LociscopeError: It is not a valid bundle, or cannot be copied.
        """
        original = read_bundle(bundle)
        version = make_version_name(original.card.name, original.card.version, original.sha256)
        with self._ledger.edit(create=True) as state:
            folder = self._bundle(version)
            if version not in state.versions or version in state.retired or not folder.is_dir():
                with atomic_write(folder) as part:
                    shutil.copytree(bundle, part)
                    if read_bundle(part).sha256 != original.sha256:
                        raise LociscopeError(
                            f"'{bundle}' changed while it was copied. Add it again.", code=Code.CONFLICT
                        )
                event = make_event("add", version, who, why)
                retired = [name for name in state.retired if name != version]
                self._ledger.write(state, event, versions=state.versions | {version: original.sha256}, retired=retired)
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
        """Point an alias to a version that passes a check.

        Args:
            version: As `entry` takes it.
            alias: Lower-case letters, digits, `.`, `_` and `-`; created if needed.
            who: Who promotes.
            why: Why.
            check: Called with the bundle's folder, under the lock; a LociscopeError refuses the version, and a
                GateRecord is kept. By default only the hashes of the files are checked.

        Raises:
            PromotionRefusedError: It does not pass.
            LociscopeError: The version does not exist or is retired, or the alias is not allowed.
        """
        if not _NAME.fullmatch(alias):
            raise LociscopeError(
                f"Alias {alias[:80]!r} is not allowed. Use lower-case letters, digits, '.', '_' and '-'.",
                code=Code.INVALID_VALUE,
            )
        with self._ledger.edit() as state:
            resolved = resolve_version(state, version, self.folder)
            if resolved in state.retired:
                raise LociscopeError(
                    f"'{resolved}' is retired. Add it again before you promote it.", code=Code.CONFLICT
                )
            found = self._check(resolved, alias, check)
            stack = state.aliases.get(alias, [])
            if stack[-1:] != [resolved]:
                before = stack[-1] if stack else None
                gate = found if isinstance(found, GateRecord) else None
                event = make_event("promote", resolved, who, why, alias=alias, before=before, gate=gate)
                self._ledger.write(state, event, aliases=state.aliases | {alias: [*stack, resolved]})
        return self.entry(resolved)

    def rollback(
        self, *, alias: str = PRODUCTION, who: str, why: str, check: Callable[[Path], object] | None = None
    ) -> Entry:
        """Point an alias to its previous version; a second call goes back one version further.

        Args:
            alias: The alias.
            who: Who rolls back.
            why: Why.
            check: As for `promote`.

        Raises:
            PromotionRefusedError: The previous version does not pass.
            LociscopeError: The alias does not exist, or has no previous version that is not retired.
        """
        with self._ledger.edit() as state:
            current = self._current(state, alias)
            stack = [version for version in state.aliases[alias][:-1] if version not in state.retired]
            while stack[-1:] == [current]:  # the versions in between are retired
                stack.pop()
            if not stack:
                raise LociscopeError(
                    f"Alias '{alias}' has no version before '{current}'. Promote a version by its name.",
                    code=Code.CONFLICT,
                )
            self._check(stack[-1], alias, check)
            event = make_event("rollback", stack[-1], who, why, alias=alias, before=current)
            self._ledger.write(state, event, aliases=state.aliases | {alias: stack})
        return self.entry(stack[-1])

    def withdraw(self, alias: str, *, who: str, why: str) -> None:
        """Remove an alias; its versions stay.

        Raises:
            LociscopeError: The alias does not exist, or is `production`.
        """
        if alias == PRODUCTION:
            raise LociscopeError(
                f"Alias '{PRODUCTION}' is what services serve. Promote another version, or roll back.",
                code=Code.CONFLICT,
            )
        with self._ledger.edit() as state:
            current = self._current(state, alias)
            event = make_event("withdraw", current, who, why, alias=alias)
            aliases = {name: versions for name, versions in state.aliases.items() if name != alias}
            self._ledger.write(state, event, aliases=aliases)

    def retire(self, version: str, *, who: str, why: str) -> Entry:
        """Exclude a version from promotion and rollback; its folder is kept.

        Raises:
            LociscopeError: The version does not exist, or an alias names it.
        """
        with self._ledger.edit() as state:
            resolved = resolve_version(state, version, self.folder)
            if aliases := state.find_aliases(resolved):
                raise LociscopeError(
                    f"'{resolved}' is in use as '{aliases[0]}'. Promote another version to '{aliases[0]}' first.",
                    code=Code.CONFLICT,
                )
            if resolved not in state.retired:
                event = make_event("retire", resolved, who, why)
                self._ledger.write(state, event, retired=[*state.retired, resolved])
        return self.entry(resolved)

    def record_gate(self, *, who: str, why: str) -> None:
        """Record that the rules of the gate were changed."""
        with self._ledger.edit() as state:
            self._ledger.write(state, make_event("gate", "", who, why))

    def _bundle(self, version: str) -> Path:
        return self.folder / "bundles" / version

    def _current(self, state: State, alias: str) -> str:
        if alias not in state.aliases:
            known = suggest(alias, state.aliases) if state.aliases else f" Promote a version to '{alias}'."
            raise LociscopeError(
                f"Registry '{self.folder}' has no alias {alias[:80]!r}.{known}", code=Code.UNKNOWN_NAME
            )
        return state.aliases[alias][-1]

    def _check(self, version: str, alias: str, check: Callable[[Path], object] | None) -> object:
        try:
            return (read_bundle if check is None else check)(self._bundle(version))
        except LociscopeError as error:
            raise PromotionRefusedError(f"'{version}' is not promoted to '{alias}'. {error}") from error


def make_version_name(name: str, version: str, sha256: str) -> str:
    """Return the name of a version and of its folder: `<name>-<version>-<first 8 of sha256>`."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{name}-{version}").strip("._-")[:80]
    return f"{plain}-{sha256[:_SHORT]}"
