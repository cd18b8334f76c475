"""What the name of a file says: which field it belongs to, which channel it is, and where it was taken."""

import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from lociscope.channels import CHANNEL_NAMES, ChannelName, channel_named
from lociscope.errors import UsageError, nearest
from lociscope.images.formats import JPEG, PACKED, PNG, suffix_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ABOUT = ("antibody", "plate", "well", "site", "gene", "cell_line", "specimen")
"""Placeholders of a pattern that become columns of a Catalog; `id` and `channel` are the others."""

_COLOUR = re.compile(rf"(?P<id>.+)_(?P<channel>{'|'.join(CHANNEL_NAMES)})", re.IGNORECASE | re.DOTALL)
_STAIN = re.compile(r"(?P<id>.+)_(?P<channel>[^_]*[^\W\d][^_]*)", re.DOTALL)
_LEICA = re.compile(r"(?P<id>image--.+)--(?P<channel>C\d{2})", re.DOTALL)
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class Named(NamedTuple):
    """What a file's name says.

    Attributes:
        id: The field.
        channel: The channel; None where the file holds the whole field, or only its metadata can tell.
        whole: Whether the file holds the whole field.
        about: Values of the pattern's other placeholders, where there is a pattern.
    """

    id: str
    channel: ChannelName | None
    whole: bool = False
    about: "Mapping[str, str] | None" = None


def check_pixel_size(size: float, written: str) -> None:
    """Checks the side of a pixel in µm that a user declares, which the sentence repeats as it was written.

    Raises:
        UsageError: It cannot be.
    """
    if not 0 < size < 1000:
        raise UsageError(f"--pixel-size {written} cannot be; expected µm above 0, such as 0.08.")


@dataclass(frozen=True)
class Rules:
    """How files are told apart, and what a field may lack: what a user says about a set of files.

    Attributes:
        channels: For each of the four channels, what the files call it.
        allow_missing: Channels that a field may lack; they become zeros.
        pixel_size: Side of a pixel in µm, whatever the files say.
        plane: The slice of a stack, from 0.
        pattern: What names look like, without suffix, as in `{plate}_{well}_{site}_{channel}`.
    """

    channels: "Mapping[ChannelName, str]" = field(default_factory=dict)
    allow_missing: tuple[ChannelName, ...] = ()
    pixel_size: float | None = None
    plane: int | None = None
    pattern: str | None = None

    @cached_property
    def expression(self) -> re.Pattern[str] | None:
        """The pattern as a regular expression.

        Raises:
            UsageError: It names an unknown placeholder, one of them twice, or no channel.
        """
        return None if self.pattern is None else _expression(self.pattern)

    @property
    def declared(self) -> tuple[float | None, int | None, tuple[ChannelName, ...]]:
        """What holds for every field: its pixel size, its plane, and the channels that it may lack."""
        return self.pixel_size, self.plane, self.allow_missing

    @cached_property
    def _tokens(self) -> "dict[str, ChannelName]":
        return {token.casefold(): channel for channel, token in self.channels.items()}

    def named(self, name: str) -> Named | None:
        """Reads the name of a file.

        Args:
            name: With its suffix, without folders.

        Returns:
            What it says, or None where the file is no picture of a field.
        """
        suffix = suffix_of(name)
        if not suffix or re.match(r"\._", name):  # macOS keeps such a file beside each on foreign disks
            return None
        stem = name[: -len(suffix) - (len(PACKED) if name.lower().endswith(PACKED) else 0)]
        if self.expression is not None:
            return self._by_pattern(stem, self.expression)
        if (match := _COLOUR.fullmatch(stem)) and match["channel"].casefold() not in self._tokens:
            return Named(match["id"], self.channel_of(match["channel"]))
        stem = re.sub(r"\.ome$", "", stem, flags=re.IGNORECASE)
        if match := _LEICA.fullmatch(stem):
            return Named(match["id"], self._tokens.get(match["channel"].casefold()))
        if (match := _STAIN.fullmatch(stem)) and (channel := self.channel_of(match["channel"])):
            return Named(match["id"], channel)
        if not stem or (suffix in (*PNG, *JPEG) and "yellow" not in self.allow_missing):
            return None  # a composite has no ER, and is asked for by saying so
        return Named(stem, None, whole=True)

    def channel_of(self, token: str) -> ChannelName | None:
        """The channel that a part of a name stands for: as the user says, or by common names."""
        return self._tokens.get(token.casefold()) or channel_named(token)

    def _by_pattern(self, stem: str, expression: re.Pattern[str]) -> Named | None:
        match = expression.fullmatch(re.sub(r"\.ome$", "", stem, flags=re.IGNORECASE))
        channel = match and self.channel_of(match["channel"])
        if match is None or channel is None:
            return None
        about = {name: value for name, value in match.groupdict().items() if name != "channel"}
        identifier = about.pop("id", "_".join(about.values()))
        return Named(identifier, channel, about=about)


DEFAULT_RULES = Rules()


def parse_channels(text: str) -> "dict[ChannelName, str]":
    r"""Reads `red=…,green=…`, what files call each channel; a comma in a name is written `\\,`.

    Raises:
        UsageError: A part is no `channel=name`, names no channel, or a channel or a name comes twice.
    """
    channels: dict[ChannelName, str] = {}
    for part in re.split(r"(?<!\\),", text):
        key, equals, name = part.replace("\\,", ",").partition("=")
        channel = _channel(key, "--channels")
        if not equals or not name.strip():
            raise UsageError(f"--channels has {part!r}; expected red=NAME,green=NAME,blue=NAME,yellow=NAME.")
        if channel in channels or name.strip() in channels.values():
            raise UsageError(f"--channels says twice what {part!r} says. Name each channel once.")
        channels[channel] = name.strip()
    return channels


def parse_missing(names: "Iterable[str]") -> tuple[ChannelName, ...]:
    """Checks the channels that may be missing.

    Raises:
        UsageError: One is no channel, or is the protein's own.
    """
    channels = tuple(_channel(name, "--allow-missing") for name in names)
    if "green" in channels:
        raise UsageError("--allow-missing green would leave no protein to predict. Name red, blue or yellow.")
    return channels


def _channel(name: str, option: str) -> ChannelName:
    for channel in CHANNEL_NAMES:
        if name.strip().casefold() == channel:
            return channel
    raise UsageError(f"{option} knows no channel {name.strip()!r}.{nearest(name, CHANNEL_NAMES)}")


@lru_cache
def _expression(pattern: str) -> re.Pattern[str]:
    names = _PLACEHOLDER.findall(pattern)
    known = ("id", "channel", *ABOUT)
    for name in names:
        if name not in known:
            raise UsageError(f"--pattern {pattern!r} has an unknown {{{name}}}.{nearest(name, known)}")
    if "channel" not in names or len(names) < 2 or len(set(names)) < len(names):
        raise UsageError(
            f"--pattern {pattern!r} does not part fields and channels; expected something like "
            "'{plate}_{well}_{site}_{channel}', each name once."
        )
    first = next(name for name in names if name != "channel")  # it takes what is left over
    return re.compile(
        "".join(
            re.escape(part) if number % 2 == 0 else f"(?P<{part}>.+)" if part == first else f"(?P<{part}>.+?)"
            for number, part in enumerate(_PLACEHOLDER.split(pattern))
        ),
        re.DOTALL,
    )
