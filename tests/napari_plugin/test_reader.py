"""Fields as layers of napari, without napari."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.images.field import Field
from lociscope.napari_plugin import reader
from lociscope.napari_plugin.reader import METADATA, find_contrast, get_reader, make_layers, make_sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lociscope.napari_plugin.reader import LayerData


def field_of(name: str, size: int = 8, pixel_size: float | None = 0.32) -> Field:
    pixels = np.random.default_rng(len(name)).integers(0, 255, (size, size, 4), np.uint8)
    return Field(name, pixels, pixel_size)


def open_paths(paths: str) -> list[LayerData]:
    opened = get_reader(paths)
    assert opened is not None
    return opened(paths)


def test_a_folder_becomes_four_layers_with_a_slider(write_field: Callable[..., Path], tmp_path: Path) -> None:
    for number in range(3):
        folder = write_field(f"f{number}", seed=number)
    layers = open_paths(str(folder))
    assert [(data.shape, kind) for data, _, kind in layers] == [((3, 32, 32), "image")] * 4
    options = layers[1][1]
    assert (options["colormap"], options["blending"]) == ("green", "additive")
    assert options["metadata"][METADATA]["ids"] == ["f0", "f1", "f2"]


def test_one_of_four_files_opens_the_field(write_field: Callable[..., Path], tmp_path: Path) -> None:
    folder = write_field("a[1]")
    write_field("b2")
    path = str(folder / "a[1]_green.png")
    layers = open_paths(path)
    assert [options["name"] for _, options, _ in layers] == [
        "a[1] · microtubules", "a[1] · protein", "a[1] · nucleus", "a[1] · endoplasmic reticulum",
    ]  # fmt: skip
    assert {data.shape for data, _, _ in layers} == {(32, 32)}


@pytest.mark.parametrize("name", ["alone_green.png", "notes.txt", "absent_red.png"])
def test_what_is_no_field_is_left_to_other_readers(name: str, write_field: Callable[..., Path], tmp_path: Path) -> None:
    folder = write_field("alone")
    (folder / "alone_red.png").unlink()
    (folder / "notes.txt").write_text("x")
    assert get_reader(str(folder / name)) is None


def test_an_ordinary_tiff_is_left_to_other_readers(tmp_path: Path) -> None:
    import tifffile

    tifffile.imwrite(tmp_path / "other.tif", np.zeros((9, 16, 16), np.uint16))
    assert get_reader([str(tmp_path / "other.tif")]) is None


def test_sizes_are_layers_of_their_own(tmp_path: Path) -> None:
    layers = make_layers([field_of("a"), field_of("b", size=9), field_of("c")])
    assert [data.shape for data, _, _ in layers] == [(2, 8, 8)] * 4 + [(9, 9)] * 4
    assert layers[0][1]["scale"] == (1.0, 0.32, 0.32)
    assert layers[0][1]["units"] == ("pixel", "um", "um")
    assert layers[4][1]["scale"] == (0.32, 0.32)


def test_pixels_of_unknown_size_have_no_unit() -> None:
    (_, options, _), *_ = make_layers([field_of("a", pixel_size=None)])
    assert "units" not in options
    assert options["scale"] == (1.0, 1.0)


def test_a_channel_that_was_not_imaged_has_no_layer() -> None:
    given = field_of("a")
    layers = make_layers([Field("a", given.pixels, missing=("yellow",))])
    assert [options["colormap"] for _, options, _ in layers] == ["red", "green", "blue"]


def test_fields_that_cannot_be_opened_are_named(
    write_field: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        folder = write_field(name)
    (folder / "b_red.png").write_bytes(b"damaged")
    (folder / "c_red.png").unlink()
    with pytest.warns(UserWarning, match="1 fields are not opened"):
        opened = get_reader(str(folder))
    assert opened is not None
    with pytest.warns(UserWarning, match="1 fields cannot be read"):
        layers = opened(str(folder))
    assert layers[0][1]["metadata"][METADATA]["ids"] == ["a"]


def test_no_more_fields_than_fit_are_opened(write_field: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_FIELDS", 2)
    for number in range(3):
        folder = write_field(f"f{number}")
    with pytest.warns(UserWarning, match="The first 2 of 3 fields"):
        layers = open_paths(str(folder))
    assert layers[0][0].shape == (2, 32, 32)


def test_contrast_is_never_empty() -> None:
    assert find_contrast(np.full((4, 4), 7, np.uint8)) == (7.0, 8.0)
    low, high = find_contrast(np.arange(1000, dtype=np.uint16).reshape(10, 100))
    assert (low, high) == pytest.approx((0.999, 998.001))


def test_the_sample_is_a_simulated_field() -> None:
    layers = make_sample()
    assert [data.shape for data, _, _ in layers] == [(512, 512)] * 4
    assert layers[0][1]["units"] == ("um", "um")
