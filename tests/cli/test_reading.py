"""What a user says about files, and that the same cells give the same answer whatever holds them."""

from __future__ import annotations

import csv
import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from lociscope.artifacts.predictions import PROBABILITY_COLUMNS
from lociscope.images.field import Field
from lociscope.images.io.write import write_ome_zarr, write_planes
from lociscope.simulate import simulate_field

Command = Callable[..., tuple[int, str, str]]
WriteField = Callable[..., Path]
STAINS = ["Tubulin", "Alexa 488", "DAPI", "ER"]


@pytest.fixture(scope="session")
def cells() -> np.ndarray:
    """A simulated field, (512, 512, 4) of 8 bits."""
    return simulate_field(0, seed=5, size=512, pixel_size=0.32).pixels


def scores(path: Path) -> np.ndarray:
    with path.open(newline="") as lines:
        (row,) = csv.DictReader(lines)
    return np.array([float(row[name]) for name in PROBABILITY_COLUMNS])


def stack(path: Path, pixels: np.ndarray, um: float | None = 0.32, **options: object) -> None:
    sizes = {} if um is None else {"PhysicalSizeX": um, "PhysicalSizeY": um}
    metadata = {"axes": "CYX", "Channel": {"Name": STAINS}, **sizes}
    planes = np.moveaxis(pixels, -1, 0)
    tifffile.imwrite(path, planes, photometric="minisblack", metadata=metadata, **options)  # type: ignore[arg-type]


def as_png(folder: Path, pixels: np.ndarray) -> None:
    write_planes(folder, "a", pixels)


def as_png_of_16_bits(folder: Path, pixels: np.ndarray) -> None:
    write_planes(folder, "a", pixels.astype(np.uint16) * 257)


def as_12_bits_in_16(folder: Path, pixels: np.ndarray) -> None:
    write_planes(folder, "a", (pixels * (4095 / 255)).round().astype(np.uint16))


def as_tiff_planes(folder: Path, pixels: np.ndarray) -> None:
    for number, name in enumerate(("red", "green", "blue", "yellow")):
        Image.fromarray(pixels[..., number].astype(np.uint16) * 257).save(
            folder / f"a_{name}.tif", compression="tiff_lzw"
        )


def as_packed_tiff(folder: Path, pixels: np.ndarray) -> None:
    as_tiff_planes(folder, pixels)
    for path in list(folder.iterdir()):
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
        path.unlink()


def as_ome(folder: Path, pixels: np.ndarray) -> None:
    stack(folder / "a.ome.tif", pixels)


def as_ome_of_big_endian_floats(folder: Path, pixels: np.ndarray) -> None:
    floats = (pixels / 255).astype(np.float32)
    stack(folder / "a.ome.tif", floats, byteorder=">", compression="zlib", tile=(64, 64))


def as_ome_of_2048(folder: Path, pixels: np.ndarray) -> None:
    stack(folder / "a.ome.tif", pixels.repeat(4, axis=0).repeat(4, axis=1), 0.08)


def as_zip(folder: Path, pixels: np.ndarray) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for path in write_planes(folder / "loose", "a", pixels):
            archive.write(path, path.name)


def as_ome_zarr(folder: Path, pixels: np.ndarray) -> None:
    pytest.importorskip("zarr")
    write_ome_zarr(folder / "a.ome.zarr", Field("a", pixels, 0.32))


FORMS = (
    as_png_of_16_bits, as_12_bits_in_16, as_tiff_planes, as_packed_tiff, as_ome, as_ome_of_big_endian_floats,
    as_ome_of_2048, as_zip, as_ome_zarr,
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_the_same_cells_give_the_same_answer(
    lociscope: Command, cells: np.ndarray, tmp_path: Path, form: Callable[[Path, np.ndarray], None]
) -> None:
    for name, write in (("plain", as_png), ("other", form)):
        (tmp_path / name).mkdir()
        write(tmp_path / name, cells)
        source = tmp_path / name / "a.zip" if write is as_zip else tmp_path / name
        assert lociscope("predict", source, "-o", f"{name}.csv") == (0, f"1 field in {name}.csv, 1 new\n", "")
    np.testing.assert_allclose(scores(tmp_path / "other.csv"), scores(tmp_path / "plain.csv"), atol=0.01)


def test_a_pixel_size_puts_a_part_of_a_field_to_scale(lociscope: Command, cells: np.ndarray, tmp_path: Path) -> None:
    """A quarter of a field, without and with its pixel size: the second is as the same quarter in a whole field."""
    write_planes(tmp_path / "part", "a", cells[:256, :256])
    assert lociscope("predict", tmp_path / "part", "-o", "a.csv")[0] == 0
    assert lociscope("predict", tmp_path / "part", "-o", "b.csv", "--pixel-size", "0.32")[0] == 0
    with (tmp_path / "a.csv").open() as a, (tmp_path / "b.csv").open() as b:
        said = [next(csv.DictReader(lines))["warnings"] for lines in (a, b)]
    assert [warnings.split("; ")[0] for warnings in said] == ["pixel_size_assumed", "small field: 82 µm"]
    write_planes(tmp_path / "whole", "a", np.pad(cells[:256, :256], ((128, 128), (128, 128), (0, 0)), "symmetric"))
    assert lociscope("predict", tmp_path / "whole", "-o", "c.csv")[0] == 0
    np.testing.assert_allclose(scores(tmp_path / "b.csv"), scores(tmp_path / "c.csv"), atol=0.01)


def test_names_that_the_user_gives(lociscope: Command, cells: np.ndarray, tmp_path: Path) -> None:
    planes = np.moveaxis(cells[:64, :64], -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", planes[[3, 1, 2, 0]], photometric="minisblack")
    code, _, err = lociscope("predict", "a.tif", "-o", "out.csv")
    assert code == 1
    assert "(found '0', '1', '2', '3'). Pass --channels red=…,green=…,blue=…,yellow=… with these names." in err
    assert lociscope("predict", "a.tif", "-o", "out.csv", "--channels", "red=3,green=1,blue=2,yellow=0")[0] == 0
    write_planes(tmp_path / "plain", "a", cells[:64, :64])
    assert lociscope("predict", "plain", "-o", "plain.csv")[0] == 0
    np.testing.assert_array_equal(scores(tmp_path / "out.csv"), scores(tmp_path / "plain.csv"))


def test_a_missing_channel_is_zeros_and_reported(lociscope: Command, write_field: WriteField, tmp_path: Path) -> None:
    folder = write_field("a1")
    (folder / "a1_yellow.png").unlink()
    code, _, err = lociscope("predict", folder, "-o", "out.csv")
    assert code == 1
    assert "Add 'a1_yellow.png', or pass --allow-missing yellow." in err
    words = ("--allow-missing", "yellow", "--pixel-size", 5)
    assert lociscope("predict", folder, "-o", "out.csv", *words)[0] == 0
    assert "missing channel: yellow\n" in (tmp_path / "out.csv").read_text()


def test_another_pixel_size_is_predicted_anew(lociscope: Command, write_field: WriteField) -> None:
    folder = write_field("a1")
    for size, new in ((5, 1), (5, 0), (4, 1)):
        said = lociscope("predict", folder, "-o", "out.csv", "--pixel-size", size)[1]
        assert said == f"1 field in out.csv, {f'{new} new' if new else 'complete already'}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--pixel-size", "0"), "--pixel-size 0.0 is not possible; expected µm above 0"),
        (("--pixel-size", "nan"), "is not possible"),
        (("--channels", "red"), "--channels has 'red'; expected red=NAME"),
        (("--allow-missing", "green"), "would leave no protein"),
        (("--pattern", "{plate}"), "does not separate fields and channels"),
        (("--plane", "-1"), "--plane"),
    ],
)
def test_wrong_words_are_2(lociscope: Command, write_field: WriteField, words: tuple[str, ...], said: str) -> None:
    code, out, err = lociscope("predict", write_field("a1"), "-o", "out.csv", *words)
    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "rows"),
    [
        (("hpa_website",), 1),
        (("cm4ai",), 5),
        (("hpa2021/train",), 3),
        (("hpa_dictionary", "--allow-missing", "yellow", "--pixel-size", "0.085"), 35),
    ],
)
def test_real_fields_of_every_source(lociscope: Command, real_data: Path, words: tuple[str, ...], rows: int) -> None:
    said = lociscope("predict", real_data / words[0], *words[1:], "-o", "out.csv")
    assert said[0] == 0
    assert said[1].endswith(f"{rows} fields in out.csv, {rows} new\n" if rows > 1 else "1 field in out.csv, 1 new\n")
