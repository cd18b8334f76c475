"""Read an upload as a field: safe file names, limited files, and errors that do not reveal paths of the server."""

from __future__ import annotations

import re
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.naming import Rules, check_pixel_size, parse_channels, parse_missing
from lociscope.images.discovery.nothing_found import NAME_FOLDER
from lociscope.images.discovery.sources import FieldSource, find_fields
from lociscope.images.io.container import ARCHIVE_ERRORS
from lociscope.images.io.formats import is_zarr
from lociscope.images.io.zarr_layout import is_archive
from lociscope.service.archives import check_directories, check_names, list_members
from lociscope.service.describe import join_words

MAX_FILES = 16
"""Maximum number of files of a request; a field has at most four."""

MAX_NAME = 180
"""Maximum bytes of a file name; of a longer one the end is kept, which has the channel and the format."""

MAX_DIRECTORY = 1 << 20
"""Maximum bytes of the tables of contents of the zips of a request, about ten thousand names."""

SEND = "Send four pictures named like a1_red.png, a1_green.png, a1_blue.png and a1_yellow.png, or one stack."

_UNSAFE = re.compile(r'[:*?"<>|]')


class UploadedFile(NamedTuple):
    """A file of a request: the name that was sent, and its bytes."""

    name: str | None
    file: IO[bytes]


def parse_rules(pixel_size: str = "", channels: str = "", allow_missing: str = "", plane: str = "") -> Rules:
    """Return the rules for the files of a request from the texts of its form; blank texts are ignored.

    Raises:
        LociscopeError: A text is not valid.
    """
    size = _parse_number(pixel_size)
    if size is not None:
        check_pixel_size(size, pixel_size.strip())
    slice_ = plane.strip()
    if slice_ and not (slice_.isascii() and slice_.isdigit() and len(slice_) < 7):
        raise LociscopeError(f"`plane` is {slice_[:20]!r}; expected a whole number from 0.", code=Code.INVALID_VALUE)
    named = parse_channels(channels) if channels.strip() else {}
    missing = parse_missing(word for word in re.split(r"[,\s]+", allow_missing) if word)
    return Rules(named, missing, size, int(slice_) if slice_ else None)


@contextmanager
def store_files(files: Sequence[UploadedFile]) -> Iterator[Path]:
    """Write files into a temporary folder during the block.

    Errors of the block name the files as they were sent, without a folder of this machine.

    Raises:
        LociscopeError: There is no file, or a name occurs twice; or an error of the block.
    """
    with tempfile.TemporaryDirectory(prefix="lociscope-", ignore_cleanup_errors=True) as made:
        folder = Path(made).resolve()
        try:
            _write(files, folder)
            yield folder
        except LociscopeError as error:
            raise LociscopeError(remove_paths(str(error), folder), code=error.code) from error


def find_field(folder: Path, rules: Rules) -> FieldSource:
    """Return the field in a folder of uploaded files.

    Raises:
        LociscopeError: There is no field, more than one, or an incomplete one.
    """
    names = sorted(path.name for path in folder.iterdir())
    archives = [folder / name for name in names if is_archive(folder / name)]
    check_directories(archives, MAX_DIRECTORY)
    for archive in archives:
        with suppress(*ARCHIVE_ERRORS, OSError):  # one that cannot be read is reported below
            check_names(list_members(archive))
    pictures = any(rules.parse(name) for name in names)
    if not pictures and not archives:
        raise LociscopeError(
            f"This upload contains no field: found {_list_names(names)}. {SEND}", code=Code.NOTHING_FOUND
        )
    found, failures = find_fields([*([folder] if pictures else []), *archives], rules)
    if failures:
        raise LociscopeError(failures[0].reason, code=Code(failures[0].code or Code.INVALID_VALUE))
    if len(found) > 1:
        raise LociscopeError(
            f"This upload contains {len(found)} fields: {_list_names([field.id for field in found])}. Send one at a "
            "time; for many, use `lociscope predict`.",
            code=Code.INVALID_VALUE,
        )
    if any(map(is_zarr, found[0].refs)):
        raise LociscopeError(
            "This upload contains an OME-Zarr. Send an OME-TIFF; for OME-Zarr, use `lociscope predict`.",
            code=Code.UNSUPPORTED_FORMAT,
        )
    return found[0]


def safe_name(name: str | None) -> str:
    """Return the last part of a file name without control characters, which stays in its folder; empty for none."""
    last = re.split(r"[/\\]", name or "")[-1]
    plain = "".join(each if each.isprintable() else "_" for each in unicodedata.normalize("NFC", last))
    plain = _UNSAFE.sub("_", plain).strip()
    kept = plain.encode()[-MAX_NAME:].decode(errors="ignore")
    return kept if kept.strip(".") else ""


def remove_paths(message: str, folder: Path) -> str:
    """Return an error message with the file names as they were sent, and with a remedy for uploads."""
    inside = message.replace(f"{folder}/", "").replace(f"{folder}\\", "")
    named = inside.replace(f"'{folder}'", "This upload").replace(str(folder), "the upload")
    return named.replace(NAME_FOLDER, SEND)


def _write(files: Sequence[UploadedFile], folder: Path) -> None:
    sent = [(safe_name(each.name), each.file) for each in files if each.name]
    if not sent:
        raise LociscopeError(f"This upload contains no file. {SEND}", code=Code.NOTHING_FOUND)
    taken: set[str] = set()
    for name, file in sent:
        if not name:
            raise LociscopeError(f"A file of this upload has no name. {SEND}", code=Code.INVALID_VALUE)
        if name.casefold() in taken:
            raise LociscopeError(f"Two files of this upload are called {name!r}. Send each once.", code=Code.DUPLICATE)
        taken.add(name.casefold())
        file.seek(0)
        with (folder / name).open("xb") as target:
            shutil.copyfileobj(file, target, 1 << 20)


def _list_names(names: Sequence[str]) -> str:
    shown = [repr(name) for name in names[:3]]
    return join_words(shown) if len(names) <= 3 else f"{', '.join(shown)} …"


def _parse_number(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise LociscopeError(
            f"`pixel_size` is {text.strip()[:20]!r}; expected a number of µm, such as 0.08.", code=Code.PIXEL_SIZE
        ) from None
