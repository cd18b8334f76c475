"""What names of files say."""

from __future__ import annotations

import pytest

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import UsageError
from lociscope.images.discovery.naming import DEFAULT_RULES, ParsedName, Rules, parse_channels, parse_missing


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a1_red.png", ParsedName("a1", "red")),
        ("a1_YELLOW.JPEG", ParsedName("a1", "yellow")),
        ("a_1_blue.tif.gz", ParsedName("a_1", "blue")),
        ("a1_green.ome.tiff", ParsedName("a1", "green")),
        ("a1_DAPI.tif", ParsedName("a1", "blue")),
        ("a1_Alexa 488.tif", ParsedName("a1", "green")),
        ("a1_tubulin.png.gz", ParsedName("a1", "red")),
        ("a1_405.tif", ParsedName("a1_405", None, whole=True)),
        ("a1.ome.tif", ParsedName("a1", None, whole=True)),
        ("a1.tif", ParsedName("a1", None, whole=True)),
        ("image--U01--V00--E02--X00--Y00--Z00--C03.ome.tif", ParsedName("image--U01--V00--E02--X00--Y00--Z00", None)),
        ("a1.jpg", None),
        ("a1.png", None),
        ("red.png", None),
        ("._a1_red.png", None),
        ("a1_red.csv", None),
        ("a1_red.zip", None),
        ("notes.txt", None),
        (".tif", None),
    ],
)
def test_names(name: str, said: ParsedName | None) -> None:
    assert DEFAULT_RULES.parse(name) == said


def test_the_users_own_words_come_first() -> None:
    rules = Rules({"red": "w1", "green": "DAPI", "blue": "C02"})
    assert rules.parse("a_w1.tif") == ParsedName("a", "red")
    assert rules.parse("a_dapi.tif") == ParsedName("a", "green")
    leica = "image--U00--V00--C02.ome.tif"
    assert rules.parse(leica) == ParsedName("image--U00--V00", "blue")


def test_composites_are_read_where_the_er_may_be_missing() -> None:
    assert Rules(allow_missing=("yellow",)).parse("0-3-a.jpg") == ParsedName("0-3-a", None, whole=True)
    assert Rules(allow_missing=("red",)).parse("0-3-a.jpg") is None


def test_patterns() -> None:
    rules = Rules(pattern="{plate}_{well}_f{site}_{channel}")
    about = {"plate": "P 1", "well": "B03", "site": "2"}
    assert rules.parse("P 1_B03_f2_DAPI.ome.tif") == ParsedName("P 1_B03_2", "blue", about=about)
    assert rules.parse("P 1_B03_DAPI.tif") is None
    about["plate"] = "P1"
    assert rules.parse("P1_B03_f2_w7.tif") == ParsedName("P1_B03_2", None, about=about, unknown="w7")
    assert Rules({"red": "w7"}, pattern="{id}-{channel}").parse("a-b-w7.png") == ParsedName("a-b", "red", about={})


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("{plate}_{well}", "does not separate fields and channels"),
        ("{channel}", "does not separate"),
        ("{id}_{id}_{channel}", "does not separate"),
        ("{id}_{chanel}", "unknown {chanel}. Did you mean 'channel'?"),
    ],
)
def test_invalid_patterns(pattern: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        _ = Rules(pattern=pattern).expressions


def test_channels_in_words() -> None:
    assert parse_channels("red=Ch 1, Green=a=b,blue=x\\,y") == {"red": "Ch 1", "green": "a=b", "blue": "x,y"}
    for text, said in (
        ("purple=x", "`channels` has the unknown channel 'purple'. Known: blue, green, red, yellow"),
        ("rde=x", "Did you mean 'red'"),
        ("red", "expected red=NAME"),
        ("red= ", "expected red=NAME"),
        ("red=a,red=b", "repeats the channel or the name"),
        ("red=a,blue=a", "repeats the channel or the name"),
    ):
        with pytest.raises(UsageError, match=said):
            parse_channels(text)


def test_channels_that_may_be_missing() -> None:
    assert parse_missing(["Yellow", "red"]) == ("yellow", "red")
    with pytest.raises(UsageError, match="would leave no protein"):
        parse_missing(["green"])
    with pytest.raises(UsageError, match="`allow_missing` has the unknown channel 'er'"):
        parse_missing(["er"])
    assert set(parse_missing(["red", "blue", "yellow"])) == set(CHANNEL_NAMES) - {"green"}
