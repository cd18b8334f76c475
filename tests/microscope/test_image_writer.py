"""The images of a run: one OME-Zarr plate that other programs open, or OME-TIFFs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.artifacts.catalog import Catalog
from lociscope.artifacts.predictions import Predictions
from lociscope.channels import CHANNELS
from lociscope.errors import LociscopeError
from lociscope.images.discovery.sources import find_fields, read_catalog_sources
from lociscope.images.io.container import PlaneRef
from lociscope.images.io.read import read_field
from lociscope.images.io.zarr_layout import list_images, read_attributes
from lociscope.microscope import journal, prediction_worker
from lociscope.microscope.acquire import check_plan, run_plan
from lociscope.microscope.image_writer import PLATE
from lociscope.microscope.simulated.specimen import SimulatedPlate
from lociscope.predict.predictor import Predictor, open_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.microscope.run_result import RunResult

ZOOM = [{"when": "Nucleoli >= 0", "zoom": 2, "sites": 1, "most": 3}]


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return open_bundle(tiny_bundle, threads=1)


def run(plan: Any, predictor: Predictor, out: Path) -> RunResult:
    return run_plan(check_plan(plan), predictor, out)


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "decisions.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def out(make_plan: Any, predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of two wells, of four planned and three requested fields."""
    folder = tmp_path_factory.mktemp("plate") / "out"
    assert run(make_plan({"rules": ZOOM}), predictor, folder).fields == 7
    return folder


def test_the_plate_is_valid_ngff(out: Path) -> None:
    pytest.importorskip("yaozarrs").validate_zarr_store(str(out / PLATE))


def test_the_plate_lists_every_field_with_its_objective(out: Path) -> None:
    plate = read_attributes(out / PLATE)["plate"]
    assert [each["name"] for each in plate["acquisitions"]] == ["10x", "20x"]
    listed = {
        (f"{PLATE}/{well['path']}/{image['path']}", image["acquisition"])
        for well in plate["wells"]
        for image in read_attributes(out / PLATE / well["path"])["well"]["images"]
    }
    assert listed == {(line["image"], ["10x", "20x"].index(line["objective"])) for line in lines_of(out)}


@pytest.mark.slow
def test_the_reader_of_napari_opens_it(out: Path) -> None:
    reader = pytest.importorskip("ome_zarr.reader")
    parse_url = pytest.importorskip("ome_zarr.io").parse_url
    plate = next(iter(reader.Reader(parse_url(str(out / PLATE)))()))
    assert plate.data[0].shape == (4, 32, 64)  # two wells side by side
    image = next(iter(reader.Reader(parse_url(str(out / lines_of(out)[0]["image"])))()))
    assert image.metadata["channel_names"] == [channel.stain for channel in CHANNELS]


def test_its_fields_predict_as_they_were_predicted(out: Path, predictor: Predictor) -> None:
    known = Predictions.read(out / "predictions.parquet")
    sources = read_catalog_sources(Catalog.read(out / "catalog.parquet"))
    fields = [read_field(source) for source in sources]
    assert {field.pixel_size for field in fields} == {5.12, 2.56}
    again = predictor.run([predictor.prepare(field) for field in fields])
    assert again.ids == known.ids
    np.testing.assert_allclose(again.probability, known.probability, atol=1e-5)


def test_the_plate_is_found_as_a_folder(out: Path) -> None:
    sources, failures = find_fields([out / PLATE])
    assert (len(sources), failures) == (7, [])
    assert {dict(source.about)["well"] for source in sources} == {"A1", "A2"}


def test_a_killed_run_leaves_no_field_twice(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between an image and its line leaves an image that the next field of the well replaces."""
    folder, plan = tmp_path / "out", make_plan({"rules": []})
    blank = np.zeros((32, 32), np.uint16)
    monkeypatch.setattr(SimulatedPlate, "take_image", lambda *_, **__: blank)
    monkeypatch.setattr(SimulatedPlate, "count_cells", lambda *_: 0)
    append = journal.Journal.append
    written: list[str] = []

    def die(self: journal.Journal, line: dict[str, Any]) -> None:
        written.append(line["image"])
        if len(written) == 2:
            raise KeyboardInterrupt
        append(self, line)

    monkeypatch.setattr(journal.Journal, "append", die)
    run(plan, predictor, folder)
    assert (folder / written[1]).is_dir()
    monkeypatch.setattr(journal.Journal, "append", append)
    assert run(plan, predictor, folder).fields == 4
    images = list_images(PlaneRef(folder / PLATE))
    assert sorted(each.ref.file.relative_to(folder).as_posix() for each in images) == sorted(
        line["image"] for line in lines_of(folder)
    )


def test_ome_tiff_is_an_option_that_may_change(make_plan: Any, predictor: Predictor, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    run(make_plan({"rules": [], "budget.fields": 2, "images": "ome-tiff"}), predictor, folder)
    run(make_plan({"rules": [], "budget.fields": 9}), predictor, folder)
    assert [line["image"].partition("/")[0] for line in lines_of(folder)] == ["fields", "fields", PLATE, PLATE]
    sources = read_catalog_sources(Catalog.read(folder / "catalog.parquet"))
    assert [read_field(source).pixels.shape for source in sources] == [(32, 32, 4)] * 4


def test_images_of_earlier_versions_are_found(make_plan: Any, predictor: Predictor, tmp_path: Path) -> None:
    """Lines of schema 3 do not name their image."""
    folder, plan = tmp_path / "out", make_plan({"rules": [], "images": "ome-tiff"})
    run(plan, predictor, folder)
    lines = lines_of(folder)
    text = "".join(json.dumps({key: line[key] for key in line if key != "image"}) + "\n" for line in lines)
    (folder / "decisions.jsonl").write_text(text)
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"schema": 3}))
    reopened = journal.Journal.open(folder, plan, predictor.bundle.sha256)
    assert all(reopened.image_path(line).exists() for line in reopened.lines)


@pytest.mark.parametrize("images", ["ome-zarr", "ome-tiff"])
def test_labels_lie_beside_the_images(make_plan: Any, predictor: Predictor, tmp_path: Path, images: str) -> None:
    changes = {"rules": [], "labels": True, "images": images, "plate.wells": ["A1"], "plate.sites": [1, 1]}
    run(make_plan(changes), predictor, tmp_path / "out")
    line = lines_of(tmp_path / "out")[0]
    if images == "ome-tiff":
        names = sorted(path.name for path in (tmp_path / "out" / "labels").iterdir())
        assert names == ["A1_01.cells.ome.tif", "A1_01.nuclei.ome.tif"]
        return
    pytest.importorskip("yaozarrs").validate_zarr_store(str(tmp_path / "out" / PLATE))
    labels = tmp_path / "out" / line["image"] / "labels"
    assert read_attributes(labels)["labels"] == ["cells", "nuclei"]
    assert "locations" in read_attributes(labels / "cells")["image-label"]["properties"][0]


def test_a_field_whose_cells_cannot_be_found_is_kept(
    make_plan: Any, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise LociscopeError("There are too many.")

    monkeypatch.setattr(prediction_worker, "find_field_cells", fail)
    result = run(make_plan({"rules": [], "labels": True}), predictor, tmp_path / "out")
    assert (result.fields, result.failures, result.error) == (4, [], None)
