"""Finding fields: which files make a field, by their names and never by their position."""

import csv
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lociscope.catalog import Catalog
from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import LociscopeError
from lociscope.storage import replacing, unwritable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SUFFIXES = (".png",)
"""Suffixes of the picture files that are read."""

_PLANE = re.compile(r"(?P<id>[^.].*|\.[^_].*)_(?P<channel>red|green|blue|yellow)\.png", re.IGNORECASE | re.DOTALL)
"""macOS keeps a `._a1_red.png` of its own beside each file on foreign disks; it is no picture."""


@dataclass(frozen=True, slots=True)
class FieldSource:
    """Where one field lies.

    Attributes:
        id: Its name.
        planes: Paths of its four planes in the order RGBY; None where a channel is missing.
        pixel_size: Side of a pixel in µm, where the Catalog declares it.
    """

    id: str
    planes: tuple[Path | None, ...]
    pixel_size: float | None = None


class Failure(NamedTuple):
    """A field that cannot be read: its name, where it lies, and the sentence that says why."""

    id: str
    path: str
    reason: str


def write_failures(failures: "Sequence[Failure]", path: Path) -> None:
    """Lists failures in a CSV `id,path,reason`; removes an older list where there are none.

    Raises:
        LociscopeError: The place cannot be written.
    """
    if not failures:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(path, error) from error
        return
    with (
        replacing(path) as part,
        part.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Failure._fields)
        writer.writerows(failures)


def find_fields(sources: "Sequence[Path]") -> tuple[list[FieldSource], list[Failure]]:
    """Finds the fields in folders, plane files and Catalogs.

    Args:
        sources: Folders (not their sub-folders), `<id>_<colour>.png` files, and `.parquet` Catalogs.

    Returns:
        The fields in the order of their names, and those that cannot be told: a missing or doubled file, an id
        that comes from two places, a name that no table can hold.

    Raises:
        LociscopeError: A source does not exist, is no readable folder, plane or Catalog, or none holds a field.
    """
    found: list[FieldSource] = []
    failures: list[Failure] = []
    files: list[Path] = []
    for source in sources:
        if source.suffix == ".parquet":
            found += of_catalog(Catalog.read(source))
        else:
            files += _plane_files(source)
    loose, broken = _group(files)
    found += loose
    failures += broken
    if not found and not failures:
        raise _nothing_found(sources)
    kept, doubled = _without_doubles(found)
    return sorted(kept, key=lambda field: field.id), failures + doubled


def of_catalog(catalog: Catalog) -> list[FieldSource]:
    """The places of a Catalog's fields, in its order."""
    return [
        FieldSource(
            entry.id,
            tuple(
                None if path is None else catalog.folder / path
                for path in (entry.red, entry.green, entry.blue, entry.yellow)
            ),
            entry.pixel_size,
        )
        for entry in catalog
    ]


def _plane_files(source: Path) -> list[Path]:
    try:
        if source.is_dir():
            return [path for path in source.iterdir() if _PLANE.fullmatch(path.name)]
        if not source.exists():
            raise LociscopeError(f"'{source}' does not exist. Check the path.")
    except OSError as error:
        raise LociscopeError(f"Cannot read '{source}': {error.strerror}. Check its permissions.") from error
    if not _PLANE.fullmatch(source.name):
        raise LociscopeError(
            f"'{source.name}' does not say which channel it is: expected <id>_red.png, _green.png, _blue.png or "
            "_yellow.png. Rename it, or name a folder."
        )
    return [source]


def _group(files: "Iterable[Path]") -> tuple[list[FieldSource], list[Failure]]:
    planes: defaultdict[tuple[Path, str], defaultdict[str, set[Path]]] = defaultdict(lambda: defaultdict(set))
    for path in files:
        match = _PLANE.fullmatch(path.name)
        if match:
            planes[path.parent, match["id"]][match["channel"].lower()].add(path)
    found, failures = [], []
    for (folder, identifier), channels in planes.items():
        reason = _why_not(identifier, channels)
        if reason:
            shown = identifier.encode(errors="backslashreplace").decode()
            failures.append(Failure(shown, str(folder), reason))
        else:
            found.append(FieldSource(identifier, tuple(min(channels[name]) for name in CHANNEL_NAMES)))
    return found, failures


def _why_not(identifier: str, channels: "dict[str, set[Path]]") -> str | None:
    if "\r" in identifier or identifier.encode(errors="ignore").decode() != identifier:
        return f"The name {identifier!r} holds a character that no table can hold. Rename its files."
    for name, paths in channels.items():
        if len(paths) > 1:
            names = " and ".join(f"'{path.name}'" for path in sorted(paths)[:2])
            return f"Field '{identifier}' has two {name} files, {names}. Keep one of them."
    missing = [name for name in CHANNEL_NAMES if name not in channels]
    if missing:
        here = ", ".join(name for name in CHANNEL_NAMES if name in channels)
        return f"Field '{identifier}' has no _{missing[0]} file (found {here}). Add '{identifier}_{missing[0]}.png'."
    return None


def _without_doubles(found: list[FieldSource]) -> tuple[list[FieldSource], list[Failure]]:
    """Sets the fields aside whose id comes from two places; the same planes named twice are one field."""
    by_id: defaultdict[str, list[FieldSource]] = defaultdict(list)
    for source in found:
        by_id[source.id].append(source)
    kept, failures = [], []
    for identifier, sources in by_id.items():
        unlike = sources if len(sources) == 1 else list({_resolved(source): source for source in sources}.values())
        if len(unlike) == 1:
            kept.append(sources[0])
            continue
        one, other = (str(next((path for path in source.planes if path), "")) for source in unlike[:2])
        reason = (
            f"The id '{identifier}' comes from two places, '{one}' and '{other}'. "
            "Predict them one after the other, or rename one."
        )
        failures.append(Failure(identifier, one, reason))
    return kept, failures


def _resolved(source: FieldSource) -> tuple[Path | None, ...]:
    return tuple(path and path.resolve() for path in source.planes)


def _nothing_found(sources: "Sequence[Path]") -> LociscopeError:
    source = sources[0]
    names = sorted(path.name for path in source.iterdir()) if source.is_dir() else []
    inside = next((name for name in names if (source / name).is_dir() and _plane_files(source / name)), None)
    if inside:
        return LociscopeError(f"'{source}' holds no field, its folder '{inside}' does. Name '{source / inside}'.")
    listing = f"found {', '.join(names[:3])}{' …' if len(names) > 3 else ''}" if names else "it is empty"
    return LociscopeError(
        f"'{source}' holds no field: expected files like a1_red.png, a1_green.png, a1_blue.png and a1_yellow.png, "
        f"{listing}. Name the folder of the pictures."
    )
