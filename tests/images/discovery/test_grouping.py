"""Which files make a field: composites beside channels, planes of stacks, channels of presets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import LociscopeError
from lociscope.images.discovery.naming import Rules, parse_channels, parse_composite_name
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.read import read_field

WriteField = Callable[..., Path]
WITHOUT_ER = Rules(allow_missing=("yellow",))
GUID = "1F3FDE5E-0A1B-4C2D-8E9F-0123456789A"
NUMBERS = parse_channels("red=3,green=2,blue=1,yellow=4")


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def planes(identifier: str, *but: str) -> list[str]:
    return [f"{identifier}_{name}.jpg" for name in CHANNEL_NAMES if name not in but]


# === Composites ===


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("800_A6_1_blue_red_green.jpg", ("800_A6_1", ("red", "green", "blue"))),
        ("a_red_green_blue.PNG", ("a", ("red", "green", "blue"))),
        ("a_blue_red_green_yellow.jpg", ("a", ("red", "green", "blue", "yellow"))),
        ("a_blue_red_green_medium.jpg", ("a", ("red", "green", "blue"))),
        ("a_red_green.jpg", ("a", ("red", "green"))),
        ("a_red.jpg", None),
        ("a_red_red.jpg", None),
        ("red_green.jpg", None),
        ("a_blue_red_green.tif", None),
        ("a_blue_red_green.txt", None),
    ],
)
def test_names_of_composites(name: str, read: tuple[str, tuple[str, ...]] | None) -> None:
    assert parse_composite_name(name) == read


@pytest.mark.parametrize(
    "name",
    [
        "a_blue_red_green.jpg", "a_red_green_blue.jpg", "a_green_red_blue_yellow.jpg", "a_blue_green.jpg",
        "a_blue_red_green_medium.jpg", "a.jpg",
    ],
)  # fmt: skip
@pytest.mark.parametrize("rules", [Rules(), WITHOUT_ER])
def test_composites_beside_channels_are_left_out(tmp_path: Path, name: str, rules: Rules) -> None:
    folder = touch(tmp_path, *planes("a"), name, *planes("b"))
    found, failures = find_fields([folder], rules)
    assert ([source.id for source in found], failures) == (["a", "b"], [])
    assert [path.name for path in found[0].refs] == planes("a")
    (folder / "a_green.jpg").unlink()
    found, (failure,) = find_fields([folder], rules)
    assert [source.id for source in found] == ["b"]
    assert "Field 'a' has no _green file" in failure.reason


def test_a_composite_alone_is_read_where_the_er_may_be_missing(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(rgb).save(tmp_path / "a_blue_red_green.png")
    (source,), failures = find_fields([tmp_path], WITHOUT_ER)
    assert (source.id, failures) == ("a", [])
    field = read_field(source)
    assert field.missing == ("yellow",)
    np.testing.assert_array_equal(field.pixels[..., :3], rgb)  # planes are told by colour, not by the name's order
    assert find_fields([tmp_path / "a_blue_red_green.png"], WITHOUT_ER)[0] == [source]
    found, (failure,) = find_fields([tmp_path])
    assert found == []
    assert failure.reason == (
        "Field 'a' has only 'a_blue_red_green.png', a composite without yellow. Add the files of its channels, or pass "
        "`allow_missing=yellow` to read the composite."
    )


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a_blue_red_green_yellow.jpg"], "shows four channels in three colours; they cannot be separated"),
        (["a_blue_green.jpg"], "a composite without red. .* pass `allow_missing=red` to read"),
        (["a_blue_red.jpg"], "has no protein. Add the files of its channels"),
        (["a_blue_red_green.jpg", "a_green_red_blue.jpg"], "has two composites, .* Keep one of them"),
    ],
)
def test_composites_that_give_no_field(tmp_path: Path, names: list[str], said: str) -> None:
    _, (failure,) = find_fields([touch(tmp_path, *names)], WITHOUT_ER)
    assert failure.id == "a"
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(failure.reason)


def test_one_composite_of_three_colours_is_chosen_over_one_of_four(tmp_path: Path) -> None:
    (source,), failures = find_fields(
        [touch(tmp_path, "a_blue_red_green.jpg", "a_blue_red_green_yellow.jpg")], WITHOUT_ER
    )
    assert ({path.name for path in source.refs}, failures) == ({"a_blue_red_green.jpg"}, [])


# === Presets ===

MetaXpress = [f"P_A01_s{site}_w{w}{GUID}{w}.TIF" for site in (1, 2) for w in (1, 2, 3, 4)]
PHENIX = [f"r01c0{c}f01p01-ch{ch}sk1fk1fl1.tiff" for c in (1, 2) for ch in (1, 2, 3, 4)]
YOKOGAWA = [f"P_A0{c}_T0001F001L01A0{ch}Z01C0{ch}.tif" for c in (1, 2) for ch in (1, 2, 3, 4)]
IN_CELL = [
    f"A - 0{c}(fld 1 wv {f}).tif" for c in (1, 2) for f in ("UV - DAPI", "Blue - FITC", "Green - Cy3", "Red - Cy5")
]
SCAN_R = [f"A0{c}--W00001--P00001--Z00000--T00000--{s}.tif" for c in (1, 2) for s in ("DAPI", "GFP", "Cy3", "Cy5")]


@pytest.mark.parametrize(
    ("preset", "names", "rules", "ids", "well"),
    [
        ("metaxpress", MetaXpress, {"channels": NUMBERS}, ["P_A01_1", "P_A01_2"], "A01"),
        ("phenix", PHENIX, {"channels": NUMBERS}, ["A01_01", "A02_01"], "A02"),
        ("yokogawa", YOKOGAWA, {"channels": NUMBERS}, ["P_A01_001", "P_A02_001"], "A02"),
        ("incell", IN_CELL, {}, ["A01_1", "A02_1"], "A02"),
        ("scanr", SCAN_R, {}, ["A01_00001", "A02_00001"], "A02"),
    ],
)
def test_a_folder_of_a_microscopes_names(
    tmp_path: Path, preset: str, names: list[str], rules: dict[str, dict[str, str]], ids: list[str], well: str
) -> None:
    folder = touch(tmp_path, *names, "notes.txt", f"P_A01_s1_w1_thumb{GUID}0.TIF")
    for name in names[-4:]:
        plane = np.full((5, 4), 10 * (1 + names[-4:].index(name)), np.uint8)
        tifffile.imwrite(folder / name, plane, photometric="minisblack")
    found, failures = find_fields([folder], Rules(preset=preset, **rules))  # type: ignore[arg-type]
    assert ([source.id for source in found], failures) == (ids, [])
    assert found[1].origin["well"] == well
    assert read_field(found[1]).pixels[0, 0].tolist() == [30, 20, 10, 40]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            MetaXpress,
            r"is named in the scheme of MetaXpress or ImageXpress. Pass `preset=metaxpress` .*found '1', '2', '3', '4'",
        ),
        (PHENIX, "Pass `preset=phenix`"),
        (YOKOGAWA, "Pass `preset=yokogawa`"),
        (IN_CELL, "Pass `preset=incell` .* found 'Blue - FITC', 'Green - Cy3'|Pass `preset=incell`"),
        (SCAN_R, "Pass `preset=scanr`"),
    ],
)
def test_names_of_a_microscope_lead_to_its_preset(tmp_path: Path, names: list[str], said: str) -> None:
    with pytest.raises(LociscopeError, match=said):
        find_fields([touch(tmp_path, *names)])


def test_channels_without_known_names(tmp_path: Path) -> None:
    folder = touch(tmp_path, *MetaXpress)
    with pytest.raises(
        LociscopeError,
        match=r"name their channels '1', '2', '3', '4', which are not known stains. Pass `channels=red=…",
    ):
        find_fields([folder], Rules(preset="metaxpress"))
    some = Rules({"red": "w3", "green": "w2", "blue": "w1"}, preset="metaxpress")
    found, failures = find_fields([folder], some)
    assert found == []
    assert failures[0].reason == (
        "Field 'P_A01_1' has no yellow file (found red, green, blue, and '4', which are not known stains). "
        "Pass `channels=red=…,green=…,blue=…,yellow=…` with these names."
    )
    touch(folder, f"P_A01_s1_w5{GUID}5.TIF")  # a fifth stain that no one asked for
    assert find_fields([folder], Rules(NUMBERS, preset="metaxpress"))[1] == []


# === Slices and time points of a file each ===


def test_slices_are_selected_and_never_guessed(tmp_path: Path) -> None:
    names = [f"r01c01f01p0{z}-ch{ch}sk1fk1fl1.tiff" for z in (2, 5, 7) for ch in (1, 2, 3, 4)]
    for name in names:
        tifffile.imwrite(tmp_path / name, np.full((5, 4), int(name[11]), np.uint8), photometric="minisblack")
    _, (failure,) = find_fields([tmp_path], Rules(NUMBERS, preset="phenix"))
    assert failure.reason == (
        "Field 'A01_01' has files of 3 planes (z). Pass `plane=N`, from 0 to 2, to select one of them."
    )
    (source,), failures = find_fields([tmp_path], Rules(NUMBERS, plane=1, preset="phenix"))
    assert failures == []
    assert read_field(source).pixels[0, 0].tolist() == [5, 5, 5, 5]
    _, (failure,) = find_fields([tmp_path], Rules(NUMBERS, plane=3, preset="phenix"))
    assert failure.reason == "Field 'A01_01' has no plane 3; it has 3 planes (z), from 0. Pass another `plane`."
    touch(tmp_path, *(f"r01c01f01p02-ch{ch}sk2fk1fl1.tiff" for ch in (1, 2, 3, 4)))
    _, (failure,) = find_fields([tmp_path], Rules(NUMBERS, plane=1, preset="phenix"))
    assert (
        "has files of 3 planes (z) and 2 times (t). Put the files of one time point into a separate folder"
        in failure.reason
    )


def test_slices_of_the_users_own_pattern(tmp_path: Path) -> None:
    touch(tmp_path, *(f"B02-t{t}-{stain}.tif" for t in (1, 2) for stain in ("DAPI", "GFP", "Cy3", "Cy5")))
    rules = Rules(pattern="{well}-t{t}-{channel}")
    assert "has files of 2 times (t). Pass `plane=N`, from 0 to 1" in find_fields([tmp_path], rules)[1][0].reason
    (source,), _ = find_fields([tmp_path], Rules(plane=1, pattern="{well}-t{t}-{channel}"))
    assert (source.id, {path.name[4:6] for path in source.refs}) == ("B02", {"t2"})
    (tmp_path / "B02-t2-GFP.tif").unlink()
    (failure,) = find_fields([tmp_path], Rules(plane=1, pattern="{well}-t{t}-{channel}"))[1]
    assert "Field 'B02' has no green file (found red, blue, yellow). Add it, or give a `pattern`" in failure.reason
