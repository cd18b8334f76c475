"""Find fields: files form a field by their names, never by their position."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.artifacts.catalog import Catalog
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.field_source import Failure, FieldSource, list_failures, write_failures
from lociscope.images.discovery.grouping import group_files, name_planes, remove_duplicates
from lociscope.images.discovery.layouts import (
    LocatedFile,
    NamedFile,
    choose_names,
    join_channel_folders,
    list_channel_folders,
    list_folders,
    locate,
    split_folder,
    strip_channel_from_ids,
)
from lociscope.images.discovery.multi_image import find_index_files, locate_set_images, locate_zarr_images
from lociscope.images.discovery.naming import DEFAULT_RULES, Rules
from lociscope.images.discovery.nothing_found import check_names, nothing_found_error, unnamed_picture_error
from lociscope.images.discovery.remote import list_remote_files
from lociscope.images.io.container import PlaneRef, open_archive, parse_plane_ref
from lociscope.images.io.formats import ZARR, check_readable, is_zarr
from lociscope.images.io.zarr_layout import SUFFIX, find_groups, is_archive, make_archive_ref
from lociscope.storage.file_errors import unreadable_error
from lociscope.storage.paths import as_paths
from lociscope.storage.remote import RemotePath
from lociscope.storage.table_files import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lociscope.storage.paths import AnyPath

__all__ = ["Failure", "FieldSource", "find_fields", "list_failures", "read_catalog_sources", "write_failures"]


def find_fields(
    sources: AnyPath | Sequence[AnyPath], rules: Rules = DEFAULT_RULES
) -> tuple[list[FieldSource], list[Failure]]:
    """Find the fields in folders, zip archives, files, Catalogs and tables of paths.

    Args:
        sources: One path or several: folders, `.zip` archives, image files, and tables (`.parquet`, `.csv`). Folders in
            a folder are searched if they contain one channel each or, where the folder itself has no field, one field
            each.
        rules: Rules for parsing file names, and which channels may be missing.

    Returns:
        The fields in the order of their names, and those that cannot be read: a file is missing or occurs twice, an id
        comes from two locations, or tables cannot contain a name.

    Raises:
        LociscopeError: A source does not exist, is not a readable folder, image, archive or table, or there is no
            field.
    """
    paths = as_paths(sources)
    found: list[FieldSource] = []
    files: list[LocatedFile] = []
    inner: list[NamedFile] = []
    for source in paths:
        check_readable(source)
        if source.suffix.lower() in TABLES:
            found += read_catalog_sources(Catalog.read(source, may_lack=rules.allow_missing), rules)
        else:
            here = _list_files(source, rules)
            renamed = _list_archived_folders(here, rules) if source.suffix.lower() == ".zip" else []
            files += [] if renamed else here
            inner += renamed or _list_inner_files(
                source, rules, alone=not (any(file.parsed for file in here) or choose_names(here))
            )
    joined, others = join_channel_folders(files)
    named = strip_channel_from_ids([*joined, *choose_names(others), *inner], rules)
    check_names(named, rules)
    loose, failures = group_files(named, rules)
    found += loose
    if not found and not failures:
        raise nothing_found_error(paths[0], rules, lambda folder: _contains_fields(folder, rules))
    unique, duplicates = remove_duplicates(found)
    return sorted(unique, key=lambda field: field.id), failures + duplicates


def read_catalog_sources(catalog: Catalog, rules: Rules = DEFAULT_RULES) -> list[FieldSource]:
    """Return the files of a Catalog's fields in its order; `rules.channels` are the names of planes in one file."""
    return [
        FieldSource(
            entry.id,
            name_planes(
                [
                    parse_plane_ref(catalog.folder / path) if path else None
                    for path in (entry.red, entry.green, entry.blue, entry.yellow)
                ],
                rules,
            ),
            rules.pixel_size or entry.pixel_size,
            entry.plane if rules.plane is None else rules.plane,
            rules.allow_missing,
            about=tuple((name, value) for name in ("plate", "well", "site") if (value := getattr(entry, name))),
        )
        for entry in catalog
    ]


def _list_files(source: Path, rules: Rules) -> list[LocatedFile]:
    """Return the images of a source, and the possible readings of their names."""
    if isinstance(source, RemotePath):
        return list(_locate_files(list_remote_files(source), rules))
    try:
        if source.exists() and is_zarr(PlaneRef(source)):
            return list(locate_zarr_images(PlaneRef(source), rules))
        if source.is_dir():
            return list(_locate_files(_list_below(source, rules.depth), rules))
        if not source.exists():
            raise LociscopeError(f"'{source}' does not exist. Check the path.", code=Code.NOT_FOUND)
    except OSError as error:
        raise unreadable_error(source, error) from error
    if is_archive(source):
        return list(_locate_files(_list_members(source), rules))
    files = list(_locate_files([(source.parent, source.name, PlaneRef(source))], rules))
    if not files:
        raise unnamed_picture_error(source)
    return files


def _list_below(folder: Path, depth: int) -> Iterator[tuple[Path, str, PlaneRef]]:
    """Yield the files of a folder, or of its folders `depth` levels below."""
    if depth == 0:
        yield from ((folder, path.name, PlaneRef(path)) for path in folder.iterdir())
        return
    for path in list_folders(folder):
        yield from _list_below(path, depth - 1)


def _list_inner_files(source: Path, rules: Rules, *, alone: bool) -> list[NamedFile]:
    """Return the files of the folders in a folder, if there is one for each channel or one for each field.

    Args:
        source: The folder.
        rules: Rules for parsing file names.
        alone: Whether nothing else was found: only then may there be one folder for each field.
    """
    if rules.expressions or not source.is_dir() or is_zarr(PlaneRef(source)):
        return []
    try:
        joined, _ = join_channel_folders(
            file for folder in list_channel_folders(source, rules) for file in _list_files(folder, rules)
        )
        return joined or (_list_field_folders(source, rules) if alone else [])
    except OSError as error:
        raise unreadable_error(source, error) from error


def _list_field_folders(source: Path, rules: Rules) -> list[NamedFile]:
    """Return the files of the folders in a folder, named after these, if each contains one field; else none."""
    return _name_after_folders(
        [(folder.name, choose_names(_list_files(folder, rules))) for folder in list_folders(source)], rules
    )


def _list_archived_folders(files: list[LocatedFile], rules: Rules) -> list[NamedFile]:
    """Return the same for an archive whose folders do not contain one channel each, if two folders share an id."""
    if any(file.name.lower().endswith(ZARR) for file in files):
        return []
    joined, _ = join_channel_folders(files)
    by_folder: dict[Path, list[NamedFile]] = {}
    for file in choose_names(files):
        by_folder.setdefault(file.folder, []).append(file)
    ids = [name for inner in by_folder.values() for name in {file.parsed.id for file in inner}]
    if joined or rules.expressions or len(set(ids)) == len(ids):
        return []
    return _name_after_folders([(split_folder(folder)[1], inner) for folder, inner in by_folder.items()], rules)


def _name_after_folders(folders: list[tuple[str, list[NamedFile]]], rules: Rules) -> list[NamedFile]:
    """Return files with the names of their folders as ids, if each folder contains one field.

    A single folder counts only if its field has the same name: any folder may contain one field by chance.
    """
    renamed: list[NamedFile] = []
    names: list[tuple[str, str]] = []
    for own, files in folders:
        fields = [each for some in group_files(files, rules) for each in some]
        if len(fields) > 1:
            return []
        for field in fields:
            names.append((own, field.id))
            rests = [(file, file.parsed.id.removeprefix(field.id)) for file in files]
            renamed += [file._replace(parsed=file.parsed._replace(id=own + rest)) for file, rest in rests]
    return renamed if len(names) > 1 or all(own == found for own, found in names) else []


def _locate_files(files: Iterable[tuple[Path, str, PlaneRef]], rules: Rules) -> Iterator[LocatedFile]:
    files = list(files)
    taken: set[Path] = set()
    for index in dict.fromkeys(find_index_files(files)) if not rules.expressions else ():
        for file, parts in locate_set_images(index, rules):
            taken |= parts
            yield file
    for folder, name, ref in files:
        if name.lower().endswith(ZARR):
            yield from locate_zarr_images(ref, rules, folder, name)
        elif (ref.member or ref.file not in taken) and (located := locate(folder, name, ref, rules)):
            yield located


def _list_members(archive: Path) -> Iterator[tuple[Path, str, PlaneRef]]:
    """Yield the files of an archive, which is not unpacked; names that would leave a folder are skipped.

    A Zarr counts as one file, named after its folder, or after the archive if it is the whole archive.
    """
    names = open_archive(archive).namelist()
    groups = find_groups(names)
    for group in groups:
        folder, _, name = group.rpartition("/")
        name = name or archive.stem
        yield (
            Path(f"{archive}!{folder}"),
            name if name.lower().endswith(SUFFIX) else name + SUFFIX,
            make_archive_ref(archive, group),
        )
    within = tuple(f"{group}/" for group in groups if group)
    for path in [] if "" in groups else names:
        folder, _, name = path.rpartition("/")
        if ".." in folder.split("/") or path.startswith(("/", *within)):
            continue
        yield Path(f"{archive}!{folder}"), name, PlaneRef(archive, path)


def _contains_fields(folder: Path, rules: Rules) -> bool:
    return bool(choose_names(_list_files(folder, rules)) or _list_inner_files(folder, rules, alone=True))
