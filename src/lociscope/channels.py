"""The four channels of a field, their order RGBY, and the stains, dyes and wavelengths that name them in files."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from collections.abc import Iterator

ChannelName = Literal["red", "green", "blue", "yellow"]


class Channel(NamedTuple):
    """One channel of a field.

    Attributes:
        name: The colour that names it in file names, columns and options.
        stain: The cell structure that it shows.
        colour: Its colour in composites, RGB weights in 0–1.
    """

    name: ChannelName
    stain: str
    colour: tuple[float, float, float]


CHANNELS: tuple[Channel, ...] = (
    Channel("red", "microtubules", (1.0, 0.0, 0.0)),
    Channel("green", "protein", (0.0, 1.0, 0.0)),
    Channel("blue", "nucleus", (0.0, 0.0, 1.0)),
    Channel("yellow", "endoplasmic reticulum", (1.0, 1.0, 0.0)),
)
"""The channels in the order of the last axis of every array of pixels."""

CHANNEL_NAMES: tuple[ChannelName, ...] = get_args(ChannelName)
RED, GREEN, BLUE, YELLOW = range(4)

_STAINS: dict[ChannelName, tuple[str, ...]] = {
    "red": (
        "red", "microtubule", "microtubules", "tubulin", "alphatubulin", "betatubulin", "mt", "tub",
        "sirtubulin", "tritc", "cy3", "rfp", "mcherry", "texasred", "txred", "rhodamine", "alexa546", "alexa555",
        "alexa561",        "alexa568", "alexa594", "af546", "af555", "af568", "af594", "alexafluor546", "alexafluor555",
        "alexafluor568", "alexafluor594", "dsred", "tdtomato",
    ),
    "green": (
        "green", "protein", "proteinofinterest", "poi", "antibody", "target", "gfp", "egfp", "fitc", "mneongreen",
        "alexa488", "af488", "alexafluor488", "cy2", "bodipyfl",
    ),
    "blue": (
        "blue", "nucleus", "nuclei", "nuclear", "dna", "dapi", "hoechst", "hoechst33342", "hoechst33258", "h33342",
        "sytox", "draq5", "nucblue", "chromatin",
    ),
    "yellow": (
        "yellow", "er", "endoplasmicreticulum", "calreticulin", "calr", "kdel", "pdi", "cona", "concanavalina",
        "ertracker", "cy5", "alexa633", "alexa647", "af633", "af647", "alexafluor633", "alexafluor647", "farred",
    ),
}  # fmt: skip
"""Names of stains and dyes, without case, spaces and punctuation. Dyes that label several stains follow
the Human Protein Atlas: protein Alexa Fluor 488, microtubules Alexa Fluor 555, ER Alexa Fluor 647, nucleus DAPI
(Thul et al., Science 356, eaal3321, 2017)."""

_WAVELENGTHS: tuple[tuple[ChannelName, tuple[int, int], tuple[int, int]], ...] = (
    ("blue", (350, 410), (420, 475)),
    ("green", (470, 500), (500, 545)),
    ("red", (530, 600), (550, 625)),
    ("yellow", (625, 655), (655, 720)),
)
"""For each channel its excitation and emission wavelengths, nm."""

_WORDS: dict[str, ChannelName] = {word: channel for channel, words in _STAINS.items() for word in words}


@lru_cache(maxsize=4096)
def find_channel(name: str) -> ChannelName | None:
    """Return the channel that a stain, a dye or a wavelength names.

    Args:
        name: A name in a file, such as `DAPI`, `Alexa Fluor 488`, `ER (calreticulin)`, `Em 525 nm`.

    Returns:
        The channel, or None where the name is unknown or its words name different channels.
    """
    if whole := match_channel(name):
        return whole
    words = [_letters(word) for word in re.split(r"[\W_]+", name) if word]
    found = set(_in_words(words)) or _by_wavelength(name)
    return found.pop() if len(found) == 1 else None


def match_channel(word: str) -> ChannelName | None:
    """Return the channel that a whole word names, `DAPI` but not `DAPI 2`; None for other words."""
    return _WORDS.get(_letters(word))


def _in_words(words: list[str]) -> Iterator[ChannelName]:
    """Yield the channels of the longest known runs of words: `far red` is not red."""
    at = 0
    while at < len(words):
        ends = range(len(words), at, -1)
        end = next((end for end in ends if "".join(words[at:end]) in _WORDS), 0)
        if end:
            yield _WORDS["".join(words[at:end])]
        at = end or at + 1


def _by_wavelength(name: str) -> set[ChannelName]:
    """Return the channels of a number marked as a wavelength: `525 nm`, `Ex488`, `em_461`, `561 laser`."""
    match = re.search(
        r"(?:(?P<kind>ex|em)[a-z]*[ _-]*)?(?<!\d)(?P<nm>[3-7]\d\d)(?!\d)[ _-]*(?P<unit>nm|laser|ex\b|em\b)?", name, re.I
    )
    if not match or not (match["kind"] or match["unit"]):
        return set()
    nm, kind = int(match["nm"]), (match["kind"] or match["unit"] or "").lower()
    excited = {channel for channel, (low, high), _ in _WAVELENGTHS if low <= nm <= high}
    emitted = {channel for channel, _, (low, high) in _WAVELENGTHS if low <= nm <= high}
    return excited if kind in ("ex", "laser") else emitted if kind == "em" else excited | emitted


def _letters(text: str) -> str:
    """Return only letters and digits, in lower case, with Greek alpha and beta spelt out."""
    spelt = text.lower().replace("\N{GREEK SMALL LETTER ALPHA}", "alpha").replace("\N{GREEK SMALL LETTER BETA}", "beta")
    return "".join(each for each in spelt if each.isalnum())
