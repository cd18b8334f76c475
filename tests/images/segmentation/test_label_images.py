"""Label images of other programs: found by a pattern, read, and refused if they are none."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.discovery.field_source import FieldSource
from lociscope.images.segmentation import label_images
from lociscope.images.segmentation.label_images import LabelPattern, read_labels

SHAPE = (20, 24)


def source(name: str = "a1", **about: str) -> FieldSource:
    return FieldSource(name, (None,) * 4, about=tuple(about.items()))


def labels(kind: type = np.uint16) -> np.ndarray:
    image: np.ndarray = np.zeros(SHAPE, kind)
    image[2:6, 2:8], image[10:15, 4:9], image[3:9, 14:20] = 1, 2, 300 if np.dtype(kind).itemsize > 1 else 3
    return image


def refusal(path: Path, shape: tuple[int, int] = SHAPE) -> LociscopeError:
    with pytest.raises(LociscopeError) as caught:
        read_labels(path, shape, "a1")
    return caught.value


# === Found ===


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("{id}_cp_masks.png", "a1_cp_masks.png"),
        ("{id}_*_cp_masks.tif", "a1_green_cp_masks.tif"),
        ("{well}_{site}.png", "B02_3.png"),
        ("[x]{id}.png", "xa1.png"),
    ],
)
def test_a_pattern_finds_the_one_file(form: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    (tmp_path / "b1_cp_masks.png").touch()
    assert LabelPattern(f"{tmp_path}/{form}").find(source(well="B02", site="3")) == tmp_path / name


def test_wildcards_in_an_id_are_no_wildcards(tmp_path: Path) -> None:
    for name in ("a[1]*", "a1x"):
        (tmp_path / f"{name}.png").touch()
    assert LabelPattern(f"{tmp_path}/{{id}}.png").find(source("a[1]*")) == tmp_path / "a[1]*.png"


@pytest.mark.parametrize(
    ("names", "form", "code"),
    [
        ((), "{id}.png", Code.NOT_FOUND),
        (("a1.png", "a1.tif"), "{id}.*", Code.DUPLICATE),
        (("a1.png",), "{well}.png", Code.NOT_FOUND),
    ],
)
def test_no_file_or_several_fail(names: tuple[str, ...], form: str, code: Code, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(LociscopeError) as caught:
        LabelPattern(f"{tmp_path}/{form}").find(source())
    assert caught.value.code is code


@pytest.mark.parametrize(
    ("form", "code"), [("masks.png", Code.INVALID_VALUE), ("{name}.png", Code.UNKNOWN_NAME), ("{}", Code.UNKNOWN_NAME)]
)
def test_a_pattern_that_cannot_be_right_is_a_usage_error(form: str, code: Code) -> None:
    with pytest.raises(UsageError) as caught:
        LabelPattern(form)
    assert caught.value.code is code


# === Read ===


def test_cellpose_stardist_and_numpy_files_are_read(tmp_path: Path) -> None:
    Image.fromarray(labels()).save(tmp_path / "cellpose.png")
    tifffile.imwrite(tmp_path / "stardist.tif", labels(np.int32), compression="zlib")
    tifffile.imwrite(tmp_path / "float.tif", labels(np.float32))
    np.save(tmp_path / "masks.npy", labels(np.uint32))
    for name in ("cellpose.png", "stardist.tif", "float.tif", "masks.npy"):
        found = read_labels(tmp_path / name, SHAPE, "a1")
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, labels())


def test_an_image_without_cells_is_read(tmp_path: Path) -> None:
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(tmp_path / "none.png")
    assert not read_labels(tmp_path / "none.png", SHAPE, "a1").any()


def test_a_cell_in_two_parts_is_a_cell(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.where(labels() == 1, 1, np.where(labels() == 2, 1, 0)))
    assert read_labels(tmp_path / "a.npy", SHAPE, "a1").max() == 1


# === Refused ===


def test_another_size_is_refused_with_both_sizes(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", labels())
    error = refusal(tmp_path / "a.npy", (40, 48))
    assert error.code is Code.INVALID_VALUE
    assert "24 × 20" in str(error)
    assert "48 × 40" in str(error)


@pytest.mark.parametrize(
    "image",
    [
        np.where(labels() > 0, 255, 0).astype(np.uint8),
        labels(np.int16) - 1,
        labels(np.float32) / 2,
        labels().astype(np.float64) * 1e10,
        np.zeros((3, *SHAPE), np.uint8),
    ],
    ids=["mask", "negative", "fractions", "too large", "three planes"],
)
def test_arrays_that_are_no_labels_are_refused(image: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", image)
    assert refusal(tmp_path / "a.npy").code is Code.INVALID_VALUE


def test_too_many_numbers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_images, "MAX_CELLS", 2)
    np.save(tmp_path / "a.npy", labels())
    assert refusal(tmp_path / "a.npy").code is Code.INVALID_VALUE


def test_a_colour_picture_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.stack([labels(np.uint8)] * 3, axis=-1)).save(tmp_path / "overlay.png")
    assert refusal(tmp_path / "overlay.png").code in (Code.INVALID_VALUE, Code.UNSUPPORTED_FORMAT)


def test_python_objects_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "a1_seg.npy", np.array({"masks": labels()}), allow_pickle=True)
    assert refusal(tmp_path / "a1_seg.npy").code is Code.REFUSED_CONTENT


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00")
    assert refusal(tmp_path / "a.npy").code is Code.CORRUPT
    (tmp_path / "a.png").write_bytes(b"no picture")
    assert refusal(tmp_path / "a.png").code is Code.WRONG_FILE
    assert refusal(tmp_path / "b.npy").code is Code.UNREADABLE


# === The page ===

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "bad-input.md"
KINDS = (
    *("none for a field", "two for a field", "another size than its field", "a mask of the foreground"),
    *("negative numbers", "fractions", "Cellpose's `_seg.npy`", "a damaged file"),
)


def messages() -> dict[str, str]:
    """The messages on the page of bad input, by the kind of label image."""
    section = PAGE.read_text(encoding="utf-8").partition("## Cells")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| (?P<kind>.+?) \| `(?P<said>[^`]+)` \|$", section, re.MULTILINE))


def make_bad(kind: str, folder: Path) -> None:
    """Make the files of one row of the page."""
    one = folder / "a1.npy"
    if kind == "two for a field":
        one.touch()
        (folder / "a1.tif").touch()
    elif kind == "another size than its field":
        np.save(one, labels())
    elif kind == "a mask of the foreground":
        np.save(one, np.where(labels() > 0, 255, 0).astype(np.uint8).repeat(2, 0).repeat(2, 1))
    elif kind == "negative numbers":
        np.save(one, labels(np.int16).repeat(2, 0).repeat(2, 1) - 1)
    elif kind == "fractions":
        np.save(one, labels(np.float32).repeat(2, 0).repeat(2, 1) / 2)
    elif kind.startswith("Cellpose"):
        np.save(one, np.array({"masks": labels()}), allow_pickle=True)
    elif kind == "a damaged file":
        one.write_bytes(b"\x93NUMPY\x01\x00")


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_of_bad_input_gives_the_message(kind: str, tmp_path: Path) -> None:
    make_bad(kind, tmp_path)
    with pytest.raises(LociscopeError) as caught:
        read_labels(LabelPattern(f"{tmp_path}/{{id}}.*").find(source()), (40, 48), "a1")
    assert messages()[kind] in str(caught.value)
    assert set(messages()) == set(KINDS)
