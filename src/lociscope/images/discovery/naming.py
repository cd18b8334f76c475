"""What the name of a file says: which field it belongs to, which channel it is, and where it was taken."""

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
    """What a file's name says.

    Attributes:
        id: The field.
        channel: The channel; None where the file holds the whole field, or only its metadata can tell.
        whole: Whether the file holds the whole field.
        about: Values of the pattern's other placeholders, where there is a pattern.
        slice: Numbers of the slice of a stack and of the time point, where a pattern finds them.
        unknown: What a pattern finds in the channel's place, where no stain is known by it.
    """

    id: str
    channel: ChannelName | None
    whole: bool = False
    about: Mapping[str, str] | None = None
    slice: tuple[int | None, int | None] = (None, None)
    unknown: str = ""


def check_pixel_size(size: float, written: str) -> None:
    """Checks the side of a pixel in µm that a user declares, which the sentence repeats as it was written.

    Raises:
        UsageError: It cannot be.
    """
    if not 0 < size < 1000:
        raise UsageError(f"--pixel-size {written} cannot be; expected µm above 0, such as 0.08.", code=Code.PIXEL_SIZE)


@dataclass(frozen=True)
class Rules:
    """How files are told apart, and what a field may lack: what a user says about a set of files.

    Attributes:
        channels: For each of the four channels, what the files call it.
        allow_missing: Channels that a field may lack; they become zeros.
        pixel_size: Side of a pixel in µm, whatever the files say.
        plane: The slice of a stack, from 0.
        pattern: What names look like, as in `{plate}_{well}_{site}_{channel}`; `/` parts folders, a suffix is ignored.
        preset: The microscope whose names they are, a key of `patterns.PRESETS`, instead of a pattern.
    """

    channels: Mapping[ChannelName, str] = field(default_factory=dict)
    allow_missing: tuple[ChannelName, ...] = ()
    pixel_size: float | None = None
    plane: int | None = None
    pattern: str | None = None
    preset: str | None = None

    @cached_property
    def expressions(self) -> tuple[re.Pattern[str], ...]:
        """The pattern or the preset as regular expressions; none where there is neither.

        Raises:
            UsageError: Both are given; or the pattern names an unknown placeholder, one of them twice, or no channel.
        """
        pattern = None if self.pattern is None else strip_ome(split_suffix(self.pattern)[0])
        return compile_expressions(pattern, self.preset)

    @property
    def depth(self) -> int:
        """How many folders above a file the pattern describes."""
        return (self.pattern or "").count("/")

    @property
    def declared(self) -> tuple[float | None, int | None, tuple[ChannelName, ...]]:
        """What holds for every field: its pixel size, its plane, and the channels that it may lack."""
        return self.pixel_size, self.plane, self.allow_missing

    @cached_property
    def _tokens(self) -> dict[str, ChannelName]:
        return {token.casefold(): channel for channel, token in self.channels.items()}

    @cached_property
    def _numbers(self) -> dict[str, ChannelName]:
        """The user's names that are numbers, `w1` or `C01` or `1`, without letters and leading zeros."""
        found = [(match[1], channel) for token, channel in self._tokens.items() if (match := _NUMBER.fullmatch(token))]
        return dict(found) if len({number for number, _ in found}) == len(found) else {}

    def parse(self, name: str) -> ParsedName | None:
        """Reads the name of a file.

        Args:
            name: With its suffix, without folders; where the pattern describes folders, with those, parted by `/`.

        Returns:
            What it says, or None where the file is no picture of a field.
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
        """The channel that a part of a name stands for: as the user says, or by common names."""
        return self._tokens.get(token.casefold()) or find_channel(token)

    def match_channel(self, word: str) -> ChannelName | None:
        """The channel that a word as a whole is the name of, to the user or commonly."""
        return self._tokens.get(word.casefold()) or match_channel(word)

    @property
    def _takes_colour(self) -> bool:
        """Whether a colour picture without a channel in its name is a field, which a user asks for.

        An RGB composite has no ER; of a picture of four planes, numbers say which is which.
        """
        return "yellow" in self.allow_missing or bool(self.channels and all(map(str.isdigit, self._tokens)))

    def _by_pattern(self, stem: str) -> ParsedName | None:
        match = match_name(stem, self.expressions)
        if match is None:
            return None
        number = _NUMBER.fullmatch(match.channel)
        channel = (number and self._numbers.get(number[1])) or self.find_channel(match.channel)
        if channel is None:  # IN Cell names excitation and emission, `Blue - FITC`; the latter is the stain's
            channel = self.find_channel(match.channel.rpartition(" - ")[2])
        about = dict(match.about)
        identifier = about.pop("id", "_".join(about.values()))
        return ParsedName(identifier, channel, False, about, match.slice, "" if channel else match.channel)


DEFAULT_RULES = Rules()


def split_suffix(name: str) -> tuple[str, str]:
    """Takes a name into what comes before its suffix, and the suffix, which is empty where the file is no picture."""
    suffix = get_suffix(name)
    if not suffix or re.match(r"\._", name.rpartition("/")[2]):  # macOS keeps such a file beside each on foreign disks
        return name, ""
    return name[: -len(suffix) - (len(PACKED) if name.lower().endswith(PACKED) else 0)], suffix


def parse_composite_name(name: str) -> tuple[str, tuple[ChannelName, ...]] | None:
    """Reads the name of a composite as the Human Protein Atlas serves it, `<id>_blue_red_green.jpg`.

    Returns:
        The field, and the channels that are drawn in it; None where the name is of another kind. A field may be
        called so, too: `a_red` with its file `a_red_green.png`.
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
    """A stem without the `.ome` that OME-TIFF and OME-Zarr have before their suffix."""
    return re.sub(r"\.ome$", "", stem, flags=re.IGNORECASE)


def parse_channels(text: str) -> dict[ChannelName, str]:
    r"""Reads `red=…,green=…`, what files call each channel; a comma in a name is written `\\,`.

    Raises:
        UsageError: A part is no `channel=name`, names no channel, or a channel or a name comes twice.
    """
    channels: dict[ChannelName, str] = {}
    for part in re.split(r"(?<!\\),", text):
        key, equals, name = part.replace("\\,", ",").partition("=")
        channel = _check_channel(key, "--channels")
        if not equals or not name.strip():
            raise UsageError(
                f"--channels has {part!r}; expected red=NAME,green=NAME,blue=NAME,yellow=NAME.",
                code=Code.UNKNOWN_CHANNEL,
            )
        if channel in channels or name.strip() in channels.values():
            raise UsageError(f"--channels says twice what {part!r} says. Name each channel once.", code=Code.DUPLICATE)
        channels[channel] = name.strip()
    return channels


def parse_missing(names: Iterable[str]) -> tuple[ChannelName, ...]:
    """Checks the channels that may be missing.

    Raises:
        UsageError: One is no channel, or is the protein's own.
    """
    channels = tuple(_check_channel(name, "--allow-missing") for name in names)
    if "green" in channels:
        raise UsageError(
            "--allow-missing green would leave no protein to predict. Name red, blue or yellow.",
            code=Code.MISSING_CHANNEL,
        )
    return channels


def _check_channel(name: str, option: str) -> ChannelName:
    for channel in CHANNEL_NAMES:
        if name.strip().casefold() == channel:
            return channel
    raise UsageError(
        f"{option} knows no channel {name.strip()!r}.{suggest(name, CHANNEL_NAMES)}", code=Code.UNKNOWN_CHANNEL
    )
