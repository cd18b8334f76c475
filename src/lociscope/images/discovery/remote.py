"""Find fields behind URLs: image files, and the files in a folder of an object store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.field_source import Failure, FieldSource
from lociscope.images.io.container import PlaneRef
from lociscope.images.io.formats import SUFFIXES, ZARR, get_suffix
from lociscope.images.io.zarr_layout import is_archive
from lociscope.storage.remote import RemotePath, as_remote, list_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def list_remote_files(source: RemotePath) -> list[tuple[Path, str, PlaneRef]]:
    """Return the image files behind a URL: itself, or those directly in the folder of that name.

    Raises:
        LociscopeError: It is an archive or an OME-Zarr, does not exist, or may not be listed.
    """
    suffix = get_suffix(source.name)
    if suffix in ZARR or is_archive(source):
        raise LociscopeError(
            f"'{source}' is {'an OME-Zarr' if suffix in ZARR else 'an archive'}, which lociscope does not read by URL. "
            "Download it, or name image files or a folder of them.",
            code=Code.UNSUPPORTED_FORMAT,
        )
    if suffix in SUFFIXES:
        return [(source.parent, source.name, PlaneRef(source))]
    found = [(file.parent, file.name, PlaneRef(file)) for file, size in list_files(source) if size]
    if not found:
        raise LociscopeError(
            f"'{source}' is neither a file nor a folder with files. Check the URL; a web server lists no files: pass a "
            "table of the URLs of the planes.",
            code=Code.NOT_FOUND,
        )
    return found


def open_urls(sources: Sequence[FieldSource]) -> tuple[list[FieldSource], list[Failure]]:
    """Return the sources, whose planes are read from the URLs that tables give as their paths, and those refused."""
    opened, refused = [], []
    for source in sources:
        try:
            opened.append(_open_urls(source))
        except LociscopeError as error:
            refused.append(Failure(source.id, source.first_path, str(error), error.code))
    return opened, refused


def _open_urls(source: FieldSource) -> FieldSource:
    planes = tuple(None if ref is None else ref._replace(file=as_remote(ref.file)) for ref in source.planes)
    loose = tuple(ref._replace(file=as_remote(ref.file)) for ref in source.loose)
    return replace(source, planes=planes, loose=loose) if (planes, loose) != (source.planes, source.loose) else source
