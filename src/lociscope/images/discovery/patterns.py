"""Patterns of file names, and presets for the naming schemes of microscopes and screening systems."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from math import comb
from typing import NamedTuple

from lociscope.errors import Code, UsageError, suggest

ORIGIN_COLUMNS = ("antibody", "plate", "well", "site", "gene", "cell_line", "specimen")
"""Placeholders of a pattern that become columns of a Catalog."""

PLACEHOLDERS = ("id", "channel", *ORIGIN_COLUMNS, "row", "column", "z", "t")
"""All placeholders; `row` and `column` form the well, `z` and `t` are the slice of a stack and the time point."""

_DIGITS = {"column": r"\d+", "z": r"\d+", "t": r"\d+", "row": r"[A-Za-z]{1,2}|\d+"}
_STRICT = _DIGITS | {"site": r"\d+", "well": r"[A-Za-z]{1,2}\d{1,3}|\d+"}
"""What a placeholder matches in a preset; in a user's pattern, most match any text."""

_MAX_ROW = 26 * 27
"""The row ZZ."""
_PART = re.compile(r"\{(\w+)\}|([*?])")
_GUID = "-".join("?" * length for length in (8, 4, 4, 4, 12))
_THUMBNAIL = re.compile(r"_thumb(?:_|$|[0-9A-F]{8}-)", re.IGNORECASE)
_WELL = re.compile(r"[A-Za-z]{1,2}\d{1,3}")


class Preset(NamedTuple):
    """The naming scheme of a microscope's software.

    Attributes:
        software: The name of the software.
        patterns: The forms of names; the first that matches is used.
        aliases: Other names of the preset.
    """

    software: str
    patterns: tuple[str, ...]
    aliases: tuple[str, ...] = ()


PRESETS: dict[str, Preset] = {
    "metaxpress": Preset(
        "MetaXpress or ImageXpress",
        (
            f"{{plate}}_{{well}}_s{{site}}_w{{channel}}{_GUID}",
            f"{{plate}}_{{well}}_s{{site}}_z{{z}}_w{{channel}}{_GUID}",
            "{plate}_{well}_s{site}_z{z}_w{channel}",
            "{plate}_{well}_s{site}_w{channel}",
            f"{{plate}}_{{well}}_w{{channel}}{_GUID}",
            "{plate}_{well}_w{channel}",
        ),
        ("imagexpress", "imagexpressmicro", "ixm"),
    ),
    "phenix": Preset(
        "Opera Phenix or Operetta (Harmony)",
        ("r{row}c{column}f{site}p{z}*-ch{channel}sk{t}*", "r{row}c{column}f{site}p{z}-ch{channel}t{t}"),
        ("operaphenix", "operaphenixplus", "opera", "operetta", "harmony"),
    ),
    "yokogawa": Preset(
        "Yokogawa CellVoyager (CV7000, CV8000)",
        ("{plate}_{well}_T{t}F{site}L*A*Z{z}C{channel}", "{well}_T{t}F{site}L*A*Z{z}C{channel}"),
        ("cv7000", "cv8000", "cellvoyager"),
    ),
    "incell": Preset(
        "IN Cell Analyzer",
        (
            "{row} - {column}(fld {site} wv {channel} z {z})",
            "{row} - {column}(fld {site} wv {channel} time {t} - *)",
            "{row} - {column}(fld {site} z {z} wv {channel})",
            "{row} - {column}(fld {site} time {t} wv {channel})",
            "{row} - {column}(fld {site} wv {channel})",
        ),
        ("incellanalyzer", "incell2000", "incell2200", "incell6000", "incell6500"),
    ),
    "scanr": Preset(
        "ScanR",
        ("{well}--W*--P{site}--Z{z}--T{t}--{channel}", "W{well}--P{site}--Z{z}--T{t}--{channel}"),
        ("olympusscanr",),
    ),
}
"""The presets by name."""


class NameMatch(NamedTuple):
    """The parts of a name that a pattern matches.

    Attributes:
        channel: The text of the channel.
        about: Values of `id` and of the placeholders that become columns, in the order of the name.
        slice: Indices of the slice and of the time point; None where the name has none.
    """

    channel: str
    about: dict[str, str]
    slice: tuple[int | None, int | None] = (None, None)


def parse_preset(word: str) -> str:
    """Return the preset with a name or alias, without regard to case, spaces and hyphens.

    Raises:
        UsageError: No preset has that name.
    """
    letters = re.sub(r"[\W_]", "", word).casefold()
    for name, preset in PRESETS.items():
        if letters in (name, *preset.aliases):
            return name
    raise UsageError(f"`preset` has no {word!r}.{suggest(letters, list(PRESETS))}", code=Code.UNKNOWN_NAME)


def compile_expressions(pattern: str | None, preset: str | None) -> tuple[re.Pattern[str], ...]:
    """Return the regular expressions of a pattern or a preset, in the order of their use.

    Raises:
        UsageError: Both are given; or the pattern names an unknown placeholder, one of them twice, or no channel.
    """
    if pattern is not None and preset is not None:
        raise UsageError(
            f"`pattern={pattern!r}` and `preset={preset}` exclude each other. Give one of them.",
            code=Code.INVALID_VALUE,
        )
    if preset is not None:
        return tuple(_compile(each, preset=True) for each in PRESETS[parse_preset(preset)].patterns)
    return () if pattern is None else (_compile(pattern),)


def count_steps(pattern: str, name: str) -> int:
    """Return an upper bound for the steps that a pattern takes to match a name, which may be hostile.

    The expression tries each way to assign the separators of the pattern to their occurrences in the name.

    Args:
        pattern: A pattern, also of a preset.
        name: A name, of which the pattern may only match a part.
    """
    separators = Counter(max(text.split("?"), key=len).casefold() for text in re.split(r"\{\w+\}|\*", pattern)[1:-1])
    folded, ways = name.casefold(), 1
    for text, times in separators.items():
        places = sum(folded.startswith(text, at) for at in range(len(folded))) if text else len(folded)
        ways *= max(1, comb(places, times))
    return ways * max(1, len(name))


def match_name(name: str, expressions: tuple[re.Pattern[str], ...]) -> NameMatch | None:
    """Match a file's name without suffix; return None where no expression matches, or the file is a thumbnail."""
    if is_thumbnail(name):
        return None
    match = next((found for each in expressions if (found := each.fullmatch(name))), None)
    if match is None:
        return None
    values = {key: value for key, value in match.groupdict().items() if value is not None}
    about: dict[str, str] = {}
    for key, value in values.items():
        if key == "row" and "well" not in values and "column" in values:
            about["well"] = format_well(value, values["column"])
        elif key in ("id", *ORIGIN_COLUMNS):
            about[key] = value
    z, t = (int(values[key]) if key in values else None for key in ("z", "t"))
    return NameMatch(values["channel"], about, (z, t))


def is_thumbnail(name: str) -> bool:
    """Whether a name is that of one of MetaXpress' thumbnails."""
    return _THUMBNAIL.search(name) is not None


def guess_preset(name: str) -> str | None:
    """Return the preset that matches a file's name without suffix, or None."""
    for preset in PRESETS:
        match = match_name(name, compile_expressions(None, preset))
        if (
            match
            and _WELL.fullmatch(match.about.get("well", ""))
            and (preset != "metaxpress" or match.channel[0] in "123456789")
        ):
            return preset
    return None


def format_well(row: str, column: str) -> str:
    """Return the name of a well, such as `B03`, from its row, a letter or a number from 1, and its column."""
    if not row.isdigit():
        return f"{row.upper()}{int(column):02d}"
    if not 1 <= int(row) <= _MAX_ROW:  # no plate has a letter for it
        return f"R{row}C{column}"
    at = int(row) - 1
    letters = (chr(ord("A") + at // 26 - 1) if at >= 26 else "") + chr(ord("A") + at % 26)
    return f"{letters}{int(column):02d}"


@lru_cache
def _compile(pattern: str, *, preset: bool = False) -> re.Pattern[str]:
    names = [name for name, _ in _PART.findall(pattern) if name]
    for name in names:
        if name not in PLACEHOLDERS:
            raise UsageError(
                f"`pattern={pattern!r}` has an unknown {{{name}}}.{suggest(name, PLACEHOLDERS)}", code=Code.UNKNOWN_NAME
            )
    if "channel" not in names or len(names) < 2 or len(set(names)) < len(names):
        raise UsageError(
            f"`pattern={pattern!r}` does not separate fields and channels; expected something like "
            "'{plate}_{well}_{site}_{channel}', each name once.",
            code=Code.INVALID_VALUE,
        )
    first = next(found for found in _PART.finditer(pattern) if found[1] not in ("channel", None) or found[2] == "*")
    parts, at = [], 0
    for found in _PART.finditer(pattern):
        parts.append(re.escape(pattern[at : found.start()]))
        name, wildcard = found.groups()
        lazy = "" if found.span() == first.span() else "?"  # the first placeholder matches the rest
        kind = (_STRICT if preset else _DIGITS).get(name, f"[^/]+{lazy}")
        parts.append(f"(?P<{name}>{kind})" if name else f"[^/]*{lazy}" if wildcard == "*" else "[^/]")
        at = found.end()
    return re.compile("".join([*parts, re.escape(pattern[at:])]), re.DOTALL | (re.IGNORECASE if preset else 0))
