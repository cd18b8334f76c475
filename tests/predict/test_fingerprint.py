"""A field whose files changed in place is predicted again, whatever they are in."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fixtures.file_sets import frames, split, write_ndtiff
from fixtures.zarrs import PIXELS, plate, series, write, zipped

from lociscope.artifacts.predictions import Predictions
from lociscope.images.discovery.naming import Rules
from lociscope.images.discovery.sources import FieldSource, find_fields
from lociscope.images.io.container import PlaneRef
from lociscope.predict.batch import predict_to_file
from lociscope.predict.fingerprint import compute_fingerprint
from lociscope.predict.output import OutputOptions
from lociscope.predict.predictor import open_bundle

zarr = pytest.importorskip("zarr")

Change = Callable[[Path], object]


def later(path: Path) -> None:
    """Give a file a time that differs, which a quick disk may not."""
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))


def pixels(image: Path) -> None:
    zarr.open_array(str(image / "0"), mode="r+")[1] = PIXELS[0]
    for path in (image / "0").rglob("*"):
        if path.is_file():
            later(path)


def labels(image: Path) -> None:
    path = image / "zarr.json"
    about = json.loads(path.read_text())
    channels = about["attributes"]["ome"]["omero"]["channels"]
    channels[0]["label"], channels[1]["label"] = channels[1]["label"], channels[0]["label"]
    path.write_text(json.dumps(about))
    later(path)


def one_chunk(image: Path) -> None:
    later(image / "0" / "c" / "1" / "0" / "0")


def one_lost(image: Path) -> None:
    (image / "0" / "c" / "1" / "0" / "0").unlink()


def prints(source: Path, rules: Rules) -> dict[str, str]:
    return {field.id: compute_fingerprint(field) for field in find_fields([source], rules)[0]}


@pytest.mark.parametrize("change", [pixels, labels, one_chunk, one_lost])
@pytest.mark.parametrize("rules", [Rules(), Rules({"red": "Tubulin"})], ids=["names", "channels"])
def test_an_image_in_a_folder_a_plate_and_a_series(tmp_path: Path, change: Change, rules: Rules) -> None:
    write(tmp_path / "a.zarr")
    plate(tmp_path / "P7.zarr", wells=("A/1",))
    series(tmp_path / "run.zarr")
    before = prints(tmp_path, rules)
    assert prints(tmp_path, rules) == before
    assert len(set(before.values())) == len(before) == 5
    for image, changed in (("a.zarr", "a"), ("P7.zarr/A/1/1", "P7_A1_1"), ("run.zarr/0", "run_0")):
        change(tmp_path / image)
        after = prints(tmp_path, rules)
        assert {name for name in before if before[name] != after[name]} == {changed}
        before = after


def test_an_archive_and_channel_names_beside_the_images(tmp_path: Path) -> None:
    write(tmp_path / "w")
    path = zipped(tmp_path / "w", tmp_path / "a.zarr.zip")
    folder = series(tmp_path / "run.zarr")
    before = prints(tmp_path, Rules())
    later(path)
    (folder / "OME").mkdir()
    (folder / "OME" / "METADATA.ome.xml").write_text("<OME/>")
    after = prints(tmp_path, Rules())
    assert all(before[name] != after[name] for name in ("a", "run_0", "run_1"))


@pytest.mark.parametrize("changed", ["NDTiff.index", "run_NDTiffStack.tif"])
def test_a_data_set_of_ndtiff(tmp_path: Path, changed: str) -> None:
    folder = write_ndtiff(tmp_path / "run_1", frames(0))
    before = prints(folder, Rules())
    later(folder / changed)
    assert prints(folder, Rules()) != before


@pytest.mark.parametrize("changed", ["run.companion.ome", "c2.tif"])
def test_a_companion_and_its_files(tmp_path: Path, changed: str) -> None:
    folder = split(tmp_path / "f")
    before = prints(folder, Rules())
    later(folder / changed)
    after = prints(folder, Rules())
    assert list(after) == ["run"]
    assert after != before


def test_what_is_gone_and_what_may_be_missing() -> None:
    gone = FieldSource("a", (PlaneRef(Path("gone/a_red.png")), PlaneRef(Path("gone/a.zarr")), None, None))
    assert compute_fingerprint(gone) == compute_fingerprint(gone)
    assert compute_fingerprint(gone) != compute_fingerprint(
        FieldSource("a", (PlaneRef(Path("gone/a_red.png")), None, None, None))
    )


@pytest.mark.parametrize("change", [pixels, labels])
def test_the_same_command_again_predicts_what_has_changed(tmp_path: Path, change: Change) -> None:
    large = np.random.default_rng(3).integers(1, 4096, (4, 64, 64), np.uint16)
    for name in ("a.zarr", "b.zarr"):
        write(tmp_path / "f" / name, pixels=large, chunks=(1, 64, 64))
    predictor, out = open_bundle(), tmp_path / "out.parquet"
    found, _ = find_fields([tmp_path / "f"], Rules(pixel_size=0.5))
    assert predict_to_file(predictor, found, out, OutputOptions()).new == 2
    assert predict_to_file(predictor, found, out, OutputOptions()).new == 0
    if change is pixels:
        zarr.open_array(str(tmp_path / "f" / "a.zarr" / "0"), mode="r+")[1] = large[2]
        later(tmp_path / "f" / "a.zarr" / "0" / "c" / "1" / "0" / "0")
    else:
        labels(tmp_path / "f" / "a.zarr")
    again = predict_to_file(predictor, found, out, OutputOptions())
    assert (again.rows, again.new) == (2, 1)
    shutil.rmtree(tmp_path / "f" / "b.zarr")
    table = Predictions.read(out)
    fresh = tmp_path / "fresh.parquet"
    predict_to_file(predictor, found[:1], fresh, OutputOptions())
    np.testing.assert_array_equal(table.probability[0], Predictions.read(fresh).probability[0])
