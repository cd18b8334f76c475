"""The files of one field, and the explanations why they do not form one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.channels import CHANNEL_NAMES, ChannelName
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.layouts import NamedFile, list_sibling_channel_folders

if TYPE_CHECKING:
    from lociscope.images.discovery.naming import Rules

GroupKey = tuple[Path, str]
"""A folder, and the id of a field in it."""

Composites = list[tuple[NamedFile, tuple[ChannelName, ...]]]
"""Composites of a field, each with the channels in its name."""


@dataclass(slots=True)
class FileGroup:
    """The files of one id in one folder, by channel; `unknown` are the files whose channel is not known."""

    channels: dict[ChannelName | None, list[NamedFile]] = field(default_factory=lambda: defaultdict(list))
    unknown: list[NamedFile] = field(default_factory=list)

    def add(self, file: NamedFile) -> None:
        """Add a file, unless it is already in the group."""
        if file.parsed.unknown:
            self.unknown.append(file)
        elif all(file.ref != each.ref for each in self.channels[file.parsed.channel]):
            self.channels[file.parsed.channel].append(file)

    @property
    def files(self) -> list[NamedFile]:
        """All files whose channel is known or in their metadata."""
        return [file for files in self.channels.values() for file in files]

    def find_missing(self, rules: Rules) -> list[ChannelName]:
        """Return the required channels that have no file."""
        if None in self.channels:
            return []
        return [name for name in CHANNEL_NAMES if name not in self.channels and name not in rules.allow_missing]

    def select_slice(self, identifier: str, rules: Rules) -> LociscopeError | None:
        """Remove the files of other slices or time points than `rules.plane`; return an error if that fails."""
        numbers = [sorted({file.parsed.slice[axis] or 0 for file in self.files}) for axis in range(2)]
        several = [axis for axis in range(2) if len(numbers[axis]) > 1]
        if not several:
            return None
        what = " and ".join(f"{len(numbers[axis])} {('planes (z)', 'times (t)')[axis]}" for axis in several)
        if len(several) > 1:
            return LociscopeError(
                f"Field '{identifier}' has files of {what}. Put the files of one time point into a separate folder.",
                code=Code.INVALID_VALUE,
            )
        (axis,) = several
        if rules.plane is None:
            last = len(numbers[axis]) - 1
            return LociscopeError(
                f"Field '{identifier}' has files of {what}. Pass `plane=N`, from 0 to {last}, to select one of them.",
                code=Code.INVALID_VALUE,
            )
        if rules.plane >= len(numbers[axis]):
            return LociscopeError(
                f"Field '{identifier}' has no plane {rules.plane}; it has {what}, from 0. Pass another `plane`.",
                code=Code.INVALID_VALUE,
            )
        selected = numbers[axis][rules.plane]
        for name, files in list(self.channels.items()):
            self.channels[name] = [file for file in files if (file.parsed.slice[axis] or 0) == selected]
            if not self.channels[name]:
                del self.channels[name]
        return None


def explain_group(key: GroupKey, group: FileGroup, rules: Rules) -> LociscopeError | None:
    """Return the error for files that do not form a field; None where they do."""
    folder, identifier = key
    for name, files in group.channels.items():
        if name and len(files) > 1:
            names = " and ".join(f"'{each}'" for each in sorted(_relative_name(folder, file) for file in files)[:2])
            return LociscopeError(
                f"Field '{identifier}' has two {name} files, {names}. Keep one of them.", code=Code.DUPLICATE
            )
    if None in group.channels:
        if len(group.channels) > 1:
            names = " and ".join(f"'{min(file.name for file in files)}'" for files in list(group.channels.values())[:2])
            return LociscopeError(
                f"Field '{identifier}' has files with and without a known channel, {names}. Name all in `channels`.",
                code=Code.UNKNOWN_CHANNEL,
            )
        return None
    missing = group.find_missing(rules)
    return _explain_missing(key, group, missing, rules) if missing else None


def explain_composites(identifier: str, composites: Composites, rules: Rules) -> LociscopeError | None:
    """Return the error for a field that has only composites, if none can be read; None where one can."""
    first = composites[0][0].name
    readable = [(file, colours) for file, colours in composites if "yellow" not in colours]
    if not readable:
        return LociscopeError(
            f"Field '{identifier}' has only '{first}', which shows four channels in three colours; they cannot be "
            "separated. Add the files of its channels.",
            code=Code.MISSING_CHANNEL,
        )
    if len(readable) > 1:
        names = " and ".join(f"'{file.name}'" for file, _ in readable[:2])
        return LociscopeError(
            f"Field '{identifier}' has two composites, {names}. Keep one of them.", code=Code.DUPLICATE
        )
    ((file, colours),) = readable
    missing = [name for name in CHANNEL_NAMES if name not in colours and name not in rules.allow_missing]
    if not missing:
        return None
    if "green" in missing:
        return LociscopeError(
            f"Field '{identifier}' has only '{file.name}', which has no protein. Add the files of its channels.",
            code=Code.MISSING_CHANNEL,
        )
    options = " ".join(f"`allow_missing={name}`" for name in missing)
    return LociscopeError(
        f"Field '{identifier}' has only '{file.name}', a composite without {' and '.join(missing)}. Add the files of "
        f"its channels, or pass {options} to read the composite.",
        code=Code.MISSING_CHANNEL,
    )


def explain_name(identifier: str) -> LociscopeError | None:
    """Return the error for an id that tables cannot contain; None where they can."""
    if "\r" in identifier or identifier.encode(errors="ignore").decode() != identifier:
        return LociscopeError(
            f"The name {identifier!r} has a character that tables cannot contain. Rename its files.",
            code=Code.INVALID_VALUE,
        )
    return None


def _explain_missing(key: GroupKey, group: FileGroup, missing: list[ChannelName], rules: Rules) -> LociscopeError:
    folder, identifier = key
    here = ", ".join(name for name in CHANNEL_NAMES if name in group.channels)
    if group.unknown:
        tokens = sorted({file.parsed.unknown for file in group.unknown})
        found = f"found {here}, and " if here else "found "
        found += ", ".join(f"'{token}'" for token in tokens) + ", which are not known stains"
        example = ",".join(f"{name}=…" for name in CHANNEL_NAMES if name not in rules.allow_missing)
        return LociscopeError(
            f"Field '{identifier}' has no {missing[0]} file ({found}). Pass `channels={example}` with these names.",
            code=Code.UNKNOWN_CHANNEL,
        )
    allow = " or pass `allow_missing=yellow`" if missing == ["yellow"] else ""
    if len(group.channels) == 1 and (beside := list_sibling_channel_folders(folder, rules)):
        return LociscopeError(
            f"Field '{identifier}' has no {missing[0]} file (found {here}). The other channels seem to be in "
            f"{', '.join(beside)} beside '{folder.name}'. Name '{folder.parent}', which contains all of them.",
            code=Code.MISSING_CHANNEL,
        )
    if rules.pattern and rules.find_channel(identifier.rpartition("_")[2]):
        return LociscopeError(
            f"Field '{identifier}' has no {missing[0]} file (found {here}): its id ends in the name of the channel. "
            f"Write '_*' after {{id}} in `pattern='{rules.pattern}'`.",
            code=Code.MISSING_CHANNEL,
        )
    if rules.expressions:
        return LociscopeError(
            f"Field '{identifier}' has no {missing[0]} file (found {here}). Add it{allow and ','}{allow}, or give a "
            "`pattern` whose {id}, plate, well and site are the same for the four files of a field.",
            code=Code.MISSING_CHANNEL,
        )
    suffix = next(iter(group.files)).name.rpartition(".")[2].lower()
    add = f"Add '{identifier}_{missing[0]}.{suffix}'{allow and ','}{allow}"
    return LociscopeError(
        f"Field '{identifier}' has no _{missing[0]} file (found {here}). {add}.", code=Code.MISSING_CHANNEL
    )


def _relative_name(folder: Path, file: NamedFile) -> str:
    path = Path(str(file.ref))
    return str(path.relative_to(folder)) if folder in path.parents else file.name
