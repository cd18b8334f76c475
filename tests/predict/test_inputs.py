"""What a data scientist types first: paths, arrays of other libraries, lists of them, pickles and DataFrames."""

from __future__ import annotations

import multiprocessing
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fixtures.pixels import patches

import lociscope
from lociscope.artifacts.predictions import PROBABILITY_COLUMNS, Predictions
from lociscope.errors import LociscopeError, UsageError
from lociscope.images.discovery.sources import find_fields
from lociscope.images.field import Field
from lociscope.images.io.read import read_field
from lociscope.images.io.write import write_ome_tiff
from lociscope.predict.inputs import read_fields
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.warnings import WarningKind

WriteField = Callable[..., Path]


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return open_bundle(tiny_bundle, threads=1)


@pytest.fixture
def folder(write_field: WriteField) -> Path:
    for number, name in enumerate(("a1", "b2", "c3")):
        folder = write_field(name, seed=number)
    return folder


def noise(*shape: int) -> np.ndarray:
    return patches(shape)


class Lazy:
    """An array as dask or zarr have it: numpy reads it only where it is asked for."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.shape, self.dtype = pixels, pixels.shape, pixels.dtype
        self.loaded: list[tuple[int, ...]] = []

    def __getitem__(self, row: int) -> Lazy:
        part = Lazy(self.pixels[row])
        part.loaded = self.loaded
        return part

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        self.loaded.append(self.shape)
        return self.pixels


# === Paths ===


def test_paths_in_every_form_give_what_the_fields_give(predictor: Predictor, folder: Path) -> None:
    found, _ = find_fields([folder])
    expected = predictor.predict([read_field(source) for source in found])
    planes = [folder / f"{name}_{colour}.png" for name in ("a1", "b2", "c3") for colour in ("red", "green", "blue")]
    yellow = [str(folder / f"{name}_yellow.png") for name in ("a1", "b2", "c3")]
    several: list[Any] = [str(folder), folder, [str(folder)], (folder,), found, iter(found), [*planes, *yellow]]
    for given in several:
        made = predictor.predict(given)
        assert made.ids == ["a1", "b2", "c3"]
        np.testing.assert_array_equal(made.probability, expected.probability)
    assert predictor.predict(found[1]).ids == ["b2"]


def test_a_mixture_keeps_its_order(predictor: Predictor, folder: Path) -> None:
    found, _ = find_fields(folder)
    given: list[Any] = [noise(16, 16, 4), found[2], str(folder), Field("x", noise(8, 8, 4)), noise(2, 8, 8, 4)]
    assert predictor.predict(given).ids == ["0", "c3", "a1", "b2", "c3", "x", "1", "2"]


@pytest.mark.parametrize("form", [str, Path, lambda path: [str(path)]])
def test_find_fields_takes_one_path_or_several(folder: Path, form: Callable[[Path], Any]) -> None:
    assert find_fields(form(folder)) == find_fields([folder])


def test_a_path_without_fields_or_with_a_bad_one_is_an_error(predictor: Predictor, folder: Path) -> None:
    with pytest.raises(LociscopeError, match="'nowhere' does not exist"):
        predictor.predict("nowhere")
    (folder / "b2_red.png").unlink()
    with pytest.raises(LociscopeError, match=r"1 of 3 fields cannot be predicted; the first: Field 'b2' has no _red"):
        predictor.predict(str(folder))


def test_files_are_written_and_read_by_str(predictor: Predictor, tmp_path: Path) -> None:
    made = predictor.predict(noise(16, 16, 4))
    for name in ("x.csv", "x.parquet"):
        made.write(str(tmp_path / name))
        assert Predictions.read(str(tmp_path / name)).predicted == made.predicted
    made.write_submission(str(tmp_path / "sub.csv"))
    assert Predictions.read_submission(str(tmp_path / "sub.csv")).ids == ["0"]
    write_ome_tiff(str(tmp_path / "x.ome.tif"), Field("x", noise(16, 16, 4), 10.0))
    assert predictor.predict(str(tmp_path / "x.ome.tif")).ids == ["x"]


# === Arrays ===


def test_arrays_of_other_libraries_are_loaded_field_by_field(predictor: Predictor) -> None:
    stack = noise(3, 16, 16, 4)
    lazy = Lazy(stack)
    fields = read_fields(lazy)
    assert (next(fields).id, lazy.loaded) == ("0", [(16, 16, 4)])
    np.testing.assert_array_equal(predictor.predict(Lazy(stack)).probability, predictor.predict(stack).probability)
    assert len(predictor.predict([Lazy(stack[0]), stack[1]])) == 2


def test_zarr_arrays(predictor: Predictor, tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    stored = zarr.create_array(tmp_path / "x.zarr", shape=(2, 16, 16, 4), chunks=(1, 16, 16, 4), dtype="uint8")
    stored[:] = stack = noise(2, 16, 16, 4)
    np.testing.assert_array_equal(predictor.predict(stored).probability, predictor.predict(stack).probability)
    with pytest.raises(LociscopeError, match=r"np\.moveaxis\(pixels, 1, -1\)"):
        predictor.predict(zarr.array(np.zeros((2, 4, 16, 16), np.uint8)))


def test_dask_arrays(predictor: Predictor) -> None:
    dask = pytest.importorskip("dask.array")
    stack = noise(2, 16, 16, 4)
    made = predictor.predict(dask.from_array(stack, chunks=(1, 8, 8, 4)))
    np.testing.assert_array_equal(made.probability, predictor.predict(stack).probability)


def test_a_list_of_arrays_of_unlike_sizes(predictor: Predictor) -> None:
    made = predictor.predict([noise(16, 16, 4), noise(20, 24, 4)])
    assert made.ids == ["0", "1"]
    np.testing.assert_allclose(made.probability[1:], predictor.predict(noise(20, 24, 4)).probability, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        (noise(4, 16, 16), r"np\.moveaxis\(pixels, 0, -1\)"),
        (noise(3, 4, 16, 16), r"np\.moveaxis\(pixels, 1, -1\)"),
        ([noise(4, 16, 16)], r"np\.moveaxis\(pixels, 0, -1\)"),
        (Field("x", noise(4, 16, 16)), r"np\.moveaxis\(pixels, 0, -1\)"),
        (noise(1, 3, 4, 16, 16), r"Move the axes with np\.moveaxis"),
        (3.5, r"received a float\. Pass an array \(y, x, 4\)"),
        (None, "received a NoneType"),
        ([None], "received a NoneType"),
        ([[[1, 2, 3, 4]]], "received a list"),
        (b"a1_red.png", "received a bytes"),
        ({"red": noise(16, 16, 4)}, "received a dict"),
        (noise(16, 16, 4)[..., 0], r"received \(16, 16\)\. Join the channels with np\.stack"),
        ([noise(16, 16, 4)[..., 0]] * 4, r"Join the channels with np\.stack"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_refused(predictor: Predictor, given: Any, remedy: str) -> None:
    with pytest.raises(LociscopeError, match=remedy):
        predictor.predict(given)


def test_channels_last_that_only_look_first_are_taken(predictor: Predictor) -> None:
    assert len(predictor.predict(noise(4, 16, 4))) == 1


@pytest.mark.parametrize("size", ["0.32", True, 0, -1.0, float("nan"), float("inf"), [0.32]])
def test_a_pixel_size_that_cannot_be(predictor: Predictor, size: Any) -> None:
    with pytest.raises(UsageError, match=r"^`pixel_size` is .* \(\w+\); expected a number of µm above 0\."):
        predictor.predict(noise(16, 16, 4), pixel_size=size)


ABOUT_SCALE = {
    WarningKind.PIXEL_SIZE_ASSUMED,
    WarningKind.PIXEL_SIZE_UNIT_ASSUMED,
    WarningKind.PIXEL_SIZE_IGNORED,
    WarningKind.SMALL_FIELD,
    WarningKind.COARSE_PIXELS,
}


@pytest.mark.parametrize("size", [164 / 32, np.float32(164 / 32)])
def test_a_pixel_size_holds_for_all_that_is_given(predictor: Predictor, folder: Path, size: Any) -> None:
    found, _ = find_fields(folder)
    for given in (noise(32, 32, 4), str(folder), found, [read_field(found[0])], [Field("x", noise(32, 32, 4), 0.01)]):
        made = predictor.predict(given, pixel_size=size)
        assert not {warning.kind for row in made.warnings for warning in row} & ABOUT_SCALE


# === The predictor ===


def test_augmentation_and_threads_are_arguments(tiny_bundle: Path) -> None:
    made = lociscope.open_bundle(str(tiny_bundle), threads=1, tta=True)
    assert (made.threads, made.tta) == (1, True)
    turned = np.rot90(noise(16, 16, 4))
    one, other = (made.predict(pixels).probability for pixels in (noise(16, 16, 4), np.ascontiguousarray(turned)))
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("threads", [-1, "2", 1.5, True])
def test_a_number_of_threads_that_cannot_be(tiny_bundle: Path, threads: Any) -> None:
    with pytest.raises(UsageError, match=r"^`threads` is .*; expected a number of threads, or 0"):
        lociscope.open_bundle(tiny_bundle, threads=threads)


def test_a_pickled_predictor_predicts_the_same(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_bundle.parent)
    made = open_bundle(tiny_bundle.name, threads=1, tta=True)
    monkeypatch.chdir("/")
    pickled = pickle.dumps(made)
    assert len(pickled) < 1000  # no weights
    again = pickle.loads(pickled)
    assert (again.tta, again.threads, again.bundle.sha256) == (True, 1, made.bundle.sha256)
    np.testing.assert_array_equal(
        again.predict(noise(16, 16, 4)).probability, made.predict(noise(16, 16, 4)).probability
    )


def test_a_pickled_predictor_of_the_shipped_bundle_names_no_folder() -> None:
    assert b"default_bundle" not in pickle.dumps(open_bundle(threads=1))


def test_a_bundle_that_changed_after_pickling_is_refused(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    pickled = pickle.dumps(open_bundle(make_bundle(tmp_path / "b"), threads=1))
    shutil.rmtree(tmp_path / "b")
    make_bundle(tmp_path / "b", seed=1)
    with pytest.raises(LociscopeError, match="is not the one that the predictor was pickled with"):
        pickle.loads(pickled)
    shutil.rmtree(tmp_path / "b")
    with pytest.raises(LociscopeError, match="the folder does not exist"):
        pickle.loads(pickled)


def test_a_predictor_goes_to_another_process(predictor: Predictor) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (made,) = pool.map(predictor.predict, [noise(16, 16, 4)])
    np.testing.assert_array_equal(made.probability, predictor.predict(noise(16, 16, 4)).probability)


# === DataFrames ===


@pytest.fixture
def pandas(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pandas, or where it is not installed the columns that it would get."""
    try:
        import pandas as pd
    except ImportError:
        pd = SimpleNamespace(DataFrame=dict)
        monkeypatch.setitem(sys.modules, "pandas", pd)
    return pd


def test_a_dataframe_has_a_row_a_field(predictor: Predictor, pandas: Any) -> None:
    made = predictor.predict(noise(2, 16, 16, 4), embeddings=True)
    table = made.to_pandas()
    names = ["id", "locations", "predicted", *PROBABILITY_COLUMNS, "status", "warnings", "embedding"]
    assert list(table) == names
    assert list(table["id"]) == ["0", "1"]
    assert list(table["predicted"]) == made.predicted
    np.testing.assert_array_equal(table["p03"], made.probability[:, 3])
    assert list(predictor.predict(noise(16, 16, 4)).to_pandas()) == names[:-1]
    row = Predictions(["a"], made.probability[:1], [(0, 25)], ["ok"], [()])
    assert list(row.to_pandas()["locations"]) == [("Nucleoplasm", "Cytosol")]


def test_without_pandas_the_error_names_it(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(LociscopeError, match=r"to_pandas needs pandas.*pip install pandas\.$"):
        predictor.predict(noise(16, 16, 4)).to_pandas()
