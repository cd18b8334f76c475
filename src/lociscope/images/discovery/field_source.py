"""The files of a field, before they are read, and the list of those that cannot be."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lociscope.images.discovery.hpa import parse_origin
from lociscope.storage.atomic import atomic_write
from lociscope.storage.file_errors import unwritable_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lociscope.channels import ChannelName


@dataclass(frozen=True, slots=True)
class FieldSource:
    """The files of one field.

    Attributes:
        id: Its name.
        planes: Paths of its four planes in the order RGBY, as `parse_plane_ref` reads them; None where a channel is
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

    @property
    def origin(self) -> dict[str, str]:
        """Where the field was taken: what a Catalog or a pattern says, else what its id does."""
        return dict(self.about) or parse_origin(self.id)


class Failure(NamedTuple):
    """A field that cannot be read.

    Attributes:
        id: Its name.
        path: One of its files, or their folder.
        reason: The error message.
        code: A value of `lociscope.errors.Code`; empty in lists that were written before there were codes.
    """

    id: str
    path: str
    reason: str
    code: str = ""


def write_failures(failures: Sequence[Failure], path: Path) -> None:
    """Lists failures in a CSV `id,path,reason,code`; removes an older list where there are none.

    Raises:
        LociscopeError: The place cannot be written.
    """
    if not failures:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable_error(path, error) from error
        return
    list_failures(failures, path)


def list_failures(failures: Sequence[Failure], path: Path) -> None:
    """Writes the CSV `id,path,reason,code`, even where it holds no row.

    Raises:
        LociscopeError: The place cannot be written.
    """
    with (
        atomic_write(path) as part,
        part.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Failure._fields)
        writer.writerows(failures)
