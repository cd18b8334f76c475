"""Folder layouts: one folder for each channel, or one folder for each field."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lociscope.images.discovery.naming import ParsedName, Rules, split_suffix, strip_ome
from lociscope.images.io.formats import ZARR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lociscope.images.io.container import PlaneRef

_ARCHIVED = re.compile(r"(?P<archive>.+?\.zip!)(?P<inside>.*)", re.IGNORECASE | re.DOTALL)


class NamedFile(NamedTuple):
    """An image file and its parsed name.

    Attributes:
        folder: The folder whose files form fields together.
        name: The file's name.
        ref: Its location.
        parsed: The parsed name.
        reason: Why the file cannot be read, where that is known without reading it.
    """

    folder: Path
    name: str
    ref: PlaneRef
    parsed: ParsedName
    reason: str | None = None


class LocatedFile(NamedTuple):
    """An image file and the possible readings of its name; the files beside it decide which one is right.

    Attributes:
        folder: Its folder, on disk or in an archive (`train.zip!red`).
        name: Its name.
        ref: Its location.
        parsed: The parsed name; None where the name has no known form.
        channel: The name read as a file in a channel's folder: `red/a1.png`, `red/a1_red.png`.
        bare: The name read as a file in a field's folder: `a1/red.png`.
        reason: Why the file cannot be read, where that is known without reading it.
    """

    folder: Path
    name: str
    ref: PlaneRef
    parsed: ParsedName | None
    channel: ParsedName | None = None
    bare: ParsedName | None = None
    reason: str | None = None


def locate(folder: Path, name: str, ref: PlaneRef, rules: Rules) -> LocatedFile | None:
    """Return the possible readings of a file's name; None where it is not an image of a field."""
    if rules.depth:
        above, names = folder, [name]
        for _ in range(rules.depth):
            above, own = split_folder(above)
            names.insert(0, own)
        parsed = rules.parse("/".join(names))
        return LocatedFile(above, name, ref, parsed) if parsed else None
    parsed = rules.parse(name)
    if rules.expressions:
        return LocatedFile(folder, name, ref, parsed) if parsed else None
    channel = _name_in_channel_folder(folder, name, parsed, rules)
    located = LocatedFile(folder, name, ref, parsed, channel, _name_in_field_folder(folder, name, parsed, rules))
    return located if located.parsed or located.channel or located.bare else None


def join_channel_folders(files: Iterable[LocatedFile]) -> tuple[list[NamedFile], list[LocatedFile]]:
    """Join the files of folders that contain one channel each.

    Sibling folders contain one channel each if they are named after different channels, no file in them is named
    after another channel, and they contain files of one field.

    Returns:
        The files of such folders, assigned to the parent folder, and all other files.
    """
    by_folder: defaultdict[Path, list[LocatedFile]] = defaultdict(list)
    for file in files:
        by_folder[file.folder].append(file)
    by_parent: defaultdict[Path, list[list[LocatedFile]]] = defaultdict(list)
    joined, others = [], []
    for folder, inner in by_folder.items():
        if all(file.channel for file in inner):
            by_parent[split_folder(folder)[0]].append(inner)
        else:
            others += inner
    for above, folders in by_parent.items():
        channels: defaultdict[str, set[str | None]] = defaultdict(set)
        inside = [(file, file.channel) for inner in folders for file in inner if file.channel]
        for _, parsed in inside:
            channels[parsed.id].add(parsed.channel)
        if max(map(len, channels.values())) > 1:
            joined += [NamedFile(above, file.name, file.ref, parsed) for file, parsed in inside]
        else:
            others += [file for file, _ in inside]
    return joined, others


def choose_names(files: Iterable[LocatedFile]) -> list[NamedFile]:
    """Choose the reading of each name: `red.png` is a field's channel if its folder has a file of another channel."""
    by_folder: defaultdict[Path, list[LocatedFile]] = defaultdict(list)
    for file in files:
        by_folder[file.folder].append(file)
    named = []
    for folder, inner in by_folder.items():
        channels = {file.bare.channel for file in inner if file.bare}
        for file in inner:
            parsed = file.bare if file.bare and len(channels) > 1 else file.parsed
            if parsed:
                named.append(NamedFile(folder, file.name, file.ref, parsed, file.reason))
    return named


def strip_channel_from_ids(files: list[NamedFile], rules: Rules) -> list[NamedFile]:
    """Remove the channel's name from ids of a pattern, `a1_red` of `red/a1_red.png`, if every id ends in it."""
    ids = [file.parsed.id.rpartition("_") for file in files]
    own = [base and file.parsed.channel and rules.find_channel(word) == file.parsed.channel
           for file, (base, _, word) in zip(files, ids, strict=True)]  # fmt: skip
    if not rules.pattern or not all(own):
        return files
    return [file._replace(parsed=file.parsed._replace(id=base)) for file, (base, _, _) in zip(files, ids, strict=True)]


def split_folder(folder: Path) -> tuple[Path, str]:
    """Return the parent of a folder, on disk or in an archive, and the folder's name."""
    if "!" in str(folder) and (match := _ARCHIVED.fullmatch(str(folder))):
        above, _, own = match["inside"].rpartition("/")
        return Path(match["archive"] + above), own or Path(match["archive"][:-1]).stem
    if folder.name in ("", ".."):
        folder = folder.resolve()
    return folder.parent, folder.name


def list_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder that may contain files of fields: all but hidden ones and OME-Zarr."""
    with os.scandir(folder) as entries:
        names = [each.name for each in entries if _is_folder(each) and not each.name.startswith(".")]
    return [folder / name for name in sorted(names) if not name.lower().endswith(ZARR)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def list_channel_folders(above: Path, rules: Rules) -> list[Path]:
    """Return the folders in a folder that are named after a channel."""
    return [path for path in list_folders(above) if rules.find_channel(path.name)]


def list_sibling_channel_folders(folder: Path, rules: Rules) -> list[str]:
    """Return the names of the siblings of a channel's folder that are named after other channels."""
    above, own = split_folder(folder)
    channel = rules.find_channel(own)
    if channel is None or not above.is_dir():
        return []
    try:
        return [path.name for path in list_channel_folders(above, rules) if rules.find_channel(path.name) != channel]
    except OSError:
        return []


def _name_in_channel_folder(folder: Path, name: str, parsed: ParsedName | None, rules: Rules) -> ParsedName | None:
    channel = rules.find_channel(split_folder(folder)[1])
    if channel is None or (parsed and parsed.channel not in (None, channel)):
        return None
    if parsed and not parsed.whole:
        return parsed._replace(channel=channel)
    stem, suffix = split_suffix(name)
    return ParsedName(strip_ome(stem), channel) if stem and suffix else None


def _name_in_field_folder(folder: Path, name: str, parsed: ParsedName | None, rules: Rules) -> ParsedName | None:
    if parsed and not parsed.whole:
        return None
    stem, suffix = split_suffix(name)
    channel = rules.match_channel(strip_ome(stem)) if suffix else None
    return ParsedName(split_folder(folder)[1], channel) if channel else None
