"""Folders that say something: a folder for each channel, a folder for each field."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import LociscopeError
from lociscope.images.discovery.layouts import split_folder
from lociscope.images.discovery.naming import Rules
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.read import read_field
from lociscope.images.io.write import write_planes

STAINS = {"red": "Tubulin", "green": "Alexa 488", "blue": "DAPI", "yellow": "ER"}
Named = Callable[[str, str], str]
"""Where in a folder the plane of a field and a channel lies."""

LAYOUTS: dict[str, Named] = {
    "colours": lambda field, channel: f"{channel}/{field}_{channel}.png",
    "colours, bare": lambda field, channel: f"{channel}/{field}.png",
    "stains": lambda field, channel: f"{STAINS[channel]}/{field}.png",
    "stains with colours": lambda field, channel: f"{STAINS[channel]}/{field}_{channel}.png",
    "fields": lambda field, channel: f"{field}/{channel}.png",
    "fields, stains": lambda field, channel: f"{field}/{STAINS[channel]}.png",
    "fields, named": lambda field, channel: f"{field}/{field}_{channel}.png",
    "fields, anything": lambda field, channel: f"{field}/img 7_{channel}.png",
}


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (6, 5, 4), np.uint8)


def lay(root: Path, layout: Named, *fields: str) -> Path:
    for seed, field in enumerate(fields):
        written = write_planes(root.parent / "flat", field, pixels(seed))
        for channel, path in zip(CHANNEL_NAMES, written, strict=True):
            target = root / layout(field, channel)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    return root


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_of_folders_is_found_and_read_right(tmp_path: Path, layout: str) -> None:
    root = lay(tmp_path / "set", LAYOUTS[layout], "a1", "b_2")
    found, failures = find_fields([root])
    assert ([source.id for source in found], failures) == (["a1", "b_2"], [])
    for seed, source in enumerate(found):
        np.testing.assert_array_equal(read_field(source).pixels, pixels(seed))


@pytest.mark.parametrize("layout", ["colours", "colours, bare", "stains"])
def test_the_folders_of_the_channels_may_be_named_one_by_one(tmp_path: Path, layout: str) -> None:
    root = lay(tmp_path / "set", LAYOUTS[layout], "a1", "b2")
    found, failures = find_fields(sorted(root.iterdir()))
    assert ([source.id for source in found], failures) == (["a1", "b2"], [])
    np.testing.assert_array_equal(read_field(found[1]).pixels, pixels(1))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_in_a_zip_archive(tmp_path: Path, layout: str) -> None:
    root = lay(tmp_path / "set", LAYOUTS[layout], "a1", "b2")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in root.rglob("*.png"):
            archive.write(path, path.relative_to(root).as_posix())
    found, failures = find_fields([tmp_path / "set.zip"])
    assert ([source.id for source in found], failures) == (["a1", "b2"], [])
    np.testing.assert_array_equal(read_field(found[1]).pixels, pixels(1))


def test_a_folder_whose_planes_are_named_by_channel_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = lay(tmp_path / "set", LAYOUTS["fields"], "a1", "b2")
    for sources in ([root / "b2"], list((root / "b2").iterdir())):
        (source,), failures = find_fields(sources)
        assert (source.id, failures) == ("b2", [])
    monkeypatch.chdir(root / "b2")
    assert [source.id for source in find_fields([Path()])[0]] == ["b2"]


def test_one_channels_folder_names_the_way_to_the_others(tmp_path: Path) -> None:
    """No hint leads to a command that fails with a hint that leads back."""
    root = lay(tmp_path / "set", LAYOUTS["colours"], "a1")
    (failure,) = find_fields([root / "blue"])[1]
    assert failure.reason == (
        "Field 'a1' has no red file (found blue). The other channels seem to be in green, red, yellow beside 'blue'. "
        f"Name '{root}', which contains all of them."
    )
    bare = lay(tmp_path / "bare", LAYOUTS["stains"], "a1")
    with pytest.raises(LociscopeError, match=f"'{bare / 'DAPI'}' has one channel, .* Name the folder .* '{bare}'"):
        find_fields([bare / "DAPI"])


def test_a_channel_that_a_folder_lacks_or_doubles(tmp_path: Path) -> None:
    root = lay(tmp_path / "set", LAYOUTS["colours"], "a1", "b2")
    (root / "green" / "a1_green.png").unlink()
    found, (failure,) = find_fields([root])
    assert [source.id for source in found] == ["b2"]
    assert failure.reason == "Field 'a1' has no _green file (found red, blue, yellow). Add 'a1_green.png'."
    (root / "DAPI").mkdir()
    shutil.copy(root / "blue" / "b2_blue.png", root / "DAPI" / "b2.png")
    reasons = [failure.reason for failure in find_fields([root])[1]]
    assert "Field 'b2' has two blue files, 'DAPI/b2.png' and 'blue/b2_blue.png'. Keep one of them." in reasons


def test_channel_folders_beside_fields_in_the_folder_itself(tmp_path: Path) -> None:
    root = lay(tmp_path / "set", LAYOUTS["colours"], "a1")
    write_planes(root, "b2", pixels(1))
    assert [source.id for source in find_fields([root])[0]] == ["a1", "b2"]
    write_planes(root, "a1", pixels(1))
    found, (failure,) = find_fields([root])
    assert [source.id for source in found] == ["b2"]
    assert "has two red files, 'a1_red.png' and 'red/a1_red.png'" in failure.reason


def test_folders_named_after_locations_are_not_channels(tmp_path: Path) -> None:
    """Fields sorted by label: in each folder whole fields, which only share names with channels."""
    for seed, (folder, field) in enumerate((("nucleus", "a"), ("ER", "b"), ("mitochondria", "c"))):
        write_planes(tmp_path / "set" / folder, field, pixels(seed))
        write_planes(tmp_path / "set" / folder, f"{field}2", pixels(seed))
    with pytest.raises(
        LociscopeError, match=r"has no field, but its folders 'ER', 'mitochondria', 'nucleus' do. Name these"
    ):
        find_fields([tmp_path / "set"])
    assert len(find_fields(sorted((tmp_path / "set").iterdir()))[0]) == 6
    stacks = tmp_path / "stacks"
    for folder in ("nucleus", "ER"):
        (stacks / folder).mkdir(parents=True)
        for field in ("1", "2"):
            tifffile.imwrite(
                stacks / folder / f"{folder}{field}.tif", np.zeros((4, 6, 6), np.uint8), photometric="minisblack"
            )
    with pytest.raises(LociscopeError, match="its folders 'ER', 'nucleus' do"):
        find_fields([stacks])
    found, _ = find_fields(sorted(stacks.iterdir()))
    assert [len(set(source.planes)) for source in found] == [1] * 4


def test_stacks_named_after_a_stain(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "protein.tif", np.zeros((4, 6, 6), np.uint8), photometric="minisblack")
    tifffile.imwrite(tmp_path / "target.tif", np.zeros((4, 6, 6), np.uint8), photometric="minisblack")
    found, failures = find_fields([tmp_path])
    assert ([source.id for source in found], failures) == (["protein", "target"], [])


def test_folders_of_several_fields_are_named(tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    write_planes(outer / "P1", "a", pixels(0))
    with pytest.raises(LociscopeError, match=r"its folder 'P1' does\. Name"):
        find_fields([outer])  # whether it is the field's own folder cannot be said
    write_planes(outer / "P1", "b", pixels(0))
    write_planes(outer / "P2", "a", pixels(0))
    (outer / "empty").mkdir()
    with pytest.raises(LociscopeError, match=r"its folders 'P1', 'P2' do. Name these folders, as in"):
        find_fields([outer])
    lay(tmp_path / "deep" / "plate", LAYOUTS["colours"], "a1")
    shutil.rmtree(tmp_path / "deep" / "flat")
    with pytest.raises(LociscopeError, match="its folder 'plate' does"):
        find_fields([tmp_path / "deep"])


def test_patterns_with_folders(tmp_path: Path) -> None:
    root = lay(tmp_path / "set", lambda field, channel: f"{field}/w-{STAINS[channel]}/x.png", "B03", "C04")
    found, failures = find_fields([root], Rules(pattern="{well}/w-{channel}/*"))
    assert ([(source.id, source.about) for source in found], failures) == (
        [("B03", (("well", "B03"),)), ("C04", (("well", "C04"),))],
        [],
    )
    np.testing.assert_array_equal(read_field(found[1]).pixels, pixels(1))


def test_a_pattern_whose_id_contains_the_channel(tmp_path: Path) -> None:
    root = lay(tmp_path / "set", LAYOUTS["colours"], "a1")
    for pattern in ("{channel}/{id}", "{channel}/{id}_*"):
        (source,), failures = find_fields([root], Rules(pattern=pattern))
        assert (source.id, failures) == ("a1", [])
    shutil.copy(root / "red" / "a1_red.png", root / "red" / "b.png")
    found, failures = find_fields([root], Rules(pattern="{channel}/{id}"))
    assert found == []
    assert (
        "Write '_*' after {id} in `pattern='{channel}/{id}'`."
        in {failure.id: failure.reason for failure in failures}["a1_red"]
    )


def test_folders_above_folders() -> None:
    for folder, above, own in (
        ("a/b", "a", "b"), ("b", ".", "b"), ("x/t.zip!a/b", "x/t.zip!a", "b"), ("x/t.zip!a", "x/t.zip!", "a"),
        ("x/t.zip!", "x/t.zip!", "t"),
    ):  # fmt: skip
        assert split_folder(Path(folder)) == (Path(above), own)
    assert split_folder(Path()) == (Path.cwd().parent, Path.cwd().name)
