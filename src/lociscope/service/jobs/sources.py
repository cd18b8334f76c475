"""The fields of an upload: found in its folder, and stored as text until they are predicted."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.naming import Rules
from lociscope.images.discovery.sources import Failure, FieldSource, find_fields
from lociscope.images.io.container import ARCHIVE_ERRORS
from lociscope.images.io.formats import is_zarr
from lociscope.images.io.zarr_layout import is_archive
from lociscope.service.uploads import check_directory_size, parse_rules

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ARCHIVE_BYTES = 1 << 34
"""Maximum bytes of an archive's files after decompression, as its table of contents declares them."""

MAX_RATIO = 200
"""Maximum ratio of these to the bytes of the archive; pictures are at most a few times smaller in a zip."""

_ENCRYPTED = 1
MAX_PATTERN_PARTS = 5
"""Maximum placeholders of a pattern: the time to match a long name grows as a power of their number."""

RULE_NAMES = ("pixel_size", "channels", "allow_missing", "plane", "pattern", "preset")
"""The texts of a form that say how file names are read."""


@dataclass(frozen=True, slots=True)
class FoundFields:
    """What an upload contains.

    Attributes:
        sources: The fields that can be read.
        failures: Those that cannot: a file is missing or occurs twice.
    """

    sources: list[FieldSource]
    failures: list[Failure]


def parse_job_rules(texts: Mapping[str, str]) -> Rules:
    """Return the rules from the texts of a form; blank texts are ignored.

    Args:
        texts: By a name of `RULE_NAMES`.

    Raises:
        LociscopeError: A text is not valid.
    """
    rules = parse_rules(*(texts.get(name, "") for name in ("pixel_size", "channels", "allow_missing", "plane")))
    pattern, preset = texts.get("pattern", "").strip() or None, texts.get("preset", "").strip() or None
    if pattern is not None and (parts := pattern.count("{") + pattern.count("*")) > MAX_PATTERN_PARTS:
        raise LociscopeError(
            f"The pattern has {parts} placeholders; the service takes {MAX_PATTERN_PARTS} at most, because more may "
            "take minutes to match. Name fewer, or use a preset.",
            code=Code.INVALID_VALUE,
        )
    made = Rules(rules.channels, rules.allow_missing, rules.pixel_size, rules.plane, pattern, preset)
    _ = made.expressions  # raises for a pattern or preset that is not valid
    return made


def find_job_fields(folder: Path, rules: Rules, max_fields: int) -> FoundFields:
    """Return the fields in a folder of uploaded files: pictures, folders of them, and zip archives.

    Args:
        folder: The files, as they were sent.
        rules: How their names are read.
        max_fields: Maximum number of fields.

    Raises:
        LociscopeError: There is no field, there are too many, or an archive is protected, damaged or a bomb.
    """
    archives = sorted(path for path in folder.rglob("*") if path.is_file() and is_archive(path))
    for archive in archives:
        check_archive(archive)
    root = _descend(folder)
    sources: list[Path] = list(archives)
    if any(path.is_file() and not is_archive(path) for path in root.rglob("*")):
        sources.insert(0, root)
    if not sources:
        raise LociscopeError(f"'{folder}' contains no file.", code=Code.NOTHING_FOUND)
    try:
        found, failures = find_fields(sources, rules)
    except LociscopeError as error:
        inner = sorted(path for path in root.iterdir() if path.is_dir())
        if error.code is not Code.NOTHING_FOUND or len(inner) < 2:
            raise
        found, failures = find_fields([*inner, *archives], rules)
    if len(found) + len(failures) > max_fields:
        raise LociscopeError(
            f"This upload contains {len(found) + len(failures)} fields; this service accepts {max_fields} at a time. "
            "Send fewer, or use `lociscope predict`.",
            code=Code.TOO_LARGE,
        )
    zarrs = [source for source in found if any(map(is_zarr, source.refs))]
    if zarrs:
        raise LociscopeError(
            f"Field '{zarrs[0].id}' is an OME-Zarr. Send OME-TIFF; for OME-Zarr, use `lociscope predict`.",
            code=Code.UNSUPPORTED_FORMAT,
        )
    return FoundFields(found, failures)


def check_archive(path: Path) -> None:
    """Refuse an archive that is protected by a password, or whose files would be far larger than itself.

    Raises:
        LociscopeError: It is, or it is not a readable archive.
    """
    check_directory_size(path, 1 << 24)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (*ARCHIVE_ERRORS, OSError) as error:
        raise LociscopeError(f"'{path}' is damaged ({error}). Send it again.", code=Code.CORRUPT) from error
    if any(member.flag_bits & _ENCRYPTED for member in members):
        raise LociscopeError(f"'{path}' is protected by a password. Send an archive without one.", code=Code.UNREADABLE)
    total = sum(member.file_size for member in members)
    if total > MAX_ARCHIVE_BYTES or total > MAX_RATIO * max(path.stat().st_size, 1 << 20):
        raise LociscopeError(
            f"'{path}' would have {total >> 20} MB after decompression. Send the pictures without the archive.",
            code=Code.TOO_LARGE,
        )


def _descend(folder: Path) -> Path:
    """Return the folder that has the files, where a folder was sent as the only entry of the upload."""
    while True:
        inside = list(folder.iterdir())
        if len(inside) != 1 or not inside[0].is_dir():
            return folder
        folder = inside[0]
