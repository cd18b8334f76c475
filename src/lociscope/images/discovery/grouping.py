"""From files to fields: which files belong together, and why some do not make a field."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.channels import CHANNEL_NAMES, ChannelName
from lociscope.images.discovery.field_source import Failure, FieldSource
from lociscope.images.discovery.layouts import NamedFile, list_sibling_channel_folders
from lociscope.images.discovery.naming import Rules, parse_composite_name
from lociscope.images.io.container import parse_plane_ref
from lociscope.images.io.formats import JPEG, PNG, get_suffix

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_Key = tuple[Path, str]


@dataclass(slots=True)
class _Group:
    """The files of one id in one folder, by channel; `other` are of channels that nobody named."""

    channels: dict[ChannelName | None, list[NamedFile]] = field(default_factory=lambda: defaultdict(list))
    other: list[NamedFile] = field(default_factory=list)

    def add(self, file: NamedFile) -> None:
        if file.parsed.unknown:
            self.other.append(file)
        elif all(file.path != each.path for each in self.channels[file.parsed.channel]):
            self.channels[file.parsed.channel].append(file)

    @property
    def files(self) -> list[NamedFile]:
        return [file for files in self.channels.values() for file in files]

    def lacks(self, rules: Rules) -> list[ChannelName]:
        """The channels that are not there and must be."""
        if None in self.channels:
            return []
        return [name for name in CHANNEL_NAMES if name not in self.channels and name not in rules.allow_missing]


def group_files(files: Iterable[NamedFile], rules: Rules) -> tuple[list[FieldSource], list[Failure]]:
    """Groups files into fields.

    A composite, a colour picture of several channels, is left out beside its field's other files.

    Args:
        files: The files, each with what its name says.
        rules: How they are told apart, and what a field may lack.

    Returns:
        The fields, and those that lack a file or have two for one channel.
    """
    groups: defaultdict[_Key, _Group] = defaultdict(_Group)
    wholes: dict[Path, NamedFile] = {}
    for file in files:
        if file.parsed.whole:
            wholes[file.path] = file
        else:
            groups[file.folder, file.parsed.id].add(file)
    composites = _take_composites(groups, rules)
    for path, file in list(wholes.items()):
        if found := parse_composite_name(file.name):  # a smaller one, `a_blue_red_green_medium.jpg`
            composites[file.folder, found[0]].append((wholes.pop(path), found[1]))
    made = [_make_field(key, group, rules) for key, group in groups.items()]
    made += [
        _make_whole_field(file, rules)
        for file in wholes.values()
        if (file.folder, file.parsed.id) not in groups or get_suffix(file.name) not in (*PNG, *JPEG)
    ]
    beside = {*groups, *((file.folder, file.parsed.id) for file in wholes.values())}
    made += [_make_composite_field(key, drawn, rules) for key, drawn in composites.items() if key not in beside]
    return [each for each in made if isinstance(each, FieldSource)], [
        each for each in made if isinstance(each, Failure)
    ]


_Composites = list[tuple[NamedFile, tuple[ChannelName, ...]]]
"""Composites of a field, each with the channels that its name lists."""


def _take_composites(groups: dict[_Key, _Group], rules: Rules) -> defaultdict[_Key, _Composites]:
    """Takes out the groups that are no fields but composites: `a_blue_red_green.jpg` alone is no field `a_blue_red`."""
    composites: defaultdict[_Key, _Composites] = defaultdict(list)
    if rules.expressions:
        return composites
    for (folder, identifier), group in list(groups.items()):
        if not group.lacks(rules):
            continue
        read = [(file, parse_composite_name(f"{identifier}_{file.parsed.channel}.png")) for file in group.files]
        if all(found and parse_composite_name(file.name) for file, found in read):
            for file, found in read:
                if found:
                    composites[folder, found[0]].append((file, found[1]))
            del groups[folder, identifier]
    return composites


def make_plane_refs(paths: Sequence[str | None], folder: Path, rules: Rules) -> tuple[Path | None, ...]:
    """Return the paths of a field's planes, RGBY; of one file for all, each with the user's name of its channel.

    Args:
        paths: The four paths; None where a channel is missing.
        folder: Where relative ones start.
        rules: What the user calls the channels.
    """
    tokens = [rules.channels.get(name) for name in CHANNEL_NAMES]
    given = [path for path in paths if path]
    if len(given) < 2 or len(set(given)) > 1:
        tokens = [None] * len(tokens)
    named = zip(paths, tokens, strict=True)
    return tuple(folder / (f"{path}!{token}" if token else path) if path else None for path, token in named)


def _make_whole_field(file: NamedFile, rules: Rules) -> FieldSource | Failure:
    """A file of a whole field; where the user names its channels, each path says which."""
    parsed = file.parsed
    if reason := file.reason or _explain_name(parsed.id):
        return Failure(_printable(parsed.id), str(file.folder), reason)
    paths = make_plane_refs([str(file.path)] * len(CHANNEL_NAMES), Path(), rules)
    return FieldSource(parsed.id, paths, *rules.declared, about=tuple((parsed.about or {}).items()))


def _make_composite_field(key: _Key, drawn: _Composites, rules: Rules) -> FieldSource | Failure:
    folder, identifier = key
    plain = [(file, colours) for file, colours in drawn if "yellow" not in colours]
    if reason := _explain_name(identifier) or _explain_composite(identifier, drawn, plain, rules):
        return Failure(_printable(identifier), str(folder), reason)
    ((file, colours),) = plain
    paths = tuple(file.path if name in colours else None for name in CHANNEL_NAMES)
    return FieldSource(identifier, paths, *rules.declared)


def _explain_composite(identifier: str, drawn: _Composites, plain: _Composites, rules: Rules) -> str | None:
    first = drawn[0][0].name
    if not plain:
        return (
            f"Field '{identifier}' has only '{first}', which draws four channels in three colours; they cannot be "
            "separated again. Add the files of its channels."
        )
    if len(plain) > 1:
        names = " and ".join(f"'{file.name}'" for file, _ in plain[:2])
        return f"Field '{identifier}' has two composites, {names}. Keep one of them."
    ((file, colours),) = plain
    missing = [name for name in CHANNEL_NAMES if name not in colours and name not in rules.allow_missing]
    if not missing:
        return None
    remedy = " ".join(f"--allow-missing {name}" for name in missing)
    if "green" in missing:
        return f"Field '{identifier}' has only '{file.name}', which has no protein. Add the files of its channels."
    return (
        f"Field '{identifier}' has only '{file.name}', a composite without {' and '.join(missing)}. Add the files of "
        f"its channels, or pass {remedy} to read the composite."
    )


def _make_field(key: _Key, group: _Group, rules: Rules) -> FieldSource | Failure:
    folder, identifier = key
    reason = _explain_name(identifier) or _choose_slice(identifier, group, rules) or _explain_group(key, group, rules)
    if reason:
        return Failure(_printable(identifier), str(folder), reason)
    loose = tuple(sorted(file.path for file in group.channels.get(None, ())))
    paths = tuple(
        min(file.path for file in files) if (files := group.channels.get(name)) else None for name in CHANNEL_NAMES
    )
    about = next((file.parsed.about for file in group.files if file.parsed.about), {})
    return FieldSource(identifier, paths, *rules.declared, loose, tuple(about.items()))


def _choose_slice(identifier: str, group: _Group, rules: Rules) -> str | None:
    """Keeps the files of the slice, or of the time point, that `--plane` chooses; says why it cannot."""
    numbers = [sorted({file.parsed.slice[axis] or 0 for file in group.files}) for axis in range(2)]
    several = [axis for axis in range(2) if len(numbers[axis]) > 1]
    if not several:
        return None
    what = " and ".join(f"{len(numbers[axis])} {('planes (z)', 'times (t)')[axis]}" for axis in several)
    if len(several) > 1:
        return f"Field '{identifier}' has files of {what}. Put the files of one time into a folder of their own."
    (axis,) = several
    if rules.plane is None:
        last = len(numbers[axis]) - 1
        return f"Field '{identifier}' has files of {what}. Pass --plane N, from 0 to {last}, to take one of them."
    if rules.plane >= len(numbers[axis]):
        return f"Field '{identifier}' has no plane {rules.plane}; it has {what}, from 0. Pass another --plane."
    chosen = numbers[axis][rules.plane]
    for name, files in list(group.channels.items()):
        group.channels[name] = [file for file in files if (file.parsed.slice[axis] or 0) == chosen]
        if not group.channels[name]:
            del group.channels[name]
    return None


def _explain_group(key: _Key, group: _Group, rules: Rules) -> str | None:
    folder, identifier = key
    for name, files in group.channels.items():
        if name and len(files) > 1:
            names = " and ".join(f"'{each}'" for each in sorted(_relative_name(folder, file) for file in files)[:2])
            return f"Field '{identifier}' has two {name} files, {names}. Keep one of them."
    if None in group.channels:
        if len(group.channels) > 1:
            names = " and ".join(f"'{min(file.name for file in files)}'" for files in list(group.channels.values())[:2])
            return (
                f"Field '{identifier}' has files with and without a known channel, {names}. Name all with --channels."
            )
        return None
    missing = group.lacks(rules)
    return _explain_missing(key, group, missing, rules) if missing else None


def _explain_missing(key: _Key, group: _Group, missing: list[ChannelName], rules: Rules) -> str:
    folder, identifier = key
    here = ", ".join(name for name in CHANNEL_NAMES if name in group.channels)
    if group.other:
        tokens = sorted({file.parsed.unknown for file in group.other})
        found = f"found {here}, and " if here else "found "
        found += ", ".join(f"'{token}'" for token in tokens) + ", which say no stain"
        example = ",".join(f"{name}=…" for name in CHANNEL_NAMES if name not in rules.allow_missing)
        return f"Field '{identifier}' has no {missing[0]} file ({found}). Pass --channels {example} with these names."
    allow = " or pass --allow-missing yellow" if missing == ["yellow"] else ""
    if len(group.channels) == 1 and (beside := list_sibling_channel_folders(folder, rules)):
        return (
            f"Field '{identifier}' has no {missing[0]} file (found {here}). The other channels seem to lie in "
            f"{', '.join(beside)} beside '{folder.name}'. Name '{folder.parent}', which holds them all."
        )
    if rules.pattern and rules.find_channel(identifier.rpartition("_")[2]):
        return (
            f"Field '{identifier}' has no {missing[0]} file (found {here}): its id ends in the channel's own name. "
            f"Write '_*' behind {{id}} in --pattern '{rules.pattern}'."
        )
    if rules.expressions:
        return (
            f"Field '{identifier}' has no {missing[0]} file (found {here}). Add it{allow and ','}{allow}, or give a "
            "--pattern whose {id}, plate, well and site are the same for the four files of a field."
        )
    suffix = next(iter(group.files)).name.rpartition(".")[2].lower()
    add = f"Add '{identifier}_{missing[0]}.{suffix}'{allow and ','}{allow}"
    return f"Field '{identifier}' has no _{missing[0]} file (found {here}). {add}."


def _relative_name(folder: Path, file: NamedFile) -> str:
    return str(file.path.relative_to(folder)) if folder in file.path.parents else file.name


def _printable(identifier: str) -> str:
    return identifier.encode(errors="backslashreplace").decode()


def _explain_name(identifier: str) -> str | None:
    if "\r" in identifier or identifier.encode(errors="ignore").decode() != identifier:
        return f"The name {identifier!r} holds a character that no table can hold. Rename its files."
    return None


def remove_duplicates(found: list[FieldSource]) -> tuple[list[FieldSource], list[Failure]]:
    """Sets the fields aside whose id comes from two places; the same planes named twice are one field."""
    by_id: defaultdict[str, list[FieldSource]] = defaultdict(list)
    for source in found:
        by_id[source.id].append(source)
    kept, failures = [], []
    for identifier, sources in by_id.items():
        unlike = sources if len(sources) == 1 else list({_resolve(source): source for source in sources}.values())
        if len(unlike) == 1:
            kept.append(sources[0])
            continue
        one, other = (str(next(iter(source.paths), "")) for source in unlike[:2])
        reason = (
            f"The id '{identifier}' comes from two places, '{one}' and '{other}'. "
            "Predict them one after the other, or rename one."
        )
        failures.append(Failure(identifier, one, reason))
    return kept, failures


def _resolve(source: FieldSource) -> tuple[tuple[Path, ...], ...]:
    """What is the same for two ways to name the same files."""
    return tuple(
        (ref.file.resolve(), Path(ref.member), Path(ref.channel)) for ref in map(parse_plane_ref, source.paths)
    )
