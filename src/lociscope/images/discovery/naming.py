"""Parse file names: the field, the channel, and the plate, well and site."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from lociscope.channels import CHANNEL_NAMES, ChannelName, find_channel, match_channel
from lociscope.errors import Code, UsageError, suggest
from lociscope.images.discovery.patterns import compile_expressions, is_thumbnail, match_name
from lociscope.images.io.formats import JPEG, PACKED, PNG, get_suffix

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_COLOUR = re.compile(rf"(?P<id>.+)_(?P<channel>{'|'.join(CHANNEL_NAMES)})", re.IGNORECASE | re.DOTALL)
_STAIN = re.compile(r"(?P<id>.+)_(?P<channel>[^_]*[^\W\d][^_]*)", re.DOTALL)
_LEICA = re.compile(r"(?P<id>image--.+)--(?P<channel>C\d{2})", re.DOTALL)
_NUMBER = re.compile(r"[A-Za-z]{0,3}0*(\d+)")
_COLOURS = re.compile(
    rf"(?P<id>.+?)_(?P<colours>(?:{'|'.join(CHANNEL_NAMES)})(?:_(?:{'|'.join(CHANNEL_NAMES)}))+)"
    r"(?:_(?:selected|small|medium|large|thumb))*",
    re.IGNORECASE | re.DOTALL,
)


class ParsedName(NamedTuple):
    """A parsed file name.

    Attributes:
        id: The field.
        channel: The channel; None where the file has the whole field, or only its metadata give the channel.
        whole: Whether the file has the whole field.
        about: Values of the other placeholders of a pattern.
        slice: Indices of the slice of a stack and of the time point, from a pattern.
        unknown: The text that a pattern matches as the channel, where it is not a known stain.
    """

    id: str
    channel: ChannelName | None
    whole: bool = False
    about: Mapping[str, str] | None = None
    slice: tuple[int | None, int | None] = (None, None)
    unknown: str = ""


def check_pixel_size(size: float, written: str) -> None:
    """Check a pixel size in µm that a user gives.

    Args:
        size: The side of a pixel, µm.
        written: The text as the user wrote it, for the error message.

    Raises:
        UsageError: The size is not in 0–1000 µm.
    """
    if not 0 < size < 1000:
        raise UsageError(
            f"`pixel_size={written}` is not possible; expected µm above 0, such as 0.08.", code=Code.PIXEL_SIZE
        )


@dataclass(frozen=True)
class Rules:
    """Rules for parsing file names and reading fields, from the user.

    Attributes:
        channels: The files' name of each of the four channels.
        allow_missing: Channels that may be missing; they become zeros.
        pixel_size: Side of a pixel in µm; overrides the files.
        plane: The index of a plane in a stack, from 0.
        pattern: The form of names, such as `{plate}_{well}_{site}_{channel}`; `/` separates folders, a suffix is
            ignored.
        preset: The naming scheme of a microscope, a key of `patterns.PRESETS`, instead of a pattern.
    """

    channels: Mapping[ChannelName, str] = field(default_factory=dict)
    allow_missing: tuple[ChannelName, ...] = ()
    pixel_size: float | None = None
    plane: int | None = None
    pattern: str | None = None
    preset: str | None = None

    @cached_property
    def expressions(self) -> tuple[re.Pattern[str], ...]:
        """The regular expressions of the pattern or the preset; empty where there is neither.

        Raises:
            UsageError: Both are given; or the pattern names an unknown placeholder, one of them twice, or no channel.
        """
        pattern = None if self.pattern is None else strip_ome(split_suffix(self.pattern)[0])
        return compile_expressions(pattern, self.preset)

    @property
    def depth(self) -> int:
        """The number of folders above a file in the pattern."""
        return (self.pattern or "").count("/")

    @property
    def declared(self) -> tuple[float | None, int | None, tuple[ChannelName, ...]]:
        """The pixel size, the plane and the optional channels of all fields."""
        return self.pixel_size, self.plane, self.allow_missing

    @cached_property
    def _tokens(self) -> dict[str, ChannelName]:
        return {token.casefold(): channel for channel, token in self.channels.items()}

    @cached_property
    def _numbers(self) -> dict[str, ChannelName]:
        """The user's names that are numbers, such as `w1`, `C01` or `1`, without letters and leading zeros."""
        found = [(match[1], channel) for token, channel in self._tokens.items() if (match := _NUMBER.fullmatch(token))]
        return dict(found) if len({number for number, _ in found}) == len(found) else {}

    def parse(self, name: str) -> ParsedName | None:
        """Parse the name of a file.

        Args:
            name: With its suffix, without folders; where the pattern has folders, with these, separated by `/`.

        Returns:
            The parsed name; None where the file is not an image of a field.
        """
        stem, suffix = split_suffix(name)
        if not suffix:
            return None
        if self.expressions:
            return self._by_pattern(strip_ome(stem))
        if (match := _COLOUR.fullmatch(stem)) and match["channel"].casefold() not in self._tokens:
            return ParsedName(match["id"], self.find_channel(match["channel"]))
        stem = strip_ome(stem)
        if match := _LEICA.fullmatch(stem):
            return ParsedName(match["id"], self._tokens.get(match["channel"].casefold()))
        if (match := _STAIN.fullmatch(stem)) and (channel := self.find_channel(match["channel"])):
            return ParsedName(match["id"], channel)
        if not stem or is_thumbnail(stem) or (suffix in (*PNG, *JPEG) and not self._takes_colour):
            return None
        return ParsedName(stem, None, whole=True)

    def find_channel(self, token: str) -> ChannelName | None:
        """Return the channel of a part of a name, by the user's names or common ones; None where it has none."""
        return self._tokens.get(token.casefold()) or find_channel(token)

    def match_channel(self, word: str) -> ChannelName | None:
        """Return the channel whose name is the whole word, by the user's names or common ones."""
        return self._tokens.get(word.casefold()) or match_channel(word)

    @property
    def _takes_colour(self) -> bool:
        """Whether the user allows fields that are one colour image, without a channel in its name.

        An RGB composite has no ER; the planes of an image of four planes are named by their indices.
        """
        return "yellow" in self.allow_missing or bool(self.channels and all(map(str.isdigit, self._tokens)))

    def _by_pattern(self, stem: str) -> ParsedName | None:
        match = match_name(stem, self.expressions)
        if match is None:
            return None
        number = _NUMBER.fullmatch(match.channel)
        channel = (number and self._numbers.get(number[1])) or self.find_channel(match.channel)
        if channel is None:  # IN Cell gives excitation and emission, `Blue - FITC`; the emission is the stain's
            channel = self.find_channel(match.channel.rpartition(" - ")[2])
        about = dict(match.about)
        identifier = about.pop("id", "_".join(about.values()))
        return ParsedName(identifier, channel, False, about, match.slice, "" if channel else match.channel)


DEFAULT_RULES = Rules()


def split_suffix(name: str) -> tuple[str, str]:
    """Split a name into its stem and its suffix, which is empty where the file is not an image."""
    suffix = get_suffix(name)
    if not suffix or re.match(r"\._", name.rpartition("/")[2]):  # of macOS, on other file systems
        return name, ""
    return name[: -len(suffix) - (len(PACKED) if name.lower().endswith(PACKED) else 0)], suffix


def parse_composite_name(name: str) -> tuple[str, tuple[ChannelName, ...]] | None:
    """Parse the name of a composite as the Human Protein Atlas serves it, `<id>_blue_red_green.jpg`.

    Returns:
        The field, and the channels in the composite; None where the name has another form. A field may also have such
        a name: `a_red` with its file `a_red_green.png`.
    """
    stem, suffix = split_suffix(name)
    match = _COLOURS.fullmatch(stem)
    if suffix not in (*PNG, *JPEG) or match is None:
        return None
    colours = [colour.casefold() for colour in match["colours"].split("_")]
    if len(set(colours)) < len(colours):
        return None
    return match["id"], tuple(name for name in CHANNEL_NAMES if name in colours)


def strip_ome(stem: str) -> str:
    """Remove the `.ome` that OME-TIFF and OME-Zarr have before their suffix."""
    return re.sub(r"\.ome$", "", stem, flags=re.IGNORECASE)


def parse_channels(text: str) -> dict[ChannelName, str]:
    r"""Parse `red=…,green=…`, the files' name of each channel; a comma in a name is written `\\,`.

    Raises:
        UsageError: A part is not `channel=name`, names no channel, or a channel or a name occurs twice.
    """
    channels: dict[ChannelName, str] = {}
    for part in re.split(r"(?<!\\),", text):
        key, equals, name = part.replace("\\,", ",").partition("=")
        channel = _check_channel(key, "channels")
        if not equals or not name.strip():
            raise UsageError(
                f"`channels` has {part!r}; expected red=NAME,green=NAME,blue=NAME,yellow=NAME.",
                code=Code.INVALID_VALUE,
            )
        if channel in channels or name.strip() in channels.values():
            raise UsageError(
                f"`channels` repeats the channel or the name of {part!r}. Give each channel and name once.",
                code=Code.DUPLICATE,
            )
        channels[channel] = name.strip()
    return channels


def parse_missing(names: Iterable[str]) -> tuple[ChannelName, ...]:
    """Check the channels that may be missing.

    Raises:
        UsageError: A name is not a channel, or is that of the protein.
    """
    channels = tuple(_check_channel(name, "allow_missing") for name in names)
    if "green" in channels:
        raise UsageError(
            "`allow_missing=green` would leave no protein to predict. Name red, blue or yellow.",
            code=Code.INVALID_VALUE,
        )
    return channels


def _check_channel(name: str, parameter: str) -> ChannelName:
    for channel in CHANNEL_NAMES:
        if name.strip().casefold() == channel:
            return channel
    raise UsageError(
        f"`{parameter}` has the unknown channel {name.strip()!r}.{suggest(name, CHANNEL_NAMES)}",
        code=Code.UNKNOWN_NAME,
    )
