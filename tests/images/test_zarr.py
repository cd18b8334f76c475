"""OME-Zarr of both versions: fields and plates, by name."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lociscope.errors import LociscopeError, MissingExtraError
from lociscope.images.container import place_of
from lociscope.images.naming import Rules
from lociscope.images.picture import Picture
from lociscope.images.read import read_field
from lociscope.images.sources import find_fields
from lociscope.images.zarr import read_zarr as read_place

zarr = pytest.importorskip("zarr")


def read_zarr(folder: Path, plane: int | None = None) -> Picture:
    return read_place(place_of(folder), plane)


STAINS = ("Tubulin", "GFP", "DAPI", "ER")
PIXELS = np.random.default_rng(0).integers(1, 4096, (4, 12, 10), np.uint16)
RGBY = np.moveaxis(PIXELS, 0, -1)
Write = Callable[..., Path]


def image(axes: str, um: float | None = 0.08, unit: str = "micrometer", **more: Any) -> dict[str, Any]:
    kinds = {"c": "channel", "t": "time"}
    described = [{"name": axis, "type": kinds.get(axis, "space")} for axis in axes]
    for axis in described:
        if axis["name"] in "yx" and um:
            axis["unit"] = unit
    scale = [um or 1.0 if axis in "yx" else 1.0 for axis in axes]
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    return {"multiscales": [{"axes": described, "datasets": [dataset]}], **more}


def write(
    folder: Path,
    version: str = "0.5",
    pixels: np.ndarray = PIXELS,
    axes: str = "cyx",
    names: tuple[str, ...] = STAINS,
    **more: Any,
) -> Path:
    about = image(axes, **more)
    if names:
        about["omero"] = {"channels": [{"label": name} for name in names]}
    group(folder, version, about)
    array = zarr.create_array(
        str(folder / "0"),
        shape=pixels.shape,
        chunks=(*(1,) * (pixels.ndim - 2), 8, 8),
        dtype=pixels.dtype,
        zarr_format=3 if version == "0.5" else 2,
    )
    array[:] = pixels
    return folder


def group(folder: Path, version: str, about: dict[str, Any]) -> None:
    attributes = {"ome": {"version": version, **about}} if version == "0.5" else about
    zarr.create_group(str(folder), zarr_format=3 if version == "0.5" else 2, attributes=attributes)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    ("axes", "shape"), [("cyx", (4, 12, 10)), ("tczyx", (1, 4, 1, 12, 10)), ("czyx", (4, 1, 12, 10))]
)
def test_an_image_comes_back(tmp_path: Path, version: str, axes: str, shape: tuple[int, ...]) -> None:
    picture = read_zarr(write(tmp_path / "a.zarr", version, PIXELS.reshape(shape), axes))
    assert (picture.names, picture.colour) == (STAINS, False)
    assert picture.pixel_size == pytest.approx(0.08)
    assert picture.pixels.dtype == np.uint16
    np.testing.assert_array_equal(picture.pixels, RGBY)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_field_by_name_in_any_order(tmp_path: Path, version: str) -> None:
    write(tmp_path / "a.ome.zarr", version, PIXELS[::-1], names=STAINS[::-1])
    for source in (tmp_path, tmp_path / "a.ome.zarr"):
        (found,), failures = find_fields([source])
        assert (found.id, failures) == ("a", [])
        field = read_field(found)
        np.testing.assert_array_equal(field.pixels, RGBY)
        assert field.pixel_size == pytest.approx(0.08)


def test_names_that_the_user_gives(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", names=())
    (found,), _ = find_fields([tmp_path])
    with pytest.raises(LociscopeError, match=r"found '0', '1', '2', '3'"):
        read_field(found)
    rules = Rules({"red": "0", "green": "1", "blue": "2", "yellow": "3"})
    np.testing.assert_array_equal(read_field(find_fields([tmp_path], rules)[0][0]).pixels, RGBY)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_plate(tmp_path: Path, version: str) -> None:
    plate = tmp_path / "P7.zarr"
    group(plate, version, {"plate": {"wells": [{"path": "B/03"}, {"path": "B/04"}]}})
    for number, well in enumerate(("B/03", "B/04")):
        group(plate / well, version, {"well": {"images": [{"path": "0"}, {"path": "1"}]}})
        for site in range(2):
            write(plate / well / str(site), version, PIXELS + np.uint16(2 * number + site))
    found, failures = find_fields([plate])
    assert ([field.id for field in found], failures) == (["P7_B03_0", "P7_B03_1", "P7_B04_0", "P7_B04_1"], [])
    for number, field in enumerate(found):
        np.testing.assert_array_equal(read_field(field).pixels, RGBY + number)
    assert found[2].about == (("plate", "P7"), ("well", "B04"), ("site", "0"))
    named = Rules({"red": "GFP", "green": "Tubulin"})
    assert read_field(find_fields([plate], named)[0][0]).pixels[0, 0].tolist() == RGBY[0, 0, [1, 0, 2, 3]].tolist()


@pytest.mark.parametrize(
    ("um", "unit", "expected"),
    [(80, "nanometer", 0.08), (8e-5, "millimeter", 0.08), (0.08, "furlong", None), (None, "", None)],
)
def test_sizes_in_other_units(tmp_path: Path, um: float | None, unit: str, expected: float | None) -> None:
    size = read_zarr(write(tmp_path / "a.zarr", um=um, unit=unit)).pixel_size
    assert size == (None if expected is None else pytest.approx(expected))


def test_stacks_say_how_to_choose(tmp_path: Path) -> None:
    stack = np.stack([PIXELS, PIXELS[::-1]], axis=1)
    folder = write(tmp_path / "a.zarr", pixels=stack, axes="czyx")
    with pytest.raises(LociscopeError, match=r"\(2 along Z\). Pass --plane N"):
        read_zarr(folder)
    np.testing.assert_array_equal(read_zarr(folder, plane=1).pixels, RGBY[..., ::-1])
    with pytest.raises(LociscopeError, match="has no plane 2; it has 2, from 0"):
        read_zarr(folder, plane=2)
    both = write(tmp_path / "b.zarr", pixels=np.stack([stack, stack]), axes="tczyx")
    with pytest.raises(LociscopeError, match="2 along T and 2 along Z"):
        read_zarr(both, plane=0)


# === Refused ===


def test_no_metadata(tmp_path: Path) -> None:
    folder = write(tmp_path / "a.zarr")
    (folder / "zarr.json").unlink()
    with pytest.raises(
        LociscopeError, match=r"has no metadata of an OME-Zarr image. Is it a copy of the whole folder\?"
    ):
        read_zarr(folder)
    (tmp_path / "b.zarr").write_text("a file")
    with pytest.raises(LociscopeError, match="has no metadata of an OME-Zarr image"):
        read_zarr(tmp_path / "b.zarr")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_missing_chunk_and_missing_pixels(tmp_path: Path, version: str) -> None:
    folder = write(tmp_path / "a.zarr", version)
    chunk = next(path for path in sorted((folder / "0").rglob("*")) if path.is_file() and path.name[0].isdigit())
    chunk.unlink()
    with pytest.raises(LociscopeError, match=r"lacks 1 of its 16 chunks. Copy it again, or write empty chunks too"):
        read_zarr(folder)
    shutil.rmtree(folder / "0")
    with pytest.raises(LociscopeError, match=r"holds no pixels at '0'. Is it a copy of the whole folder\?"):
        read_zarr(folder)


def test_a_damaged_chunk(tmp_path: Path) -> None:
    folder = write(tmp_path / "a.zarr")
    chunk = next(path for path in sorted((folder / "0").rglob("*")) if path.is_file() and path.name[0].isdigit())
    chunk.write_bytes(b"spoilt")
    with pytest.raises(LociscopeError, match="is damaged or cut short"):
        read_zarr(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"multiscales": []}, "has no metadata of an OME-Zarr image"),
        ({"multiscales": [{"axes": [], "datasets": [{"path": "../b.zarr/0"}]}]}, "which is not inside it"),
        ({"multiscales": [{"axes": [], "datasets": [{"path": "/etc"}]}]}, "which is not inside it"),
        ({"multiscales": [{"axes": [], "datasets": [{"path": "0"}]}]}, "is damaged"),
        ({"multiscales": [{"datasets": [{"path": "0"}]}]}, "is damaged"),
        ({"multiscales": [{"axes": ["c", "x", "y"], "datasets": [{"path": "0"}]}]}, "is damaged"),
        ({"multiscales": "all"}, "has no metadata"),
    ],
)
def test_odd_metadata(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    folder = write(tmp_path / "a.zarr", "0.4")
    (folder / ".zattrs").write_text(json.dumps(change))
    with pytest.raises(LociscopeError, match=said):
        read_zarr(folder)


def test_metadata_that_are_no_json_fail_one_field_only(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr")
    folder = write(tmp_path / "b.zarr", "0.4")
    (folder / ".zattrs").write_text("{")
    found, failures = find_fields([tmp_path])
    assert ([field.id for field in found], failures) == (["a", "b"], [])
    with pytest.raises(LociscopeError, match=r"b.zarr/.zattrs' is damaged"):
        read_field(found[1])


def test_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "a.zarr")
    about = json.loads((folder / "0" / "zarr.json").read_text())
    about["shape"] = [4, 60_000, 60_000]
    (folder / "0" / "zarr.json").write_text(json.dumps(about))
    with pytest.raises(LociscopeError, match="claims 60000 × 60000 pixels"):
        read_zarr(folder)
    about["chunk_grid"]["configuration"]["chunk_shape"] = [1, 60_000, 60_000]
    (folder / "0" / "zarr.json").write_text(json.dumps(about))
    with pytest.raises(LociscopeError, match="holds more than"):
        read_zarr(folder)


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "a.zarr")
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingExtraError, match=r"needs the extra 'zarr'. Install it: pip install 'lociscope\[zarr\]'"):
        read_zarr(folder)
