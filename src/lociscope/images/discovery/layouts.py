"""Which folder a file's field belongs to, where folders say something: a folder for each channel, or for each field."""

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

_ARCHIVED = re.compile(r"(?P<archive>.+?\.zip!)(?P<inside>.*)", re.IGNORECASE | re.DOTALL)


class NamedFile(NamedTuple):
    """A picture file and what is known of it without reading it.

    Attributes:
        folder: The folder whose files make fields together.
        name: The file's name.
        path: Its path, as `parse_plane_ref` reads it.
        parsed: What its name says.
        reason: Why it cannot be read, where that is known.
    """

    folder: Path
    name: str
    path: Path
    parsed: ParsedName
    reason: str | None = None


class LocatedFile(NamedTuple):
    """A picture file and the ways to read its name; which is right depends on the files beside it.

    Attributes:
        folder: Its folder, on disk or in an archive (`train.zip!red`).
        name: Its name.
        path: Its path, as `parse_plane_ref` reads it.
        parsed: What its name says; None where that is nothing.
        channel: What it says where its folder is one of a channel's: `red/a1.png`, `red/a1_red.png`.
        bare: What it says where its folder is one field's: `a1/red.png`.
        reason: Why it cannot be read, where that is known.
    """

    folder: Path
    name: str
    path: Path
    parsed: ParsedName | None
    channel: ParsedName | None = None
    bare: ParsedName | None = None
    reason: str | None = None


def locate(folder: Path, name: str, path: Path, rules: Rules) -> LocatedFile | None:
    """Return the ways to read the name of a file; None where it is no picture of a field."""
    if rules.depth:
        above, names = folder, [name]
        for _ in range(rules.depth):
            above, own = split_folder(above)
            names.insert(0, own)
        parsed = rules.parse("/".join(names))
        return LocatedFile(above, name, path, parsed) if parsed else None
    parsed = rules.parse(name)
    if rules.expressions:
        return LocatedFile(folder, name, path, parsed) if parsed else None
    located = LocatedFile(
        folder,
        name,
        path,
        parsed,
        _name_in_channel_folder(folder, name, parsed, rules),
        _name_in_field_folder(folder, name, parsed, rules),
    )
    return located if located.parsed or located.channel or located.bare else None


def join_channel_folders(files: Iterable[LocatedFile]) -> tuple[list[NamedFile], list[LocatedFile]]:
    """Join the files of folders that hold one channel each.

    Two folders beside each other are such where they are called after different channels, no file in them says that
    it is of another channel, and they hold files of one field.

    Returns:
        The files of such folders, which belong to the folder above, and the others.
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
            joined += [NamedFile(above, file.name, file.path, parsed) for file, parsed in inside]
        else:
            others += [file for file, _ in inside]
    return joined, others


def choose_names(files: Iterable[LocatedFile]) -> list[NamedFile]:
    """Choose how to read each name: `red.png` is a field's channel where another channel's file lies beside it."""
    by_folder: defaultdict[Path, list[LocatedFile]] = defaultdict(list)
    for file in files:
        by_folder[file.folder].append(file)
    settled = []
    for folder, inner in by_folder.items():
        channels = {file.bare.channel for file in inner if file.bare}
        for file in inner:
            parsed = file.bare if file.bare and len(channels) > 1 else file.parsed
            if parsed:
                settled.append(NamedFile(folder, file.name, file.path, parsed, file.reason))
    return settled


def strip_channel_from_ids(files: list[NamedFile], rules: Rules) -> list[NamedFile]:
    """Take the channel's own name off ids that a pattern gives, `a1_red` of `red/a1_red.png`, where each id has it."""
    ids = [file.parsed.id.rpartition("_") for file in files]
    own = [base and file.parsed.channel and rules.find_channel(word) == file.parsed.channel
           for file, (base, _, word) in zip(files, ids, strict=True)]  # fmt: skip
    if not rules.pattern or not all(own):
        return files
    return [file._replace(parsed=file.parsed._replace(id=base)) for file, (base, _, _) in zip(files, ids, strict=True)]


def split_folder(folder: Path) -> tuple[Path, str]:
    """Return the folder above a folder, on disk or in an archive, and its own name."""
    if "!" in str(folder) and (match := _ARCHIVED.fullmatch(str(folder))):
        above, _, own = match["inside"].rpartition("/")
        return Path(match["archive"] + above), own or Path(match["archive"][:-1]).stem
    if folder.name in ("", ".."):
        folder = folder.resolve()
    return folder.parent, folder.name


def list_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder that may hold files of fields, by name: no hidden ones, and no OME-Zarr."""
    with os.scandir(folder) as entries:
        names = [each.name for each in entries if _is_folder(each) and not each.name.startswith(".")]
    return [folder / name for name in sorted(names) if not name.lower().endswith(ZARR)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def list_channel_folders(above: Path, rules: Rules) -> list[Path]:
    """Return the folders in a folder that are called after a channel."""
    return [path for path in list_folders(above) if rules.find_channel(path.name)]


def list_sibling_channel_folders(folder: Path, rules: Rules) -> list[str]:
    """Return the names of a channel's folder's neighbours that are called after other channels."""
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
