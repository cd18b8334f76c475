"""The formats, chosen by suffix."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lociscope.errors import LociscopeError
from lociscope.images.io.container import parse_plane_ref
from lociscope.images.io.formats import SUFFIXES, explain_unreadable, get_suffix, read_picture

PLANE = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("a.PNG", ".png"), ("a.tif.gz", ".tif"), ("a.ome.tiff", ".tiff"), ("a.jpeg", ".jpeg"), ("a.gz", ""), ("png", "")],
)
def test_suffixes(name: str, suffix: str) -> None:
    assert get_suffix(name) == suffix


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_every_format_is_read(tmp_path: Path, suffix: str, packed: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(PLANE).save(path)
    if packed:
        path = tmp_path / f"a{suffix}{packed}"
        path.write_bytes(gzip.compress((tmp_path / f"a{suffix}").read_bytes()))
    picture = read_picture(parse_plane_ref(path))
    assert (picture.pixels.shape, picture.names, picture.colour) == ((8, 8, 1), ("",), False)
    if "jp" not in suffix:
        np.testing.assert_array_equal(picture.pixels[..., 0], PLANE)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("other", ["PNG", "JPEG", "TIFF", "GIF", "BMP"])
def test_a_wrong_suffix_is_reported(tmp_path: Path, suffix: str, other: str) -> None:
    right = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}[suffix]
    if right == other:
        pytest.skip("that is the right one")
    path = tmp_path / f"a{suffix}"
    Image.fromarray(PLANE).save(path, other)
    with pytest.raises(LociscopeError, match=f"'{path}' is not a {right}, despite its name"):
        read_picture(parse_plane_ref(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_file_and_a_folder_of_that_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.touch()
    with pytest.raises(LociscopeError, match=r"is empty \(0 bytes\). Copy it again"):
        read_picture(parse_plane_ref(path))
    path.unlink()
    path.mkdir()
    with pytest.raises(LociscopeError, match="Is a directory"):
        read_picture(parse_plane_ref(path))


def test_colour_png(tmp_path: Path) -> None:
    rgb = np.dstack([PLANE, PLANE // 2, PLANE // 3])
    Image.fromarray(rgb).save(tmp_path / "a.png")
    picture = read_picture(parse_plane_ref(tmp_path / "a.png"), colour=True)
    assert (picture.names, picture.colour) == (("red", "green", "blue"), True)
    np.testing.assert_array_equal(picture.pixels, rgb)
    Image.fromarray(PLANE).save(tmp_path / "b.png")
    with pytest.raises(LociscopeError, match=r"is a 8-bit grey PNG. Save it as RGB"):
        read_picture(parse_plane_ref(tmp_path / "b.png"), colour=True)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.czi", "is a Zeiss CZI file, .* convert it with bioformats2raw"), ("a.ND2", "is a Nikon ND2 file"),
        ("a.lif", "is a Leica LAS X file"), ("a.lsm", "is a Zeiss LSM file"), ("a.oib", "is an Olympus/Evident file"),
        ("a.vsi", "is an Olympus/Evident file"), ("a.ims", "is an Imaris file"), ("a.stk", "is a MetaMorph file"),
        ("a.xlsx", "is a spreadsheet, .* Save its sheet as CSV"), ("a.bmp", "of another format, .* without loss"),
        ("a.tar.gz", "is an archive, .* pack it as .zip"), ("a.npy", "is a NumPy array, .* in Python"),
    ],
)  # fmt: skip
def test_what_others_read_is_refused_by_what_it_is(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(LociscopeError, match=said):
        read_picture(parse_plane_ref(tmp_path / name))
    assert explain_unreadable(tmp_path / name) is not None
    (tmp_path / "folder" / name).mkdir(parents=True)
    assert explain_unreadable(tmp_path / "folder" / name) is None


def test_urls_are_refused_and_files_that_look_so_are_not(tmp_path: Path) -> None:
    for url in ("https://example.org/a.tif", "s3://bucket/a.tif", "sftp://example.org/a.tif", "omero://7"):
        assert explain_unreadable(Path(url)) == (
            f"'{url}' is a URL, which lociscope does not read. Download it, and name the file or folder."
        )
    assert explain_unreadable(tmp_path / Path("s3://bucket/a.tif")) is not None  # relative to a table
    (tmp_path / "s3:").mkdir()
    assert explain_unreadable(tmp_path / "s3:" / "a.tif") is not None
    (tmp_path / "s3:" / "a.tif").touch()
    assert explain_unreadable(tmp_path / "s3:" / "a.tif") is None


def test_files_that_are_not_images(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(LociscopeError, match=r"a.txt' is not an image that lociscope reads. Expected .png, .jpg"):
        read_picture(parse_plane_ref(tmp_path / "a.txt"))
