"""Ray Data on a cluster of two machines, simulated on this one: workers killed, a machine lost, each field once."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lociscope.artifacts.predictions import Predictions
from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.remote import open_urls
from lociscope.images.discovery.sources import FieldSource, find_fields
from lociscope.images.io.read import read_field
from lociscope.predict import batch
from lociscope.predict.batch import BatchResult, predict_to_file
from lociscope.predict.output import OutputOptions
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.predict.ray_engine import RayCluster
from lociscope.storage.remote import RemotePath, as_remote, read_bytes, write_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fixtures.s3 import Failing

    from lociscope.images.field import Field

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

FIELDS = 24

PATIENT = {
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_gcs_server_request_timeout_seconds": "300",
}
"""A test machine that is busy starts processes slowly."""


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return open_bundle(tiny_bundle, threads=1)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of a head, which computes nothing, and two machines of one core; this process is connected to it."""
    for name, value in {**PATIENT, "RAY_USAGE_STATS_ENABLED": "0"}.items():
        monkeypatch.setenv(name, value)
    import ray
    from ray import cloudpickle
    from ray.cluster_utils import Cluster

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.lost = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes(timeout=300)
        ray.init(cluster.address, log_to_driver=False)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def sources(write_field: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> list[FieldSource]:
    monkeypatch.setattr(batch, "CALLS_PER_PART", 1)
    for number in range(FIELDS):
        folder = write_field(f"f{number:02d}", seed=number, size=16)
    return find_fields([folder])[0]


def predict(predictor: Predictor, sources: list[FieldSource], out: Path, **options: Any) -> BatchResult:
    return predict_to_file(predictor, sources, out, OutputOptions(), workers=2, **options)


def check_table(predictor: Predictor, sources: list[FieldSource], out: Path, *but: str) -> None:
    """Each field is in the table once, as the local engine predicts it."""
    local = out.with_name("local.parquet")
    good = [source for source in sources if source.id not in but]
    predict(predictor, good, local)
    found, expected = Predictions.read(out), Predictions.read(local)
    assert found.ids == expected.ids == [source.id for source in good]
    assert (found.probability == expected.probability).all()


def note_worker(folder: Path) -> None:
    """Leave a file that names this worker and its machine."""
    import ray

    (folder / f"{ray.get_runtime_context().get_node_id()}-{os.getpid()}").touch()


def test_workers_that_are_killed_cost_no_field_but_the_one_that_kills(
    cluster: object, predictor: Predictor, sources: list[FieldSource], tmp_path: Path
) -> None:
    """One field kills its worker the first time it is read, and one each time, as a lack of memory does."""
    notes, once = tmp_path / "notes", tmp_path / "once"
    notes.mkdir()

    def read(source: FieldSource) -> Field:
        note_worker(notes)
        if source.id == "f03" and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if source.id == "f11":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.2)
        return read_field(source)

    out = tmp_path / "out.parquet"
    result = predict(predictor, sources, out, engine=RayCluster(read=read))
    assert [(failure.id, failure.code) for failure in result.failures] == [("f11", Code.OUT_OF_MEMORY)]
    assert "'f11'" in result.failures[0].reason
    assert (result.rows, result.new) == (FIELDS - 1, FIELDS - 1)
    assert once.exists()
    check_table(predictor, sources, out, "f11")
    assert len({note.name.partition("-")[0] for note in notes.iterdir()}) == 2  # both machines took part


def test_a_machine_that_is_lost_costs_no_field(
    cluster: Any, predictor: Predictor, sources: list[FieldSource], tmp_path: Path
) -> None:
    def read(source: FieldSource) -> Field:
        time.sleep(0.2)
        return read_field(source)

    def lose(done: int, total: int, text: str = "", /) -> None:
        if cluster.lost is not None:
            cluster.remove_node(cluster.lost, allow_graceful=False)
            cluster.lost = None

    out = tmp_path / "out.parquet"
    result = predict(predictor, sources, out, engine=RayCluster(read=read), progress=lose)
    assert cluster.lost is None
    assert (result.rows, result.failures) == (FIELDS, [])
    check_table(predictor, sources, out)
    again = predict(predictor, sources, out, engine=RayCluster(read=read))
    assert (again.rows, again.new) == (FIELDS, 0)


def test_fields_and_table_in_an_object_store_that_fails_now_and_then(
    s3_server: Failing, cluster: object, predictor: Predictor, sources: list[FieldSource], tmp_path: Path
) -> None:
    folder, out = as_remote(Path("s3://fields/plate")), as_remote(Path("s3://fields/results/out.parquet"))
    assert isinstance(folder, RemotePath)
    for source in sources:
        for ref in source.refs:
            write_bytes(str(folder / ref.file.name), ref.file.read_bytes())
    found, broken = find_fields([folder])
    assert ([source.id for source in found], broken) == ([source.id for source in sources], [])
    assert open_urls(found) == (found, [])
    result = predict(predictor, found, out, engine=RayCluster())
    assert (result.rows, result.failures) == (FIELDS, [])
    assert s3_server.failed > FIELDS
    (tmp_path / "out.parquet").write_bytes(read_bytes(str(out)))
    check_table(predictor, sources, tmp_path / "out.parquet")
    assert predict(predictor, found, out, engine=RayCluster()).new == 0


def test_a_cluster_that_does_not_answer_is_reported(
    predictor: Predictor, sources: list[FieldSource], tmp_path: Path
) -> None:
    with pytest.raises(LociscopeError) as caught:
        predict(predictor, sources, tmp_path / "out.parquet", engine=RayCluster("127.0.0.1:1"))
    assert caught.value.code == Code.UNAVAILABLE
