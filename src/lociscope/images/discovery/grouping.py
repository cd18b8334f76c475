"""Group files into fields."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code
from lociscope.images.discovery.field_source import Failure, FieldSource
from lociscope.images.discovery.file_group import (
    Composites,
    FileGroup,
    GroupKey,
    explain_composites,
    explain_group,
    explain_name,
)
from lociscope.images.discovery.naming import Rules, parse_composite_name
from lociscope.images.io.formats import JPEG, PNG, get_suffix

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lociscope.errors import LociscopeError
    from lociscope.images.discovery.layouts import NamedFile
    from lociscope.images.io.container import PlaneRef


def group_files(files: Iterable[NamedFile], rules: Rules) -> tuple[list[FieldSource], list[Failure]]:
    """Group files into fields.

    A composite, a colour image of several channels, is ignored where its field has other files.

    Args:
        files: The files with their parsed names.
        rules: Rules for parsing file names, and which channels may be missing.

    Returns:
        The fields, and those that lack a file or have two files for one channel.
    """
    groups: defaultdict[GroupKey, FileGroup] = defaultdict(FileGroup)
    wholes: dict[PlaneRef, NamedFile] = {}
    for file in files:
        if file.parsed.whole:
            wholes[file.ref] = file
        else:
            groups[file.folder, file.parsed.id].add(file)
    composites = _take_composites(groups, rules)
    for ref, file in list(wholes.items()):
        if found := parse_composite_name(file.name):  # a smaller version, `a_blue_red_green_medium.jpg`
            composites[file.folder, found[0]].append((wholes.pop(ref), found[1]))
    made = [_make_field(key, group, rules) for key, group in groups.items()]
    made += [
        _make_whole_field(file, rules)
        for file in wholes.values()
        if (file.folder, file.parsed.id) not in groups or get_suffix(file.name) not in (*PNG, *JPEG)
    ]
    beside = {*groups, *((file.folder, file.parsed.id) for file in wholes.values())}
    made += [_make_composite_field(key, several, rules) for key, several in composites.items() if key not in beside]
    return [each for each in made if isinstance(each, FieldSource)], [
        each for each in made if isinstance(each, Failure)
    ]


def _take_composites(groups: dict[GroupKey, FileGroup], rules: Rules) -> defaultdict[GroupKey, Composites]:
    """Remove the groups that are composites of another field: `a_blue_red_green.jpg` is not a field `a_blue_red`."""
    composites: defaultdict[GroupKey, Composites] = defaultdict(list)
    if rules.expressions:
        return composites
    for (folder, identifier), group in list(groups.items()):
        if not group.find_missing(rules):
            continue
        read = [(file, parse_composite_name(f"{identifier}_{file.parsed.channel}.png")) for file in group.files]
        if all(found and parse_composite_name(file.name) for file, found in read):
            for file, found in read:
                if found:
                    composites[folder, found[0]].append((file, found[1]))
            del groups[folder, identifier]
    return composites


def name_planes(refs: Sequence[PlaneRef | None], rules: Rules) -> tuple[PlaneRef | None, ...]:
    """Return the locations of a field's planes; in one file for all, each with the user's name of its channel.

    Args:
        refs: The four locations, RGBY; None where a channel is missing.
        rules: The user's names of the channels.
    """
    given = [ref for ref in refs if ref]
    if len(given) < 2 or len(set(given)) > 1:
        return tuple(refs)
    tokens = [rules.channels.get(name) for name in CHANNEL_NAMES]
    return tuple(ref._replace(channel=token) if ref and token else ref for ref, token in zip(refs, tokens, strict=True))


def _make_whole_field(file: NamedFile, rules: Rules) -> FieldSource | Failure:
    """Make the field of a file that contains all of it."""
    parsed = file.parsed
    if file.reason:
        return Failure(_printable(parsed.id), str(file.folder), file.reason, Code.CORRUPT)
    if error := explain_name(parsed.id):
        return _make_failure(file.folder, parsed.id, error)
    planes = name_planes([file.ref] * len(CHANNEL_NAMES), rules)
    return FieldSource(parsed.id, planes, *rules.declared, about=tuple((parsed.about or {}).items()))


def _make_composite_field(key: GroupKey, composites: Composites, rules: Rules) -> FieldSource | Failure:
    folder, identifier = key
    if error := explain_name(identifier) or explain_composites(identifier, composites, rules):
        return _make_failure(folder, identifier, error)
    ((file, colours),) = [(file, colours) for file, colours in composites if "yellow" not in colours]
    planes = tuple(file.ref if name in colours else None for name in CHANNEL_NAMES)
    return FieldSource(identifier, planes, *rules.declared)


def _make_field(key: GroupKey, group: FileGroup, rules: Rules) -> FieldSource | Failure:
    folder, identifier = key
    error = explain_name(identifier) or group.select_slice(identifier, rules) or explain_group(key, group, rules)
    if error:
        return _make_failure(folder, identifier, error)
    loose = tuple(sorted(file.ref for file in group.channels.get(None, ())))
    planes = tuple(
        min(file.ref for file in files) if (files := group.channels.get(name)) else None for name in CHANNEL_NAMES
    )
    about = next((file.parsed.about for file in group.files if file.parsed.about), {})
    return FieldSource(identifier, planes, *rules.declared, loose, tuple(about.items()))


def _make_failure(folder: Path, identifier: str, error: LociscopeError) -> Failure:
    return Failure(_printable(identifier), str(folder), str(error), error.code)


def _printable(identifier: str) -> str:
    return identifier.encode(errors="backslashreplace").decode()


def remove_duplicates(found: list[FieldSource]) -> tuple[list[FieldSource], list[Failure]]:
    """Separate the fields whose id comes from two locations; the same planes given twice are one field."""
    by_id: defaultdict[str, list[FieldSource]] = defaultdict(list)
    for source in found:
        by_id[source.id].append(source)
    unique, failures = [], []
    for identifier, sources in by_id.items():
        different = sources if len(sources) == 1 else list({_resolve(source): source for source in sources}.values())
        if len(different) == 1:
            unique.append(sources[0])
            continue
        one, other = (source.first_path for source in different[:2])
        reason = (
            f"The id '{identifier}' comes from two locations, '{one}' and '{other}'. "
            "Predict them one after the other, or rename one."
        )
        failures.append(Failure(identifier, one, reason, Code.DUPLICATE))
    return unique, failures


def _resolve(source: FieldSource) -> tuple[tuple[Path, ...], ...]:
    """Return a key that is the same for all ways to write the paths of the same files."""
    return tuple((ref.file.resolve(), Path(ref.member), Path(ref.channel)) for ref in source.refs)
