"""OME-TIFF in several files: each file's own planes, whatever the others are."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fixtures.file_sets import PIXELS, STAINS, binary_only, data, image, ome, split, write_ome

from lociscope.errors import LociscopeError
from lociscope.images.discovery.naming import Rules
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.container import parse_plane_ref
from lociscope.images.io.formats import read_picture
from lociscope.images.io.read import read_field

if TYPE_CHECKING:
    from lociscope.images.io.picture import Picture

RGBY = np.moveaxis(PIXELS, 0, -1)


def read(path: Path, plane: int | None = None) -> Picture:
    return read_picture(parse_plane_ref(path), plane=plane)


def positions(folder: Path, number: int = 2) -> None:
    """As pymmcore-plus 0.18 writes them: every file describes all, `PlaneCount` pages each."""
    images = [image(n, data(f"p{n}.ome.tiff", str(n)), um=0.1 * (n + 1)) for n in range(number)]
    for n in range(number):
        write_ome(folder / f"p{n}.ome.tiff", PIXELS + np.uint16(n), ome(str(n), *images))


def test_positions_of_an_acquisition(tmp_path: Path) -> None:
    positions(tmp_path)
    found, failures = find_fields([tmp_path])
    assert ([field.id for field in found], failures) == (["p0", "p1"], [])
    for number, source in enumerate(found):
        field = read_field(source)
        np.testing.assert_array_equal(field.pixels, RGBY + np.uint16(number))
        assert field.pixel_size == pytest.approx(0.1 * (number + 1))


@pytest.mark.parametrize("order", ["XYCZT", "XYZCT"])
@pytest.mark.parametrize("count", ['PlaneCount="8"', "", 'IFD="0" PlaneCount="8"'])
def test_slices_and_channels_in_the_order_of_the_dimensions(tmp_path: Path, order: str, count: str) -> None:
    stack = np.stack([PIXELS, PIXELS[::-1]])  # z, c
    images = [image(n, data(f"p{n}.ome.tiff", str(n), count), z=2, order=order) for n in range(2)]
    pages = stack if order == "XYCZT" else stack.swapaxes(0, 1)
    path = write_ome(tmp_path / "p1.ome.tiff", pages.reshape(8, 24, 20), ome("1", *images))
    for plane in range(2):
        picture = read(path, plane)
        assert picture.names == STAINS
        np.testing.assert_array_equal(picture.pixels, np.moveaxis(stack[plane], 0, -1))
    with pytest.raises(LociscopeError, match=r"\(2 along Z\). Pass `plane=N`"):
        read(path)


def test_the_file_is_known_by_identifier_or_name_or_as_the_only_one(tmp_path: Path) -> None:
    images = [image(n, data(f"p{n}.ome.tiff", str(n))) for n in range(2)]
    for name, uuid in (("renamed.ome.tiff", "1"), ("p1.ome.tiff", "9"), ("p1.ome.tiff", "")):
        assert read(write_ome(tmp_path / name, PIXELS, ome(uuid, *images))).names == STAINS
    only = ome("9", image(0, data("other.ome.tiff", "0")))
    assert read(write_ome(tmp_path / "renamed.ome.tiff", PIXELS, only)).names == STAINS
    nobody = read(write_ome(tmp_path / "renamed.ome.tiff", PIXELS, ome("9", *images)))
    assert nobody.names == ("", "", "", "")


def test_pages_that_the_metadata_name_and_the_file_lacks(tmp_path: Path) -> None:
    images = [image(n, data(f"p{n}.ome.tiff", str(n))) for n in range(2)]
    path = write_ome(tmp_path / "p1.ome.tiff", PIXELS[:3], ome("1", *images))
    with pytest.raises(LociscopeError, match="it lacks 1 of the 4 planes that its metadata name"):
        read(path)


def test_two_images_of_a_set_in_one_file(tmp_path: Path) -> None:
    images = [image(n, data("p0.ome.tiff", "0", f'IFD="{4 * n}" PlaneCount="4"')) for n in range(2)]
    images += [image(2, data("p1.ome.tiff", "1"))]
    path = write_ome(tmp_path / "p0.ome.tiff", np.concatenate([PIXELS, PIXELS]), ome("0", *images))
    with pytest.raises(LociscopeError, match=r"has 2 images. Save each field as a separate file"):
        read(path)


@pytest.mark.parametrize("text", [b"<OME>", b'<OME><Image><Pixels SizeC="x"/></Image></OME>'])
def test_damaged_metadata(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(LociscopeError, match=r"a.ome.tif' is damaged or truncated"):
        read(write_ome(tmp_path / "a.ome.tif", PIXELS, text.replace(b"<OME>", b"<OME a='>") + b"</OME>"))


@pytest.mark.parametrize("count", [10**7, 10**18])
def test_an_impossible_number_of_planes(tmp_path: Path, count: int) -> None:
    images = [image(n, data(f"p{n}.ome.tiff", str(n), f'PlaneCount="{count}"')) for n in range(2)]
    with pytest.raises(LociscopeError, match="is damaged or truncated"):
        read(write_ome(tmp_path / "p0.ome.tiff", PIXELS, ome("0", *images)))


@pytest.mark.slow
def test_what_pymmcore_plus_writes_of_two_positions(tmp_path: Path) -> None:
    """A Zarr in the layout of bioformats2raw, and an OME-TIFF a position."""
    pytest.importorskip("mm_test_adapters")
    useq = pytest.importorskip("useq")
    core = pytest.importorskip("pymmcore_plus").CMMCorePlus()
    core.loadSystemConfiguration("MMConfig_demo.cfg")
    channels = [{"config": name, "exposure": 1} for name in STAINS]
    sequence = useq.MDASequence(stage_positions=[(0, 0), (100, 0)], channels=channels, axis_order="pc")
    for name in ("run.ome.tiff", "run.ome.zarr"):
        core.mda.run(sequence, output=tmp_path / name)
    folder = next(path for path in (tmp_path / "run", tmp_path / "run.ome.tiff") if path.is_dir())
    for source, ids in ((folder, ["run_p000", "run_p001"]), (tmp_path / "run.ome.zarr", ["run_0", "run_1"])):
        found, failures = find_fields([source], Rules())
        assert ([field.id for field in found], failures) == (ids, [])
        for field in map(read_field, found):
            assert (field.pixels.shape, field.pixel_size) == ((512, 512, 4), 1.0)
            assert field.pixels.dtype == np.uint16


# === Companion files ===


def test_a_set_of_one_file_a_channel(tmp_path: Path) -> None:
    folder = split(tmp_path / "f")
    for source in (folder, folder / "run.companion.ome"):
        found, failures = find_fields([source])
        assert ([field.id for field in found], failures) == (["run"], [])
        field = read_field(found[0])
        np.testing.assert_array_equal(field.pixels, RGBY)
        assert field.pixel_size == pytest.approx(0.32)
    rules = Rules({"red": "DAPI", "blue": "Rhodamine"})
    np.testing.assert_array_equal(read_field(find_fields([folder], rules)[0][0]).pixels, RGBY[..., [2, 1, 0, 3]])


def test_fields_of_a_companion_with_one_file_each_are_named_after_the_file(tmp_path: Path) -> None:
    files = ("p1.ome.tif", "p2.ome.tif")
    images = [image(n, data(file, str(n))) for n, file in enumerate(files)]
    (tmp_path / "run.companion.ome").write_bytes(ome("c", *images))
    for number, file in enumerate(files):
        write_ome(tmp_path / file, PIXELS + np.uint16(number), binary_only(str(number)))
    found, failures = find_fields([tmp_path])
    assert ([field.id for field in found], failures) == (["p1", "p2"], [])
    for number, source in enumerate(found):
        np.testing.assert_array_equal(read_field(source).pixels, RGBY + np.uint16(number))
    (alone,), _ = find_fields([tmp_path / "p2.ome.tif"])
    np.testing.assert_array_equal(read_field(alone).pixels, RGBY + np.uint16(1))


def test_several_fields_of_a_file_a_channel(tmp_path: Path) -> None:
    images = []
    for number in range(2):
        files = [f"f{number}{n}.tif" for n in range(4)]
        planes = "".join(data(file, f"{number}{n}", f'FirstC="{n}" IFD="0"') for n, file in enumerate(files))
        images.append(image(number, planes))
        for n, file in enumerate(files):
            write_ome(tmp_path / file, PIXELS[n] + np.uint16(number), binary_only(f"{number}{n}"))
    (tmp_path / "run.companion.ome").write_bytes(ome("c", *images))
    found, failures = find_fields([tmp_path])
    assert ([field.id for field in found], failures) == (["run_0", "run_1"], [])
    assert found[1].about == (("site", "1"),)
    np.testing.assert_array_equal(read_field(found[1]).pixels, RGBY + np.uint16(1))


def test_files_that_are_named_by_their_channels_keep_these_names(tmp_path: Path) -> None:
    names = ("a_red.tif", "a_green.tif", "a_blue.tif", "a_yellow.tif")
    found, failures = find_fields([split(tmp_path / "f", names)])
    assert ([field.id for field in found], failures) == (["a"], [])
    np.testing.assert_array_equal(read_field(found[0]).pixels, RGBY)


def test_a_companion_that_is_missing_or_elsewhere(tmp_path: Path) -> None:
    folder = split(tmp_path / "f")
    (folder / "run.companion.ome").rename(tmp_path / "run.companion.ome")
    found, failures = find_fields([folder])
    assert ([field.id for field in found], failures) == (["c0", "c1", "c2", "c3"], [])
    said = r"c0.tif' has its metadata in 'run.companion.ome', which is not beside it. Copy it there."
    with pytest.raises(LociscopeError, match=said):
        read_field(found[0])
    for companion in ("../run.companion.ome", str(tmp_path / "run.companion.ome"), "..\\run.companion.ome"):
        path = write_ome(folder / "d.tif", PIXELS, binary_only("0", companion))
        with pytest.raises(LociscopeError, match="which is not beside it"):
            read(path)


def test_a_companion_that_is_the_first_tiff_of_the_set(tmp_path: Path) -> None:
    """As Micro-Manager writes several positions."""
    files = ("run_MMStack_Pos0.ome.tif", "run_MMStack_Pos1.ome.tif")
    document = ome("0", *(image(n, data(file, str(n))) for n, file in enumerate(files)))
    write_ome(tmp_path / files[0], PIXELS, document)
    write_ome(tmp_path / files[1], PIXELS + np.uint16(1), binary_only("1", files[0]))
    found, failures = find_fields([tmp_path])
    assert ([field.id for field in found], failures) == ([file.partition(".")[0] for file in files], [])
    for number, source in enumerate(found):
        np.testing.assert_array_equal(read_field(source).pixels, RGBY + np.uint16(number))
    (tmp_path / files[0]).write_bytes((tmp_path / files[0]).read_bytes()[:100])
    with pytest.raises(LociscopeError, match=r"Pos1.ome.tif' is damaged or truncated|has its metadata in"):
        read_field(found[1])


@pytest.mark.parametrize("whole", [True, False])
def test_a_companion_in_an_archive(tmp_path: Path, whole: bool) -> None:
    (tmp_path / "run.companion.ome").write_bytes(ome("c", image(0, data("p0.ome.tif", "0"))))
    write_ome(tmp_path / "p0.ome.tif", PIXELS, binary_only("0"))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in ("run.companion.ome", "p0.ome.tif")[0 if whole else 1 :]:
            archive.write(tmp_path / file, f"x/{file}")
    found, failures = find_fields([tmp_path / "all.zip"])
    assert ([field.id for field in found], failures) == (["p0"], [])
    if whole:
        np.testing.assert_array_equal(read_field(found[0]).pixels, RGBY)
        return
    with pytest.raises(LociscopeError, match=r"has its metadata in 'run.companion.ome', which is not beside it"):
        read_field(found[0])


def test_metadata_that_are_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_ome(tmp_path / "p0.ome.tif", PIXELS, ome("0", image(0, data("p0.ome.tif", "0"))))
    monkeypatch.setattr("lociscope.images.io.ome.MOST_TEXT", 99)
    with pytest.raises(LociscopeError, match=r"of metadata, more than the 0 that lociscope reads"):
        read(path)


def test_missing_files_of_a_companion(tmp_path: Path) -> None:
    folder = split(tmp_path / "f")
    (folder / "c2.tif").unlink()
    (source,), _ = find_fields([folder])
    with pytest.raises(LociscopeError, match=r"run.companion.ome' names 'c2.tif', which is not beside it. Copy it"):
        read_field(source)
    text = (folder / "run.companion.ome").read_bytes()
    (folder / "run.companion.ome").write_bytes(text.replace(b"c2.tif", b"../c2.tif"))
    found, failures = find_fields([folder])
    assert failures[0].id == "run"
    assert "names the file '../c2.tif', which is not beside it" in failures[0].reason
    (folder / "run.companion.ome").write_bytes(text[:-20])
    assert "run.companion.ome' is damaged or truncated" in find_fields([folder])[1][0].reason
    with pytest.raises(LociscopeError, match=r"has no image '7'; it has 0|is damaged"):
        read_picture(parse_plane_ref(Path(f"{folder / 'run.companion.ome'}!7")))
    assert re.fullmatch("c[013]", found[0].id)
