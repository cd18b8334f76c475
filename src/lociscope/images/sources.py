"""Finding fields: which files make a field, by their names and never by their position."""

import csv
import os
from collections import defaultdict
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lociscope.catalog import Catalog
from lociscope.channels import CHANNEL_NAMES, ChannelName
from lociscope.errors import LociscopeError
from lociscope.images.container import open_archive, place_of
from lociscope.images.naming import DEFAULT_RULES, Named, Rules
from lociscope.images.zarr import SUFFIX as ZARR
from lociscope.images.zarr import Spot, plate_fields
from lociscope.storage import AnyPath, replacing, unwritable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


@dataclass(frozen=True, slots=True)
class FieldSource:
    """Where one field lies.

    Attributes:
        id: Its name.
        planes: Paths of its four planes in the order RGBY, as `place_of` reads them; None where a channel is
            missing. Four times one path is a file of the whole field.
        pixel_size: Side of a pixel in µm, where the Catalog or the user declares it.
        plane: The slice of a stack, from 0.
        allow_missing: Channels that it may lack.
        loose: Files of one channel each, of which only their metadata say which; then `planes` are None.
        about: What a pattern said of plate, well and the like: pairs of a Catalog's column and its value.
    """

    id: str
    planes: tuple[Path | None, ...]
    pixel_size: float | None = None
    plane: int | None = None
    allow_missing: tuple[ChannelName, ...] = ()
    loose: tuple[Path, ...] = ()
    about: tuple[tuple[str, str], ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every path that there is."""
        return tuple(path for path in (*self.planes, *self.loose) if path is not None)


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
    list_failures(failures, path)


def list_failures(failures: "Sequence[Failure]", path: Path) -> None:
    """Writes the CSV `id,path,reason`, even where it holds no row.

    Raises:
        LociscopeError: The place cannot be written.
    """
    with (
        replacing(path) as part,
        part.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Failure._fields)
        writer.writerows(failures)


def find_fields(
    sources: "AnyPath | Sequence[AnyPath]", rules: Rules = DEFAULT_RULES
) -> tuple[list[FieldSource], list[Failure]]:
    """Finds the fields in folders, zip archives, files and Catalogs.

    Args:
        sources: One path or several: folders (not their sub-folders), `.zip` archives, picture files, and `.parquet`
            Catalogs.
        rules: How their files are told apart, and what a field may lack.

    Returns:
        The fields in the order of their names, and those that cannot be told: a missing or doubled file, an id
        that comes from two places, a name that no table can hold.

    Raises:
        LociscopeError: A source does not exist, is no readable folder, picture, archive or Catalog, or none holds
            a field.
    """
    paths = [Path(each) for each in ([sources] if isinstance(sources, str | os.PathLike) else sources)]
    found: list[FieldSource] = []
    files: list[_File] = []
    for source in paths:
        if source.suffix == ".parquet":
            found += of_catalog(Catalog.read(source), rules)
        else:
            files += _files_of(source, rules)
    loose, failures = _group(files, rules)
    found += loose
    if not found and not failures:
        raise _nothing_found(paths, rules)
    kept, doubled = _without_doubles(found)
    return sorted(kept, key=lambda field: field.id), failures + doubled


def of_catalog(catalog: Catalog, rules: Rules = DEFAULT_RULES) -> list[FieldSource]:
    """The places of a Catalog's fields, in its order."""
    return [
        FieldSource(
            entry.id,
            tuple(
                None if path is None else catalog.folder / path
                for path in (entry.red, entry.green, entry.blue, entry.yellow)
            ),
            rules.pixel_size or entry.pixel_size,
            entry.plane if rules.plane is None else rules.plane,
            rules.allow_missing,
        )
        for entry in catalog
    ]


class _File(NamedTuple):
    """A picture file, where it lies, and what its name says."""

    folder: Path
    name: str
    path: Path
    said: Named


def _files_of(source: Path, rules: Rules) -> "list[_File]":
    try:
        if source.suffix.lower() == ZARR and source.is_dir():
            return list(_told([(source.parent, source.name, source)], rules))
        if source.is_dir():
            return list(_told(((source, path.name, path) for path in source.iterdir()), rules))
        if not source.exists():
            raise LociscopeError(f"'{source}' does not exist. Check the path.")
    except OSError as error:
        raise LociscopeError(f"Cannot read '{source}': {error.strerror}. Check its permissions.") from error
    if source.suffix.lower() == ".zip":
        return list(_told(_members(source), rules))
    files = list(_told([(source.parent, source.name, source)], rules))
    if not files:
        raise LociscopeError(
            f"'{source.name}' does not say which channel it is: expected <id>_red.png, _green.png, _blue.png or "
            "_yellow.png. Rename it, name a folder, or pass --allow-missing yellow to read it as an RGB composite."
        )
    return files


def _told(files: "Iterable[tuple[Path, str, Path]]", rules: Rules) -> "Iterator[_File]":
    for folder, name, path in files:
        said = rules.named(name)
        if said is None:
            continue
        spots = _spots(path) if name.lower().endswith(ZARR) else []
        for spot in spots:
            about = {"plate": said.id, "well": spot.well, "site": spot.site}
            yield _File(path, name, spot.folder, said._replace(id="_".join(about.values()), about=about))
        if not spots:
            yield _File(folder, name, path, said)


def _spots(path: Path) -> list[Spot]:
    """The fields of a plate; none where it is one field, or so damaged that reading it will tell."""
    try:
        return list(plate_fields(path))
    except LociscopeError:
        return []


def _members(archive: Path) -> "Iterator[tuple[Path, str, Path]]":
    """The files of an archive, which is read in place; names that would lead out of a folder are passed over."""
    for member in open_archive(archive).namelist():
        folder, _, name = member.rpartition("/")
        if ".." in folder.split("/") or member.startswith("/"):
            continue
        yield Path(f"{archive}!{folder}"), name, Path(f"{archive}!{member}")


def _group(files: "Iterable[_File]", rules: Rules) -> tuple[list[FieldSource], list[Failure]]:
    planes: defaultdict[tuple[Path, str], defaultdict[ChannelName | None, dict[Path, str]]]
    planes = defaultdict(lambda: defaultdict(dict))
    about: dict[tuple[Path, str], tuple[tuple[str, str], ...]] = {}
    found, failures = [], []
    for folder, name, path, said in files:
        if not said.whole:
            if said.about:
                about[folder, said.id] = tuple(said.about.items())
            planes[folder, said.id][said.channel][path] = name
        elif reason := _untellable(said.id):
            failures.append(Failure(_shown(said.id), str(folder), reason))
        else:
            found.append(_whole(said, path, rules))
    for (folder, identifier), channels in planes.items():
        reason = _untellable(identifier) or _why_not(identifier, channels, rules)
        if reason:
            failures.append(Failure(_shown(identifier), str(folder), reason))
            continue
        loose = tuple(sorted(channels.pop(None, {})))
        paths = tuple(min(channels[name]) if name in channels else None for name in CHANNEL_NAMES)
        said_more = about.get((folder, identifier), ())
        found.append(FieldSource(identifier, paths, *rules.declared, loose, said_more))
    return found, failures


def _whole(said: Named, path: Path, rules: Rules) -> FieldSource:
    """A file of a whole field; where the user names its channels, each path says which."""
    paths = tuple(Path(f"{path}!{rules.channels[name]}") if name in rules.channels else path for name in CHANNEL_NAMES)
    return FieldSource(said.id, paths, *rules.declared, about=tuple((said.about or {}).items()))


def _shown(identifier: str) -> str:
    return identifier.encode(errors="backslashreplace").decode()


def _untellable(identifier: str) -> str | None:
    if "\r" in identifier or identifier.encode(errors="ignore").decode() != identifier:
        return f"The name {identifier!r} holds a character that no table can hold. Rename its files."
    return None


def _why_not(identifier: str, channels: "dict[ChannelName | None, dict[Path, str]]", rules: Rules) -> str | None:
    for name, paths in channels.items():
        if name and len(paths) > 1:
            names = " and ".join(f"'{each}'" for each in sorted(paths.values())[:2])
            return f"Field '{identifier}' has two {name} files, {names}. Keep one of them."
    if None in channels:
        if len(channels) > 1:
            names = " and ".join(f"'{min(files.values())}'" for files in list(channels.values())[:2])
            return (
                f"Field '{identifier}' has files with and without a known channel, {names}. Name all with --channels."
            )
        return None
    missing = [name for name in CHANNEL_NAMES if name not in channels and name not in rules.allow_missing]
    if missing:
        here = ", ".join(name for name in CHANNEL_NAMES if name in channels)
        example = next(iter(next(iter(channels.values())).values()))
        add = f"{identifier}_{missing[0]}.{example.rpartition('.')[2].lower()}"
        remedy = f"Add '{add}'" if missing != ["yellow"] else f"Add '{add}', or pass --allow-missing yellow"
        return f"Field '{identifier}' has no _{missing[0]} file (found {here}). {remedy}."
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
        one, other = (str(next(iter(source.paths), "")) for source in unlike[:2])
        reason = (
            f"The id '{identifier}' comes from two places, '{one}' and '{other}'. "
            "Predict them one after the other, or rename one."
        )
        failures.append(Failure(identifier, one, reason))
    return kept, failures


def _resolved(source: FieldSource) -> tuple[tuple[Path, ...], ...]:
    """What is the same for two ways to name the same files."""
    return tuple(
        (place.file.resolve(), Path(place.member), Path(place.channel)) for place in map(place_of, source.paths)
    )


def _nothing_found(sources: "Sequence[Path]", rules: Rules) -> LociscopeError:
    source = sources[0]
    names = sorted(path.name for path in source.iterdir()) if source.is_dir() else []
    inside = next((name for name in names if (source / name).is_dir() and _files_of(source / name, rules)), None)
    if inside:
        return LociscopeError(f"'{source}' holds no field, its folder '{inside}' does. Name '{source / inside}'.")
    if source.suffix.lower() == ".zip":
        names = sorted(chain(open_archive(source).namelist()))
    listing = f"found {', '.join(names[:3])}{' …' if len(names) > 3 else ''}" if names else "it is empty"
    if rules.pattern:
        return LociscopeError(
            f"'{source}' holds no file like '{rules.pattern}', {listing}. Give --pattern as the names are."
        )
    return LociscopeError(
        f"'{source}' holds no field: expected files like a1_red.png, a1_green.png, a1_blue.png and a1_yellow.png, "
        f"{listing}. Name the folder of the pictures."
    )
