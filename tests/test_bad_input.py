"""Every row of the page of bad inputs, made and tried: what it says is what happens."""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from lociscope.artifacts.card import InputSpec
from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import LociscopeError, name_parameters
from lociscope.images.discovery.naming import Rules, parse_channels
from lociscope.images.discovery.sources import find_fields
from lociscope.images.extent import make_tiles
from lociscope.images.field import Field
from lociscope.images.io.read import read_field
from lociscope.images.io.write import write_ome_tiff, write_ome_zarr, write_planes
from lociscope.images.quality import InputMeasures, find_warnings

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "bad-input.md"
STAINS = ["Tubulin", "GFP", "DAPI", "ER"]
SPEC = InputSpec(height=32, width=32, low=0.5, high=99.9)
Maker = Callable[[Path], object]
"""Fills a folder; where it gives a list, those are the sources, and else the folder is."""


def rows() -> dict[str, str]:
    """What the page says happens, by the kind of input."""
    page, _, _ = PAGE.read_text(encoding="utf-8").partition("## Preparing")
    found = re.findall(r"^\| (?P<kind>[^|`]+) \| `(?P<said>[^`]+)` \|", page, re.MULTILINE)
    assert len(found) == len(dict(found))
    return dict(found)


def pixels(kind: type[np.generic] = np.uint8, size: int = 32) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    waves = [np.sin(x / 3), np.cos(y / 4), np.sin((x + y) / 5), np.cos((x - y) / 6)]
    return (100 + 100 * np.stack(waves, axis=-1)).astype(kind)


def good(folder: Path, name: str = "a") -> dict[str, Path]:
    return dict(zip(CHANNEL_NAMES, write_planes(folder, name, pixels()), strict=True))


def replaced(channel: str, data: bytes, suffix: str = ".png") -> Maker:
    """A good field of which one file holds something else."""

    def make(folder: Path) -> None:
        path = good(folder)[channel]
        path.unlink()
        path.with_suffix(suffix).write_bytes(data)

    return make


def encoded(kind: str, picture: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


GREY = Image.fromarray(pixels()[..., 0])
PNG, JPEG, TIFF = (encoded(kind, GREY) for kind in ("PNG", "JPEG", "TIFF"))


def giant_png() -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def giant_jpeg() -> bytes:
    at = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:at] + struct.pack(">HH", 60_000, 60_000) + JPEG[at + 4 :]


def giant_tiff() -> bytes:
    entries = [
        (256, 60_000),
        (257, 60_000),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 200),
        (277, 1),
        (278, 60_000),
        (279, 1),
    ]
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return (b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body).ljust(201, b"\0")


def stack(*shape_axes: Any, names: list[str] | None = None, **more: Any) -> Maker:
    """One OME-TIFF of the given axes."""
    array, axes = shape_axes

    def make(folder: Path) -> None:
        metadata = {"axes": axes, **({"Channel": {"Name": names}} if names else {}), **more}
        tifffile.imwrite(folder / "a.ome.tif", array, ome=True, photometric="minisblack", metadata=metadata)

    return make


def packed(*members: tuple[str, bytes], flag: int = 0) -> Maker:
    def make(folder: Path) -> list[Path]:
        path = folder / "a.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, data in members:
                archive.writestr(name, data)
        if flag:
            whole = bytearray(path.read_bytes())
            for at in (match.start() for match in re.finditer(b"PK\x01\x02", bytes(whole))):
                whole[at + 8] |= flag
            path.write_bytes(whole)
        return [path]

    return make


def planes_of(name: str = "a", data: bytes = PNG) -> list[tuple[str, bytes]]:
    return [(f"{name}_{channel}.png", data) for channel in CHANNEL_NAMES]


def zarr_without(*parts: str) -> Maker:
    def make(folder: Path) -> None:
        pytest.importorskip("zarr")
        write_ome_zarr(folder / "a.zarr", Field("a", pixels(), 0.32))
        (folder / "a.zarr").joinpath(*parts).unlink()

    return make


def sharded(
    *parts: str, data: Callable[[bytes], bytes] | None = None, unit: str = "micrometer", um: float = 0.32
) -> Maker:
    """An OME-Zarr of one shard a channel, each of four chunks, of which a file is gone or changed."""

    def make(folder: Path) -> None:
        pytest.importorskip("zarr")
        from fixtures.zarrs import write

        path = write(folder / "a.zarr", "0.5", C, shards=(1, 32, 32), chunks=(1, 16, 16), um=um, unit=unit).joinpath(
            *parts
        )
        if data:
            path.write_bytes(data(path.read_bytes()))
        elif parts:
            path.unlink()

    return make


def half_written(folder: Path) -> None:
    sharded()(folder)
    shutil.rmtree(folder / "a.zarr" / "0" / "c" / "1")
    import zarr

    zarr.open_array(str(folder / "a.zarr" / "0"), mode="r+")[1, :16] = C[1, :16]


def zipped_and_cut(folder: Path) -> None:
    pytest.importorskip("zarr")
    from fixtures.zarrs import write, zipped

    path = zipped(write(folder / "w"), folder / "a.zarr.zip")
    path.write_bytes(path.read_bytes()[:-30])


def without_a_part(kind: str, part: str) -> Maker:
    def make(folder: Path) -> None:
        pytest.importorskip("zarr")
        from fixtures.zarrs import plate, series

        made = (
            plate(folder / "P.zarr", "0.5", ("A/1", "A/2"))
            if kind == "plate"
            else series(folder / "a.zarr", named=True)
        )
        shutil.rmtree(made / part)

    return make


def companion_without(name: str) -> Maker:
    def make(folder: Path) -> None:
        from fixtures.file_sets import split

        split(folder, index="a.companion.ome")
        (folder / name).unlink()

    return make


def ndtiff_without_frames(folder: Path) -> None:
    from fixtures.file_sets import frames, write_ndtiff

    write_ndtiff(folder / "run_1", frames(0))
    for path in (folder / "run_1").iterdir():
        path.rename(folder / path.name)
    (folder / "run_NDTiffStack.tif").unlink()


def imagej(photometric: str, unit: str, per_unit: float) -> Maker:
    def make(folder: Path) -> None:
        about = f"ImageJ=1.54f\nunit={unit}\nmin=0.0\nmax=255.0\n"
        for number, channel in enumerate(CHANNEL_NAMES):
            tifffile.imwrite(
                folder / f"a_{channel}.tif", C[number], photometric=photometric, metadata=None, description=about,
                resolution=(per_unit, per_unit), resolutionunit=1,
            )  # fmt: skip

    return make


def renamed(old: str, new: str) -> Maker:
    def make(folder: Path) -> None:
        good(folder)
        (folder / old).rename(folder / new)

    return make


def copied(new: str) -> Maker:
    def make(folder: Path) -> None:
        (folder / new).write_bytes(good(folder)["green"].read_bytes())

    return make


def linked(folder: Path) -> None:
    path = good(folder)["blue"]
    path.unlink()
    path.symlink_to(path.name)


def sub_folder(folder: Path) -> None:
    good(folder / "fields")


def in_folders(name: str) -> Maker:
    """The files of a field in folders below."""

    def make(folder: Path) -> None:
        for channel, path in good(folder).items():
            target = folder / f"{name.format(channel=channel)}.png"
            target.parent.mkdir(exist_ok=True)
            path.rename(target)

    return make


def several_fields(folder: Path) -> None:
    for name in ("a", "b"):
        good(folder / "one", name)
        good(folder / "two", name)


def named_as(*names: str) -> Maker:
    def make(folder: Path) -> None:
        for name in names:
            (folder / name).write_bytes(TIFF)

    return make


def two_places(folder: Path) -> list[Path]:
    good(folder / "one")
    good(folder / "two")
    (folder / "two" / "a_red.png").write_bytes(encoded("PNG", Image.fromarray(pixels()[::-1, :, 0])))
    return [folder / "one", folder / "two"]


def from_catalog(**planes: str) -> Maker:
    def make(folder: Path) -> list[Path]:
        good(folder)
        Catalog.from_entries([Entry("a", **planes)], folder).write(folder / "c.parquet")  # type: ignore[arg-type]
        return [folder / "c.parquet"]

    return make


def both_forms(folder: Path) -> None:
    for form in ("NFC", "NFD"):
        good(folder, unicodedata.normalize(form, "é"))


def placed(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def folder_for_channel(folder: Path) -> None:
    path = good(folder)["red"]
    path.unlink()
    path.mkdir()


def contradicting(folder: Path) -> None:
    good(folder)["red"].unlink()
    tifffile.imwrite(folder / "a_red.ome.tif", C[0], metadata={"axes": "YX", "Channel": {"Name": ["DAPI"]}})


def longest(folder: Path) -> None:
    name = "n" * (255 - len("_yellow.png"))
    for number, channel in enumerate(CHANNEL_NAMES):
        data = encoded("PNG", Image.fromarray(np.ascontiguousarray(pixels()[..., number])))
        (folder / f"{name}_{channel}.png").write_bytes(data)


def sizes_that_differ(folder: Path) -> None:
    for number, name in enumerate(CHANNEL_NAMES):
        side = 0.08 * (1 + number)
        sizes = {f"PhysicalSize{axis}": side for axis in "XY"}
        tifffile.imwrite(folder / f"a_{name}.ome.tif", pixels()[..., number], metadata={"axes": "YX", **sizes})


def whole(array: np.ndarray, um: float | None = None) -> Maker:
    return lambda folder: write_ome_tiff(folder / "a.ome.tif", Field("a", array, um))


C = np.moveaxis(pixels(), -1, 0)
HALF = {"red": "a_red.png", "green": "a_green.png", "blue": "a_blue.png"}
ALPHA = GREY.convert("RGBA")
PHOTO = Image.fromarray(np.ascontiguousarray(pixels()[..., :3]))
GREEN = Image.merge("RGB", [Image.new("L", GREY.size), GREY, Image.new("L", GREY.size)])
LUT = GREY.copy()
LUT.putpalette([value for level in range(256) for value in (0, level, 0)])

RGBA = Image.fromarray(pixels())
W = "P_A01_s1_w{0}1F3FDE5E-0A1B-4C2D-8E9F-0123456789AB.TIF"
NUMBERS = Rules(parse_channels("red=0,green=1,blue=2,yellow=3"))

MAKERS: dict[str, Maker | tuple[Maker, Rules]] = {
    "an empty folder": lambda _: None,
    "a path that does not exist": lambda folder: [folder / "none"],
    "a folder of folders": sub_folder,
    "only files of other kinds": lambda folder: (folder / "notes.txt").write_text("x"),
    "files of other kinds beside fields": lambda folder: (good(folder), (folder / ".DS_Store").write_text("x")),
    "a picture that names no channel": lambda folder: [placed(folder / "a.png", PNG)],
    "a composite of HPA's site beside the channels": copied("a_blue_red_green.png"),
    "a composite of HPA's site alone": lambda folder: placed(folder / "a_blue_red_green.jpg", JPEG),
    "a composite that draws four channels": lambda folder: placed(folder / "a_blue_red_green_yellow.jpg", JPEG),
    "a folder for each channel": in_folders("{channel}/a"),
    "one of the folders for a channel": lambda folder: in_folders("{channel}/a_{channel}")(folder) or [folder / "red"],
    "a folder for each field": in_folders("a/{channel}"),
    "folders of several fields": several_fields,
    "a microscope's names without a preset": named_as(*map(W.format, "1234")),
    "channels that have numbers, at a preset": (
        named_as(*map(W.format, "1234")), Rules(preset="metaxpress")
    ),
    "a file for each slice": (
        named_as(*(f"a_z{z}_{name}.tif" for z in "12" for name in CHANNEL_NAMES)),
        Rules(pattern="{id}_z{z}_{channel}"),
    ),
    "a Zeiss file": lambda folder: [placed(folder / "a.czi", b"ZISRAWFILE")],
    "a folder of Nikon files": lambda folder: placed(folder / "a.nd2", b"x"),
    "a spreadsheet": lambda folder: [placed(folder / "a.xlsx", b"PK")],
    "a URL, for other commands than predict": lambda _: [Path("https://example.org/a.tif")],
    "a table of paths without a column": lambda folder: [placed(folder / "t.csv", b"id,red,green,blue\na,r,g,b\n")],
    "a table of paths whose pixel size is not a number": lambda folder: [
        placed(folder / "t.csv", b"id,red,green,blue,yellow,pixel_size\na,r,g,b,y,x\n")
    ],
    "a table of URLs, for other commands than predict": lambda folder: [
        placed(folder / "t.csv", b"id,red,green,blue,yellow\na,s3://bucket/a_red.png,g,b,y\n")
    ],
    "four stains in one RGBA PNG": lambda folder: placed(folder / "a.png", encoded("PNG", RGBA)),
    "four stains in one RGBA PNG, and their numbers": (
        lambda folder: placed(folder / "a.png", encoded("PNG", RGBA)), NUMBERS
    ),
    "four stains in one TIFF of RGB and an extra sample": (
        lambda folder: placed(folder / "a.tif", encoded("TIFF", RGBA)), Rules()
    ),
    "one channel missing": lambda folder: good(folder)["red"].unlink(),
    "yellow missing": lambda folder: good(folder)["yellow"].unlink(),
    "yellow missing, and allowed": (lambda folder: good(folder)["yellow"].unlink(), Rules(allow_missing=("yellow",))),
    "two files for one channel": copied("a_green.tif"),
    "a stain and a colour for one channel": copied("a_DAPI.tif"),
    "one id in two folders": two_places,
    "a PNG of 0 bytes": replaced("green", b""),
    "a TIFF of 0 bytes": replaced("green", b"", ".tif"),
    "a PNG cut short": replaced("green", PNG[: len(PNG) // 2]),
    "a PNG whose second half is zeros": replaced("green", PNG[: len(PNG) // 2] + bytes(len(PNG) - len(PNG) // 2)),
    "a JPEG cut short": replaced("green", JPEG[:300], ".jpg"),
    "a TIFF cut short": replaced("green", TIFF[:300], ".tif"),
    "a PNG that is text": replaced("green", b"Id,Target\n"),
    "a PNG that is a JPEG": replaced("green", JPEG),
    "a TIFF that is a PNG": replaced("green", PNG, ".tif"),
    "a JPEG that is a TIFF": replaced("green", TIFF, ".jpg"),
    "a PNG whose header claims 60000 × 60000 px": replaced("green", giant_png()),
    "a JPEG whose header claims 60000 × 60000 px": replaced("green", giant_jpeg(), ".jpg"),
    "a TIFF whose header claims 60000 × 60000 px": replaced("green", giant_tiff(), ".tif"),
    "a palette PNG": replaced("green", encoded("PNG", PHOTO.quantize(256))),
    "a palette PNG of one colour, as ImageJ writes them": replaced("green", encoded("PNG", LUT)),
    "a PNG with alpha": replaced("green", encoded("PNG", ALPHA)),
    "a colour PNG for one channel": replaced("green", encoded("PNG", PHOTO)),
    "a grey PNG saved as RGB": replaced("green", encoded("PNG", GREY.convert("RGB"))),
    "a green PNG for the green channel": replaced("green", encoded("PNG", GREEN)),
    "a CMYK JPEG": replaced("green", encoded("JPEG", GREY.convert("CMYK")), ".jpg"),
    "a colour photograph for one channel": replaced(
        "green", encoded("JPEG", PHOTO), ".jpg"
    ),
    "a palette TIFF": replaced("green", encoded("TIFF", PHOTO.quantize(256)), ".tif"),
    "a palette TIFF of one colour, as ImageJ writes them": replaced("green", encoded("TIFF", LUT), ".tif"),
    "a CMYK TIFF": replaced("green", encoded("TIFF", GREY.convert("CMYK")), ".tif"),
    "a TIFF with alpha": replaced("green", encoded("TIFF", ALPHA), ".tif"),
    "a black-and-white TIFF": replaced("green", encoded("TIFF", GREY.convert("1")), ".tif"),
    "channels of unlike sizes": replaced("green", encoded("PNG", GREY.resize((16, 16)))),
    "channels of unlike depths": replaced("green", encoded("PNG", Image.fromarray(pixels(np.uint16)[..., 0]))),
    "a gzip cut short": replaced("green", gzip.compress(PNG)[:-20], ".png.gz"),
    "a gzip bomb": replaced("green", gzip.compress(bytes((513 << 20) + 1), 1), ".png.gz"),
    "three channels": stack(C[:3], "CYX", names=STAINS[:3]),
    "five channels, the fifth unknown": stack(np.concatenate([C, C[:1]]), "CYX", names=[*STAINS, "Brightfield"]),
    "five channels, two of them nuclei": stack(np.concatenate([C, C[:1]]), "CYX", names=[*STAINS, "Hoechst"]),
    "channels without names": stack(C, "CYX"),
    "channels of unknown names": stack(C, "CYX", names=["Ch1", "Ch2", "Ch3", "Ch4"]),
    "a name that the user gives, and that is not there": (
        stack(C, "CYX", names=STAINS), Rules(parse_channels("red=Actin,green=GFP"))
    ),
    "a file name and metadata that contradict each other": contradicting,
    "a z-stack": stack(np.stack([C, C]), "ZCYX", names=STAINS),
    "a z-stack, of a plane that it does not have": (stack(np.stack([C, C]), "ZCYX", names=STAINS), Rules(plane=7)),
    "a time series": stack(np.stack([C, C]), "TCYX", names=STAINS),
    "a z-stack in a time series": stack(np.stack([[C, C]] * 2), "TZCYX", names=STAINS),
    "floats that are not numbers": whole(np.where(pixels() > 190, np.nan, pixels()).astype(np.float32)),
    "infinite floats": whole(np.where(pixels() > 190, np.inf, pixels()).astype(np.float32)),
    "negative floats": whole(pixels(np.float32) - 60, 164 / 32),
    "pixels that are not square": stack(C, "CYX", names=STAINS, PhysicalSizeX=0.1, PhysicalSizeY=0.2),
    "a pixel size that cannot be": whole(pixels(), 1e-5),
    "no pixel size, and another size than the Atlas'": whole(pixels()),
    "channels of unlike pixel sizes": sizes_that_differ,
    "an empty plane": whole(pixels() * np.array([1, 0, 1, 1], np.uint8), 164 / 32),
    "an RGB composite": lambda folder: tifffile.imwrite(folder / "a.tif", pixels()[..., :3], photometric="rgb"),
    "a zip archive cut short": lambda folder: [placed(folder / "a.zip", b"PK\x03\x04")],
    "a zip archive without fields": packed(("train.csv", b"Id")),
    "a zip archive in a zip archive": packed(("b.zip", b"PK"), ("train.csv", b"Id")),
    "a zip archive whose names lead out of it": packed(*planes_of("../../a"), *planes_of("/etc/b")),
    "an encrypted zip archive": packed(*planes_of(), flag=1),
    "a zip bomb": packed(*planes_of()[1:], ("a_red.png", bytes((513 << 20) + 1))),
    "an OME-Zarr without metadata": zarr_without("zarr.json"),
    "an OME-Zarr with a missing chunk": zarr_without("0", "c", "2", "0", "0"),
    "an OME-Zarr with a missing shard": sharded("0", "c", "2", "0", "0"),
    "an OME-Zarr with a shard of 0 bytes": sharded("0", "c", "2", "0", "0", data=lambda _: b""),
    "an OME-Zarr with a half-written shard": half_written,
    "an OME-Zarr with a shard cut short": sharded("0", "c", "2", "0", "0", data=lambda whole: whole[:-9]),
    "an OME-Zarr whose array has damaged metadata": sharded("0", "zarr.json", data=lambda whole: whole[:99]),
    "an OME-Zarr whose scale has no unit": sharded(unit=""),
    "an OME-Zarr whose scale cannot be µm": sharded(unit="", um=65.0),
    "a zipped OME-Zarr cut short": zipped_and_cut,
    "a plate of which a well is absent": without_a_part("plate", "A/2"),
    "a series of which an image is absent": without_a_part("series", "1"),
    "a TIFF without its companion file": companion_without("a.companion.ome"),
    "a companion file without one of its TIFFs": companion_without("c3.tif"),
    "an NDTiff without its frames": ndtiff_without_frames,
    "signed integers, some of them negative": whole((pixels(np.float32) - 60).astype(np.int16), 164 / 32),
    "an ImageJ TIFF with an inverted lookup table": imagej("miniswhite", "micron", 32 / 164),
    "an ImageJ TIFF with a printer's resolution in inches": imagej("minisblack", "inch", 300),
    "a Catalog whose files are gone": from_catalog(red="b.png", green="b.png", blue="c.png", yellow="d.png"),
    "a Catalog without a channel": from_catalog(**HALF),
    "a link that leads to itself": linked,
    "a channel that is a folder": folder_for_channel,
    "a name with a line break": renamed("a_red.png", "a\r_red.png"),
    "a name whose bytes are not text": lambda folder: good(folder, os.fsdecode(b"\xe9")),
    "names with spaces, quotes and newlines": lambda folder: good(folder, "it's \"a\"\n1"),
    "é in both normal forms": both_forms,
    "a name of 255 bytes": longest,
}  # fmt: skip


FLAGS = {
    name: "--" + name.replace("_", "-") for name in ("allow_missing", "channels", "pattern", "pixel_size", "plane")
}
FLAGS["preset"] = "--preset"
"""As the command line names parameters."""


def happens(sources: list[Path], rules: Rules) -> str:
    """Return all messages: the errors, the warnings, and `read` for each field that is read."""
    try:
        found, failures = find_fields(sources, rules)
    except LociscopeError as error:
        return name_parameters(str(error), FLAGS)
    said = [failure.reason for failure in failures]
    for source in found:
        try:
            field = read_field(source)
            made = make_tiles(field, SPEC)
            noticed = find_warnings(made.whole, InputMeasures(made.pixels[0]), SPEC.height, field.missing)
            said += ["read", *map(str, (*field.warnings, *made.warnings, *noticed))]
        except LociscopeError as error:
            said.append(str(error))
    return name_parameters("\n".join(said), FLAGS)


def test_the_page_and_the_makers_have_the_same_kinds() -> None:
    assert set(rows()) == set(MAKERS)
    assert len(MAKERS) >= 40


@pytest.mark.parametrize("kind", MAKERS)
def test_each_input_gives_the_message_on_the_page(tmp_path: Path, kind: str) -> None:
    maker = MAKERS[kind]
    make, rules = maker if isinstance(maker, tuple) else (maker, Rules())
    folder = tmp_path / "f"
    folder.mkdir()
    try:
        made = make(folder)
    except OSError as error:
        pytest.skip(f"this file system does not hold such a name: {error.strerror}")
    said = happens(made if isinstance(made, list) else [folder], rules)
    assert rows()[kind] in said
    refused = "read" not in said.splitlines()
    assert not refused or said.endswith((".", "?"))  # a sentence, with its remedy
