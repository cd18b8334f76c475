"""Which folder a file's field belongs to, where folders say something: a folder for each channel, or for each field."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lociscope.images.discovery.naming import Named, Rules, parted, without_ome
from lociscope.images.io.formats import ZARR

if TYPE_CHECKING:
    from collections.abc import Iterable

_ARCHIVED = re.compile(r"(?P<archive>.+?\.zip!)(?P<inside>.*)", re.IGNORECASE | re.DOTALL)


class File(NamedTuple):
    """A picture file and what is known of it without reading it.

    Attributes:
        folder: The folder whose files make fields together.
        name: The file's name.
        path: Its path, as `place_of` reads it.
        said: What its name says.
        reason: Why it cannot be read, where that is known.
    """

    folder: Path
    name: str
    path: Path
    said: Named
    reason: str | None = None


class Located(NamedTuple):
    """A picture file and the ways to read its name; which is right depends on the files beside it.

    Attributes:
        folder: Its folder, on disk or in an archive (`train.zip!red`).
        name: Its name.
        path: Its path, as `place_of` reads it.
        said: What its name says; None where that is nothing.
        channel: What it says where its folder is one of a channel's: `red/a1.png`, `red/a1_red.png`.
        bare: What it says where its folder is one field's: `a1/red.png`.
        reason: Why it cannot be read, where that is known.
    """

    folder: Path
    name: str
    path: Path
    said: Named | None
    channel: Named | None = None
    bare: Named | None = None
    reason: str | None = None


def locate(folder: Path, name: str, path: Path, rules: Rules) -> Located | None:
    """Return the ways to read the name of a file; None where it is no picture of a field."""
    if rules.depth:
        above, names = folder, [name]
        for _ in range(rules.depth):
            above, own = parent_of(above)
            names.insert(0, own)
        said = rules.named("/".join(names))
        return Located(above, name, path, said) if said else None
    said = rules.named(name)
    if rules.expressions:
        return Located(folder, name, path, said) if said else None
    located = Located(
        folder, name, path, said, _in_colour_folder(folder, name, said, rules), _bare(folder, name, said, rules)
    )
    return located if located.said or located.channel or located.bare else None


def join_colour_folders(files: Iterable[Located]) -> tuple[list[File], list[Located]]:
    """Join the files of folders that hold one channel each.

    Two folders beside each other are such where they are called after different channels, no file in them says that
    it is of another channel, and they hold files of one field.

    Returns:
        The files of such folders, which belong to the folder above, and the others.
    """
    by_folder: defaultdict[Path, list[Located]] = defaultdict(list)
    for file in files:
        by_folder[file.folder].append(file)
    by_parent: defaultdict[Path, list[list[Located]]] = defaultdict(list)
    joined, others = [], []
    for folder, inner in by_folder.items():
        if all(file.channel for file in inner):
            by_parent[parent_of(folder)[0]].append(inner)
        else:
            others += inner
    for above, folders in by_parent.items():
        channels: defaultdict[str, set[str | None]] = defaultdict(set)
        inside = [(file, file.channel) for inner in folders for file in inner if file.channel]
        for _, said in inside:
            channels[said.id].add(said.channel)
        if max(map(len, channels.values())) > 1:
            joined += [File(above, file.name, file.path, said) for file, said in inside]
        else:
            others += [file for file, _ in inside]
    return joined, others


def settle(files: Iterable[Located]) -> list[File]:
    """Choose how to read each name: `red.png` is a field's channel where another channel's file lies beside it."""
    by_folder: defaultdict[Path, list[Located]] = defaultdict(list)
    for file in files:
        by_folder[file.folder].append(file)
    settled = []
    for folder, inner in by_folder.items():
        channels = {file.bare.channel for file in inner if file.bare}
        for file in inner:
            said = file.bare if file.bare and len(channels) > 1 else file.said
            if said:
                settled.append(File(folder, file.name, file.path, said, file.reason))
    return settled


def without_own_channel(files: list[File], rules: Rules) -> list[File]:
    """Take the channel's own name off ids that a pattern gives, `a1_red` of `red/a1_red.png`, where each id has it."""
    ids = [file.said.id.rpartition("_") for file in files]
    own = [base and file.said.channel and rules.channel_of(word) == file.said.channel
           for file, (base, _, word) in zip(files, ids, strict=True)]  # fmt: skip
    if not rules.pattern or not all(own):
        return files
    return [file._replace(said=file.said._replace(id=base)) for file, (base, _, _) in zip(files, ids, strict=True)]


def parent_of(folder: Path) -> tuple[Path, str]:
    """Return the folder above a folder, on disk or in an archive, and its own name."""
    if "!" in str(folder) and (match := _ARCHIVED.fullmatch(str(folder))):
        above, _, own = match["inside"].rpartition("/")
        return Path(match["archive"] + above), own or Path(match["archive"][:-1]).stem
    if folder.name in ("", ".."):
        folder = folder.resolve()
    return folder.parent, folder.name


def inner_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder that may hold files of fields, by name: no hidden ones, and no OME-Zarr."""
    with os.scandir(folder) as entries:
        names = [each.name for each in entries if _is_folder(each) and not each.name.startswith(".")]
    return [folder / name for name in sorted(names) if not name.lower().endswith(ZARR)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def colour_folders(above: Path, rules: Rules) -> list[Path]:
    """Return the folders in a folder that are called after a channel."""
    return [path for path in inner_folders(above) if rules.channel_of(path.name)]


def colour_folders_beside(folder: Path, rules: Rules) -> list[str]:
    """Return the names of a channel's folder's neighbours that are called after other channels."""
    above, own = parent_of(folder)
    channel = rules.channel_of(own)
    if channel is None or not above.is_dir():
        return []
    try:
        return [path.name for path in colour_folders(above, rules) if rules.channel_of(path.name) != channel]
    except OSError:
        return []


def _in_colour_folder(folder: Path, name: str, said: Named | None, rules: Rules) -> Named | None:
    channel = rules.channel_of(parent_of(folder)[1])
    if channel is None or (said and said.channel not in (None, channel)):
        return None
    if said and not said.whole:
        return said._replace(channel=channel)
    stem, suffix = parted(name)
    return Named(without_ome(stem), channel) if stem and suffix else None


def _bare(folder: Path, name: str, said: Named | None, rules: Rules) -> Named | None:
    if said and not said.whole:
        return None
    stem, suffix = parted(name)
    channel = rules.match_channel(without_ome(stem)) if suffix else None
    return Named(parent_of(folder)[1], channel) if channel else None
