"""Outputs behind URLs: stored part by part, resumed elsewhere, each field once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import fsspec
import pytest

from lociscope.artifacts.predictions import Predictions
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import find_fields
from lociscope.predict import batch, loading
from lociscope.predict.batch import BatchResult, predict_to_file
from lociscope.predict.output import OutputOptions
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.predict.shards import NAME
from lociscope.storage import remote
from lociscope.storage.remote import RemotePath, as_remote, list_files, read_bytes, write_bytes

if TYPE_CHECKING:
    from lociscope.images.discovery.sources import FieldSource
    from lociscope.predict.loading import Call

WriteField = Callable[..., Path]


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return open_bundle(tiny_bundle, threads=1)


@pytest.fixture
def sources(write_field: WriteField, monkeypatch: pytest.MonkeyPatch) -> list[FieldSource]:
    """Six fields, of which each is a call and a part."""
    monkeypatch.setattr(loading, "CALL_FIELDS", 1)
    monkeypatch.setattr(batch, "CALLS_PER_PART", 1)
    for number in range(6):
        folder = write_field(f"f{number}", seed=number, size=16)
    return find_fields([folder])[0]


@pytest.fixture
def out(request: pytest.FixtureRequest) -> RemotePath:
    path = as_remote(Path(f"memory://{request.node.name}/out.parquet"))
    assert isinstance(path, RemotePath)
    return path


def read_ids(out: RemotePath, tmp_path: Path) -> list[str]:
    local = tmp_path / "copy.parquet"
    local.write_bytes(read_bytes(str(out)))
    return Predictions.read(local).ids


def names_beside(folder: RemotePath) -> list[str]:
    return [file.name for file, _ in list_files(folder)]


class StopError(Exception):
    """Ends a call before its time."""


def interrupted(after: int) -> Callable[..., Iterator[Call]]:
    """An engine that fails after some calls."""

    def engine(*args: object, **options: object) -> Iterator[Call]:
        for number, call in enumerate(loading.predict_sources(*args, **options)):  # type: ignore[arg-type]
            if number == after:
                raise StopError
            yield call

    return engine


def predict(predictor: Predictor, sources: list[FieldSource], out: RemotePath, **options: object) -> BatchResult:
    return predict_to_file(predictor, sources, out, OutputOptions(), workers=1, **options)  # type: ignore[arg-type]


def begin(predictor: Predictor, sources: list[FieldSource], out: RemotePath, after: int = 3) -> RemotePath:
    """Interrupt a call after some parts, and return the folder of the parts."""
    with pytest.raises(StopError):
        predict(predictor, sources, out, engine=interrupted(after))
    folder = out.with_name("out.parts")
    assert len(names_beside(folder)) == after + 1
    assert isinstance(folder, RemotePath)
    return folder


def test_a_table_is_stored_and_nothing_else_is_left(
    predictor: Predictor, sources: list[FieldSource], out: RemotePath, tmp_path: Path
) -> None:
    assert predict(predictor, sources, out).new == 6
    assert read_ids(out, tmp_path) == [source.id for source in sources]
    assert names_beside(out.parent) == ["out.parquet", "out.run.json"]
    assert list_files(out.with_name("out.parts")) == []
    again = predict(predictor, sources, out)
    assert (again.rows, again.new) == (6, 0)


def test_another_machine_resumes(
    predictor: Predictor, sources: list[FieldSource], out: RemotePath, tmp_path: Path
) -> None:
    begin(predictor, sources, out)
    result = predict(predictor, sources, out)
    assert (result.rows, result.new) == (6, 3)
    assert read_ids(out, tmp_path) == [source.id for source in sources]


@pytest.mark.parametrize("harm", ["cut", "lost", "unlisted"])
def test_a_shard_that_is_not_the_one_in_the_manifest_is_predicted_again(
    predictor: Predictor, sources: list[FieldSource], out: RemotePath, tmp_path: Path, harm: str
) -> None:
    folder = begin(predictor, sources, out)
    shard = next(name for name in names_beside(folder) if name.endswith(".npz"))
    if harm == "cut":
        write_bytes(str(folder / shard), read_bytes(str(folder / shard))[:-40])
    elif harm == "lost":
        remote.remove(str(folder / shard))
    else:
        manifest = json.loads(read_bytes(str(folder / NAME)))
        del manifest["shards"][shard]
        write_bytes(str(folder / NAME), json.dumps(manifest).encode())
    result = predict(predictor, sources, out)
    assert (result.rows, result.new) == (6, 4)
    assert read_ids(out, tmp_path) == [source.id for source in sources]


def test_a_manifest_of_another_bundle_is_refused(
    predictor: Predictor, sources: list[FieldSource], out: RemotePath
) -> None:
    folder = begin(predictor, sources, out)
    manifest = json.loads(read_bytes(str(folder / NAME)))
    write_bytes(str(folder / NAME), json.dumps(manifest | {"bundle": "0" * 64}).encode())
    with pytest.raises(LociscopeError) as caught:
        predict(predictor, sources, out)
    assert caught.value.code == Code.CONFLICT


def test_a_location_without_permission_is_reported_before_the_work(
    predictor: Predictor, sources: list[FieldSource], out: RemotePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "pipe_file", refuse)
    with pytest.raises(LociscopeError) as caught:
        predict(predictor, sources, out, engine=interrupted(0))
    assert caught.value.code == Code.UNWRITABLE


def test_fields_behind_urls_are_found_and_read(
    predictor: Predictor, sources: list[FieldSource], out: RemotePath, tmp_path: Path
) -> None:
    folder = out.parent / "fields"
    for source in sources[:2]:
        for ref in source.planes:
            assert ref is not None
            write_bytes(str(folder / ref.file.name), ref.file.read_bytes())
    found, broken = find_fields([folder])
    assert ([source.id for source in found], broken) == (["f0", "f1"], [])
    remote.remove(str(folder / "f1_green.png"))  # it disappears between listing and reading
    result = predict(predictor, found, out)
    assert [(failure.id, failure.code) for failure in result.failures] == [("f1", Code.NOT_FOUND)]
    assert read_ids(out, tmp_path) == ["f0"]
    local = tmp_path / "local.parquet"
    predict_to_file(predictor, sources[:1], local, OutputOptions(), workers=1)
    copy = Predictions.read(tmp_path / "copy.parquet")
    assert (copy.probability == Predictions.read(local).probability).all()
