"""The fields of an upload: found in its folder, and stored as text until they are predicted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.naming import Rules
from lociscope.images.discovery.patterns import PRESETS, count_steps, parse_preset
from lociscope.images.discovery.sources import Failure, FieldSource, find_fields
from lociscope.images.io.container import ARCHIVE_ERRORS
from lociscope.images.io.formats import is_zarr
from lociscope.images.io.zarr_layout import is_archive
from lociscope.service.archives import check_directories, check_names, list_members
from lociscope.service.uploads import parse_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_ARCHIVE_BYTES = 1 << 34
"""Maximum bytes of an archive's files after decompression, as its table of contents declares them."""

MAX_RATIO = 200
"""Maximum ratio of these to the bytes of the archive; pictures are at most a few times smaller in a zip."""

MAX_DIRECTORY = 1 << 24
"""Maximum bytes of the tables of contents of the archives of an upload."""

MAX_STEPS, MAX_ALL_STEPS = 10**6, 10**9
"""Maximum steps to match a name with a pattern, about 20 ms, and for all names of an upload."""

_ENCRYPTED = 1

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
    sent = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    check_effort(rules, [*sent, *check_archives(archives)])
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


def check_archives(paths: Sequence[Path]) -> list[str]:
    """Refuse archives that have a password, or whose files would together be far larger than the archives.

    Args:
        paths: All archives of an upload.

    Returns:
        The names in them.

    Raises:
        LociscopeError: They are refused, or one of them is not a readable archive.
    """
    check_directories(paths, MAX_DIRECTORY)
    names: list[str] = []
    total = packed = 0
    for path in paths:
        try:
            members = list_members(path)
        except (*ARCHIVE_ERRORS, OSError) as error:
            raise LociscopeError(f"'{path}' is damaged ({error}). Send it again.", code=Code.CORRUPT) from error
        check_names(members)
        if any(member.flag_bits & _ENCRYPTED for member in members):
            raise LociscopeError(
                f"'{path}' is protected by a password. Send an archive without one.", code=Code.UNREADABLE
            )
        names += [member.filename for member in members]
        total += sum(member.file_size for member in members)
        packed += path.stat().st_size
        if total > MAX_ARCHIVE_BYTES or total > MAX_RATIO * max(packed, 1 << 20):
            raise LociscopeError(
                f"'{path}' would have {total >> 20} MB after decompression, with the archives before it. Send the "
                "pictures without the archive.",
                code=Code.TOO_LARGE,
            )
    return names


def check_effort(rules: Rules, names: Iterable[str]) -> None:
    """Refuse a pattern that would match the names in so many ways that it occupies the service.

    Raises:
        LociscopeError: It is refused.
    """
    patterns = PRESETS[parse_preset(rules.preset)].patterns if rules.preset else (rules.pattern or "",)
    total = 0
    for name in names:
        last = name if rules.depth else name.rpartition("/")[2]
        steps = sum(count_steps(pattern, last) for pattern in patterns)
        total += steps
        if steps > MAX_STEPS or total > MAX_ALL_STEPS:
            raise LociscopeError(
                f"The pattern matches names such as {last[:80]!r} in too many ways. Put other separators between its "
                "placeholders, use fewer of them, or use a preset.",
                code=Code.INVALID_VALUE,
            )


def _descend(folder: Path) -> Path:
    """Return the folder that has the files, where a folder was sent as the only entry of the upload."""
    while True:
        inside = list(folder.iterdir())
        if len(inside) != 1 or not inside[0].is_dir():
            return folder
        folder = inside[0]
