"""The files of a field before they are read, and the list of fields that cannot be read."""

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
    from lociscope.images.io.container import PlaneRef


@dataclass(frozen=True, slots=True)
class FieldSource:
    """The files of one field.

    Attributes:
        id: The name of the field.
        planes: The locations of its four planes in the order RGBY; None where a channel is missing. A file of the
            whole field is given four times.
        pixel_size: Side of a pixel in µm, where the Catalog or the user declares it.
        plane: The index of the plane to read from a stack, from 0.
        allow_missing: Channels that may be missing.
        loose: Files of one channel each whose channels are only in their metadata; then `planes` are None.
        about: Plate, well and the like from a pattern: pairs of a Catalog's column and its value.
    """

    id: str
    planes: tuple[PlaneRef | None, ...]
    pixel_size: float | None = None
    plane: int | None = None
    allow_missing: tuple[ChannelName, ...] = ()
    loose: tuple[PlaneRef, ...] = ()
    about: tuple[tuple[str, str], ...] = ()

    @property
    def refs(self) -> tuple[PlaneRef, ...]:
        """All locations of its planes."""
        return tuple(ref for ref in (*self.planes, *self.loose) if ref is not None)

    @property
    def first_path(self) -> str:
        """The first location as text, for lists of failures; empty where there is none."""
        return str(next(iter(self.refs), ""))

    @property
    def origin(self) -> dict[str, str]:
        """Plate, well and site from the Catalog or a pattern, else from the id."""
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
    """Write failures as a CSV `id,path,reason,code`, or remove an older list where there are none.

    Raises:
        LociscopeError: The file cannot be written.
    """
    if not failures:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable_error(path, error) from error
        return
    list_failures(failures, path)


def list_failures(failures: Sequence[Failure], path: Path) -> None:
    """Write the CSV `id,path,reason,code`, even where it has no row.

    Raises:
        LociscopeError: The file cannot be written.
    """
    with (
        atomic_write(path) as part,
        part.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Failure._fields)
        writer.writerows(failures)
