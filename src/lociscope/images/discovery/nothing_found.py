"""Errors for sources without a field: what the source contains, and what to name or pass instead."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.layouts import list_folders, list_sibling_channel_folders
from lociscope.images.discovery.naming import split_suffix, strip_ome
from lociscope.images.discovery.patterns import PRESETS, compile_expressions, guess_preset, match_name
from lociscope.images.io.container import open_archive
from lociscope.images.io.formats import JPEG, PNG, SUFFIXES, explain_unreadable, get_suffix
from lociscope.images.io.png import count_planes
from lociscope.storage.table_files import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lociscope.images.discovery.layouts import NamedFile
    from lociscope.images.discovery.naming import Rules

NAME_FOLDER = "Name the folder of the images."
"""The remedy for a source without images; `lociscope.service.uploads` replaces it by one for uploads."""

_EXAMPLE = "red=…,green=…,blue=…,yellow=…"


def check_names(files: Sequence[NamedFile], rules: Rules) -> None:
    """Refuse files whose names follow a microscope's scheme but do not give a known channel.

    Raises:
        LociscopeError: All names follow a preset that was not given, or no name has a known channel.
    """
    if not files:
        return
    if rules.expressions:
        tokens = sorted({file.parsed.unknown for file in files})
        if all(tokens):
            raise LociscopeError(
                f"'{files[0].name}' and the other files name their channels {_quote_tokens(tokens)}, which "
                f"are not known stains. Pass `channels={_EXAMPLE}` with these.",
                code=Code.UNKNOWN_CHANNEL,
            )
        return
    if not all(file.parsed.whole for file in files):
        return
    preset = guess_preset(_get_stem(files[0].name))
    if preset is None or any(guess_preset(_get_stem(file.name)) != preset for file in files[1:]):
        return
    found = (match_name(_get_stem(file.name), compile_expressions(None, preset)) for file in files)
    tokens = sorted({match.channel for match in found if match})
    raise LociscopeError(
        f"'{files[0].name}' is named in the scheme of {PRESETS[preset].software}. Pass `preset={preset}` and, where a "
        f"channel has a number, `channels={_EXAMPLE}` (found {_quote_tokens(tokens)}).",
        code=Code.UNKNOWN_CHANNEL,
    )


def unnamed_picture_error(path: Path) -> LociscopeError:
    """Return the error for a single file that is not an image, or whose name does not give its channel."""
    if not get_suffix(path.name):
        return LociscopeError(
            f"'{path}' is not an image, archive or table that lociscope reads. Expected {', '.join(SUFFIXES)}, .zarr, "
            f".zip, {', '.join(TABLES)} or a folder.",
            code=Code.WRONG_FILE,
        )
    return LociscopeError(
        f"'{path.name}' does not name its channel: expected <id>_red.png, _green.png, _blue.png or "
        f"_yellow.png. Rename it, name a folder, or {_suggest_colour_option(path)}.",
        code=Code.UNKNOWN_CHANNEL,
    )


def nothing_found_error(source: Path, rules: Rules, contains_fields: Callable[[Path], bool]) -> LociscopeError:
    """Return the error for a source without a field.

    Args:
        source: The path that the user gave.
        rules: Rules for parsing file names.
        contains_fields: Returns whether a folder contains fields.
    """
    names = sorted(path.name for path in source.iterdir()) if source.is_dir() else []
    inner = list_folders(source) if source.is_dir() else []
    inside = list(islice(filter(contains_fields, inner), 4))
    if inside:
        return LociscopeError(_explain_inner_folders(source, inside, rules), code=Code.NOTHING_FOUND)
    if beside := list_sibling_channel_folders(source, rules):
        return LociscopeError(
            f"'{source}' has one channel, and {', '.join(beside)} beside it may have the others. Name the folder with "
            f"all of them, '{source.parent}'.",
            code=Code.MISSING_CHANNEL,
        )
    if source.suffix.lower() == ".zip":
        names = sorted(open_archive(source).namelist())
    listing = f"found {', '.join(names[:3])}{' …' if len(names) > 3 else ''}" if names else "it is empty"
    if rules.expressions:
        option = f"like '{rules.pattern}'" if rules.pattern else f"named as `preset={rules.preset}` expects"
        return LociscopeError(
            f"'{source}' has no file {option}, {listing}. Pass a `pattern` that matches the names.",
            code=Code.NOTHING_FOUND,
        )
    foreign = [
        reason for name in names if (reason := explain_unreadable(source / name)) and "spreadsheet" not in reason
    ]
    if foreign:
        return LociscopeError(f"'{source}' has no field: {foreign[0]}", code=Code.UNSUPPORTED_FORMAT)
    pictures = [name for name in names if get_suffix(name) in (*PNG, *JPEG)]
    remedy = f"Rename the files, or {_suggest_colour_option(source / pictures[0])}." if pictures else NAME_FOLDER
    return LociscopeError(
        f"'{source}' has no field: expected files like a1_red.png, a1_green.png, a1_blue.png and a1_yellow.png, "
        f"{listing}. {remedy}",
        code=Code.NOTHING_FOUND,
    )


def _explain_inner_folders(source: Path, inside: list[Path], rules: Rules) -> str:
    if len(inside) == 1:
        return f"'{source}' has no field, but its folder '{inside[0].name}' does. Name '{inside[0]}'."
    names = ", ".join(f"'{path.name}'" for path in inside[:3]) + (" and others" if len(inside) > 3 else "")
    channels = {rules.find_channel(path.name) for path in inside} - {None}
    pattern = ", or, where each has one channel, pass `pattern='{channel}/{id}_*'`" if len(channels) > 1 else ""
    return f"'{source}' has no field, but its folders {names} do. Name these folders, as in '{inside[0]}'{pattern}."


def _suggest_colour_option(path: Path) -> str:
    """Return what to pass for a colour image, by the number of its planes."""
    if get_suffix(path.name) in PNG and count_planes(path) == 4:
        numbers = ",".join(f"{name}=…" for name in CHANNEL_NAMES)
        return f"pass `channels={numbers}` with the indices (0–3) of its four planes"
    return "pass `allow_missing=yellow` to read it as an RGB composite"


def _get_stem(name: str) -> str:
    return strip_ome(split_suffix(name)[0])


def _quote_tokens(tokens: Sequence[str]) -> str:
    return ", ".join(f"'{token}'" for token in tokens[:8]) + (" …" if len(tokens) > 8 else "")
