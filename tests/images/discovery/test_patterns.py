"""The language of patterns, and the names of microscopes."""

from __future__ import annotations

import pytest

from lociscope.errors import UsageError
from lociscope.images.discovery.naming import ParsedName, Rules
from lociscope.images.discovery.patterns import (
    PRESETS,
    compile_expressions,
    format_well,
    guess_preset,
    match_name,
    parse_preset,
)

GUID = "1F3FDE5E-0A1B-4C2D-8E9F-0123456789AB"


@pytest.mark.parametrize(
    ("preset", "stem", "channel", "about", "slice_"),
    [
        ("metaxpress", f"A_b_A01_s1_w1{GUID}", "1", {"plate": "A_b", "well": "A01", "site": "1"}, (None, None)),
        ("metaxpress", f"P_B12_s9_z3_w2{GUID}", "2", {"plate": "P", "well": "B12", "site": "9"}, (3, None)),
        ("metaxpress", "P_A01_s1_w4", "4", {"plate": "P", "well": "A01", "site": "1"}, (None, None)),
        ("metaxpress", f"P_A01_w2{GUID}", "2", {"plate": "P", "well": "A01"}, (None, None)),
        ("phenix", "r01c01f01p01-ch1sk1fk1fl1", "1", {"well": "A01", "site": "01"}, (1, 1)),
        ("phenix", "r16c24f09p03-ch4sk2fk1fl1", "4", {"well": "P24", "site": "09"}, (3, 2)),
        (
            "yokogawa", "Plate_#6_A01_T0001F001L01A03Z02C04", "04",
            {"plate": "Plate_#6", "well": "A01", "site": "001"}, (2, 1),
        ),
        ("incell", "A - 01(fld 01 wv DAPI - DAPI)", "DAPI - DAPI", {"well": "A01", "site": "01"}, (None, None)),
        ("incell", "P - 24(fld 9 wv Blue - FITC z 3)", "Blue - FITC", {"well": "P24", "site": "9"}, (3, None)),
        ("incell", "A - 1(fld 1 wv Red - Cy5 time 2 - 0 ms)", "Red - Cy5", {"well": "A01", "site": "1"}, (None, 2)),
        ("scanr", "A01--W00001--P00003--Z00000--T00002--DAPI", "DAPI", {"well": "A01", "site": "00003"}, (0, 2)),
    ],
)  # fmt: skip
def test_names_of_microscopes(
    preset: str, stem: str, channel: str, about: dict[str, str], slice_: tuple[int | None, int | None]
) -> None:
    assert match_name(stem, compile_expressions(None, preset)) == (channel, about, slice_)
    assert guess_preset(stem) == preset


@pytest.mark.parametrize("stem", [f"P_A01_s1_w1_thumb{GUID}", "P_A01_s1_w1_thumb", "P_A01_s1_thumb_w1"])
def test_thumbnails_are_no_pictures(stem: str) -> None:
    assert match_name(stem, compile_expressions(None, "metaxpress")) is None
    assert match_name(stem, compile_expressions("{plate}_{well}_s{site}_w{channel}*", None)) is None
    assert Rules().parse(f"{stem}.tif") is None


@pytest.mark.parametrize(
    "stem",
    ["a1", "A01_protein", "siRNA_B02_f1", "10580_1610_C1_1", "image--U01--V00--Z00--C03", "my_B02_water", "a (1)"],
)
def test_names_of_no_microscope(stem: str) -> None:
    assert guess_preset(stem) is None


def test_presets_are_found_by_the_names_that_people_use() -> None:
    for word, preset in (
        ("MetaXpress", "metaxpress"), ("ImageXpress", "metaxpress"), ("Opera Phenix", "phenix"), ("operetta", "phenix"),
        ("opera-phenix", "phenix"), ("CV8000", "yokogawa"), ("IN Cell", "incell"), ("in_cell", "incell"),
        ("ScanR", "scanr"),
    ):  # fmt: skip
        assert parse_preset(word) == preset
    with pytest.raises(UsageError, match=r"`preset` has no 'metaexpress'. Did you mean 'metaxpress'\?"):
        parse_preset("metaexpress")
    with pytest.raises(UsageError, match="Known: incell, metaxpress, phenix, scanr, yokogawa"):
        parse_preset("zeiss")
    with pytest.raises(UsageError, match=r"exclude each other\. Give one of them"):
        compile_expressions("{id}_{channel}", "phenix")
    assert all(compile_expressions(None, preset) for preset in PRESETS)


def test_wildcards_stand_for_anything_but_a_folder() -> None:
    rules = Rules({"red": "1"}, pattern="{id}-??-*_c{channel}")
    assert rules.parse("a-b-xy-whatever_c1.tif") == ParsedName("a-b", "red", about={})
    assert rules.parse("a-xy-_c1.tif") == ParsedName("a", "red", about={})
    assert rules.parse("a-x-_c1.tif") is None
    rules = Rules({"red": "1"}, pattern="*_{well}_s{site}_w{channel}*")
    assert rules.parse(f"My_plate_A01_s2_w1{GUID}.tif") == ParsedName(
        "A01_2", "red", about={"well": "A01", "site": "2"}
    )
    assert Rules(pattern="{id}_{channel}.ome.tif").parse("a_DAPI.ome.tif") == ParsedName("a", "blue", about={})
    assert Rules(pattern="{id}_{channel}.TIF").parse("a_DAPI.tif") == ParsedName("a", "blue", about={})
    folders = Rules(pattern="{channel}/{id}_*")
    assert (folders.depth, folders.parse("DAPI/a_x.tif")) == (1, ParsedName("a", "blue", about={}))
    assert folders.parse("DAPI/deeper/a_x.tif") is None


@pytest.mark.parametrize("said", ["w1", "W1", "1", "01", "ch1"])
def test_numbered_channels_are_given_with_or_without_letters(said: str) -> None:
    rules = Rules({"red": said}, preset="metaxpress")
    named = rules.parse(f"P_A01_s1_w1{GUID}.TIF")
    assert named == ParsedName("P_A01_1", "red", about={"plate": "P", "well": "A01", "site": "1"})
    other = rules.parse(f"P_A01_s1_w2{GUID}.TIF")
    assert other is not None
    assert (other.channel, other.unknown) == (None, "2")


@pytest.mark.parametrize(
    ("filters", "channel"),
    [
        ("UV - DAPI", "blue"),
        ("Blue - FITC", "green"),
        ("Green - dsRed", "red"),
        ("Red - Cy5", "yellow"),
        ("Cy5 - Cy5", "yellow"),
    ],
)
def test_in_cell_names_excitation_and_emission(filters: str, channel: str) -> None:
    named = Rules(preset="incell").parse(f"B - 03(fld 2 wv {filters}).tif")
    assert named is not None
    assert (named.id, named.channel) == ("B03_2", channel)


def test_wells_of_rows_and_columns() -> None:
    for row, column, well in (
        ("1", "1", "A01"),
        ("16", "024", "P24"),
        ("27", "1", "AA01"),
        ("32", "48", "AF48"),
        ("b", "3", "B03"),
    ):
        assert format_well(row, column) == well
    assert format_well("99999999", "1") == "R99999999C1"  # no plate has a letter for it
