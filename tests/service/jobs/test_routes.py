"""Jobs over HTTP: sent, followed, read, asked about, cancelled, deleted, expired; and what is refused."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from lociscope.artifacts.predictions import Predictions
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.read import read_field
from lociscope.labels import LABELS
from lociscope.predict.predictor import open_bundle
from lociscope.prediction_log.log_errors import LogUnavailableError
from lociscope.service.jobs.store import JobStore
from lociscope.service.keys import KeyStore

if TYPE_CHECKING:
    from pathlib import Path

HTML = {"accept": "text/html"}
Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def client(serve: Any, tmp_path: Path) -> Any:
    return serve(store=tmp_path / "store", max_job_bytes=1 << 20, max_job_files=40, max_job_fields=6)


@pytest.fixture
def finish(client: Any, wait_until: Until) -> Callable[[str], dict[str, Any]]:
    """Wait until a job is done, and return it."""

    def wait(job: str) -> dict[str, Any]:
        wait_until(lambda: client.get(f"/jobs/{job}").json()["state"] != "running")
        found: dict[str, Any] = client.get(f"/jobs/{job}").json()
        return found

    return wait


PATTERN = {"pattern": "{plate}_{well}_{site}_{channel}"}


def plate(make: Any, n: int = 3) -> dict[str, bytes]:
    return {name: data for k in range(n) for name, data in make.planes(f"P1_A0{k + 1}_1", k).items()}


def test_a_zip_becomes_a_job_with_the_predictions_of_the_command(
    client: Any, make: Any, finish: Any, tiny_bundle: Path, tmp_path: Path
) -> None:
    files = plate(make)
    (tmp_path / "fields").mkdir()
    for name, data in files.items():
        (tmp_path / "fields" / name).write_bytes(data)
    expected = open_bundle(tiny_bundle).predict(map(read_field, find_fields([tmp_path / "fields"])[0]))
    sent = client.post("/jobs", files=make.form({"plate.zip": make.zipped(files)}), data={"name": "my plate"} | PATTERN)
    assert sent.status_code == 202
    job = sent.json()["id"]
    assert sent.headers["location"] == f"jobs/{job}"
    done = finish(job)
    assert (done["name"], done["state"], done["total"], done["done"]) == ("my plate", "done", 3, 3)
    data = client.get(f"/jobs/{job}/results.parquet").content
    (tmp_path / "results.parquet").write_bytes(data)
    results = Predictions.read(tmp_path / "results.parquet")
    assert results.ids == expected.ids
    np.testing.assert_allclose(results.probability, expected.probability, atol=1e-6)
    assert pq.read_table(io.BytesIO(data))["well"].to_pylist() == ["A01", "A02", "A03"]
    text = client.get(f"/jobs/{job}/results.csv").text
    assert text.startswith("id,locations,predicted,p00")
    assert len(text.splitlines()) == 4
    fields = client.get(f"/jobs/{job}/fields?start=1&limit=1").json()
    assert [(field["number"], field["well"], field["state"]) for field in fields] == [(1, "A02", "done")]
    np.testing.assert_allclose(fields[0]["answer"]["probabilities"], expected.probability[1], atol=1e-6)
    report = client.get(f"/jobs/{job}/report.html")
    assert "attachment" in report.headers["content-disposition"]
    for name in (*expected.ids, "For tests.", "data:image/webp;base64,"):
        assert name in report.text


def test_anndata_is_written(client: Any, make: Any, finish: Any, tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata", reason="anndata is not installed")
    job = client.post("/jobs", files=make.form(plate(make))).json()["id"]
    finish(job)
    (tmp_path / "a.h5ad").write_bytes(client.get(f"/jobs/{job}/results.h5ad").content)
    assert anndata.read_h5ad(tmp_path / "a.h5ad").shape == (3, 28)


def test_progress_is_followed_live(client: Any, make: Any) -> None:
    job = client.post("/jobs", files=make.form(plate(make))).json()["id"]
    with client.stream("GET", f"/jobs/{job}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    kinds = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert (kinds[0], kinds[-1]) == ("progress", "done")
    assert json.loads(lines[-1].removeprefix("data: "))["done"] == 3


def test_the_pages_of_a_job(client: Any, make: Any, finish: Any) -> None:
    files = plate(make) | {"P1_B09_1_red.png": b"no picture"}
    sent = client.post("/jobs", files=make.form(files), data=PATTERN, headers=HTML, follow_redirects=False)
    assert sent.status_code == 303
    job = sent.headers["location"].rpartition("/")[2]
    finish(job)
    page = client.get(f"/jobs/{job}", headers=HTML).text
    for text in ("3</b> of 4", "1 cannot be read", "Plate P1", 'value="location"', "results.parquet", "P1_B09_1"):
        assert text in page or text.replace("3</b>", "4</b>") in page, text
    for sort in ("id", "certain", "unsure", "warned", "location", "none"):
        assert client.get(f"/jobs/{job}?sort={sort}&location=3&page=9", headers=HTML).status_code == 200
    field = client.get(f"/jobs/{job}/fields/1", headers=HTML).text
    for text in ("P1_A02_1", f"jobs/{job}/fields/1/channels/green", "dictionary", "kept until", LABELS[3]):
        assert text in field, text
    failed = client.get(f"/jobs/{job}/fields/3", headers=HTML).text
    assert "cannot be read" in failed
    assert client.get("/jobs", headers=HTML).text.count(job) == 1
    failures = client.get(f"/jobs/{job}/failures.csv").text.splitlines()
    assert (failures[0], failures[1].split(",")[0], failures[1].split(",")[-1]) == (
        "id,reason,code", "P1_B09_1", "missing-channel",
    )  # fmt: skip


def test_what_the_page_of_a_field_loads(client: Any, make: Any, finish: Any) -> None:
    from PIL import Image

    job = client.post("/jobs", files=make.form(make.planes(size=64))).json()["id"]
    finish(job)
    base = f"/jobs/{job}/fields/0"
    for address, form, size in (
        ("channels/green", "WEBP", (64, 64)), ("channels/green?full=true", "JPEG", (64, 64)),
        ("thumbnail", "WEBP", (160, 160)), ("evidence/3", "PNG", None),
    ):  # fmt: skip
        for _ in range(2):  # made, and kept
            answer = client.get(f"{base}/{address}")
            assert answer.status_code == 200, answer.text
            picture = Image.open(io.BytesIO(answer.content))
            assert picture.format == form
            assert size is None or picture.size == size
    found = client.get(f"{base}/cells")
    assert found.status_code == 200, found.text
    assert (found.json()["width"], found.json()["height"]) == (64, 64)
    for address in ("channels/pink", "evidence/28", "evidence/x"):
        assert client.get(f"{base}/{address}").status_code == 422
    assert client.get(f"/jobs/{job}/fields/7").status_code == 404


def test_the_page_asks_which_channel_is_which(client: Any, make: Any, finish: Any) -> None:
    files = {
        name.replace("red", "w1").replace("green", "w2").replace("blue", "w3").replace("yellow", "w4"): data
        for name, data in make.planes("a").items()
    }
    refused = client.post("/jobs", files=make.form(files))
    assert refused.status_code == 422  # a program is told at once
    sent = client.post("/jobs", files=make.form(files), headers=HTML, follow_redirects=False)
    job = sent.headers["location"].rpartition("/")[2]
    page = client.get(f"/jobs/{job}", headers=HTML).text
    for text in ("Which channel is which?", "a_w1.png", 'name="channel_blue"', 'name="pattern"'):
        assert text in page
    wrong = client.post(f"/jobs/{job}/names", data={"channel_red": "q1"}, headers=HTML)
    assert (wrong.status_code, "Not yet." in wrong.text) == (422, True)
    named = {f"channel_{name}": f"w{k + 1}" for k, name in enumerate(("red", "green", "blue", "yellow"))}
    right = client.post(f"/jobs/{job}/names", data=named, headers=HTML, follow_redirects=False)
    assert right.status_code == 303
    assert finish(job)["done"] == 1
    assert client.post(f"/jobs/{job}/names", data=named).status_code == 409


def test_a_deleted_job_is_gone(client: Any, make: Any, finish: Any, tmp_path: Path) -> None:
    job = client.post("/jobs", files=make.form(make.planes())).json()["id"]
    finish(job)
    assert client.delete(f"/jobs/{job}").status_code == 204
    for address in ("", "/events", "/fields", "/fields/0", "/results.csv", "/report.html", "/fields/0/thumbnail"):
        assert client.get(f"/jobs/{job}{address}").status_code == 410, address
    assert list((tmp_path / "store" / "jobs").iterdir()) == []
    assert client.get("/jobs/" + 22 * "a").status_code == 404
    assert client.get("/jobs/none").status_code == 422
    again = client.post("/jobs", files=make.form(make.planes())).json()["id"]
    by_form = client.post(f"/jobs/{again}/delete", headers=HTML, follow_redirects=False)
    assert (by_form.status_code, client.get(f"/jobs/{again}").status_code) == (303, 410)


def test_an_expired_job_is_gone(
    client: Any, make: Any, finish: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = client.post("/jobs", files=make.form(make.planes())).json()["id"]
    finish(job)
    jobs = client.app.state.service.jobs
    monkeypatch.setattr(jobs, "store", JobStore(jobs.store._database, lambda: time.time() + 8 * 86_400))
    assert jobs.sweep() == 1
    answer = client.get(f"/jobs/{job}", headers=HTML)
    assert (answer.status_code, "expired on" in answer.text) == (410, True)
    assert list((tmp_path / "store" / "jobs").iterdir()) == []


def test_a_stopped_job(client: Any, make: Any) -> None:
    client.app.state.service.runner.stop()
    job = client.post("/jobs", files=make.form(plate(make))).json()["id"]
    assert client.get(f"/jobs/{job}/results.csv").status_code == 409
    waiting = client.get(f"/jobs/{job}/fields/0", headers=HTML).text
    assert "is being predicted" in waiting
    assert client.post(f"/jobs/{job}/cancel").json()["state"] == "cancelled"
    assert "was not predicted" in client.get(f"/jobs/{job}/fields/0", headers=HTML).text


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (["../../etc/a1_red.png"], 422),
        (["a1_red.png", "A1_RED.PNG"], 400),
        (["a", "a/b"], 400),
        ([f"f{k}_red.png" for k in range(41)], 400),
        (["notes.txt"], 422),
        (["broken.zip"], 422),
    ],
)
def test_bad_uploads_leave_nothing(client: Any, make: Any, tmp_path: Path, names: list[str], status: int) -> None:
    files = [("files", (name, b"x", "application/octet-stream")) for name in names]
    answer = client.post("/jobs", files=files)
    assert (answer.status_code, bool(answer.json()["error"])) == (status, True), answer.text
    assert str(tmp_path) not in answer.text
    assert list((tmp_path / "store" / "jobs").iterdir()) == []
    assert not list(tmp_path.rglob("*etc*"))


def test_limits(client: Any, serve: Any, make: Any, tmp_path: Path) -> None:
    assert client.post("/jobs", files=make.form({"a1_red.png": bytes(2 << 20)})).status_code == 413
    assert client.post("/jobs", files=make.form(plate(make, 7))).status_code == 422
    assert client.post("/jobs", content=b"x").status_code == 400
    assert client.post("/jobs", headers={"origin": "http://elsewhere"}, files=make.form(plate(make))).status_code == 403
    assert client.delete("/jobs/" + 22 * "a", headers={"origin": "http://elsewhere"}).status_code == 403
    small = serve(store=tmp_path / "small", max_stored_bytes=10, max_queue=2, job_workers=0)
    assert small.post("/jobs", files=make.form(make.planes())).status_code == 202
    full = small.post("/jobs", files=make.form(make.planes()))
    assert (full.status_code, int(full.headers["retry-after"]) > 0) == (503, True)
    queue = serve(store=tmp_path / "queue", max_queue=2, job_workers=0)
    assert queue.post("/jobs", files=make.form(plate(make, 3))).status_code == 202
    busy = queue.post("/jobs", files=make.form(make.planes()))
    assert (busy.status_code, int(busy.headers["retry-after"]) > 0) == (503, True)


def test_pictures_count_as_kept_bytes(serve: Any, make: Any, tmp_path: Path, wait_until: Until) -> None:
    """The pictures of a job fill the store, too; without room they are made again."""
    client = serve(store=tmp_path / "store", max_stored_bytes=1 << 20)
    job = client.post("/jobs", files=make.form(make.planes(size=64))).json()["id"]
    wait_until(lambda: client.get(f"/jobs/{job}").json()["state"] == "done")
    client.get(f"/jobs/{job}/fields/0/channels/green")
    kept = sum(path.stat().st_size for path in (tmp_path / "store" / "jobs" / job).rglob("*") if path.is_file())
    store = client.app.state.service.jobs.store
    assert store.count_bytes() == kept
    assert store.reserve_bytes(job, (1 << 20) - kept, most=1 << 20)
    for _ in range(2):
        assert client.get(f"/jobs/{job}/fields/0/channels/green?full=true").status_code == 200
    assert store.count_bytes() == 1 << 20
    assert not list((tmp_path / "store" / "jobs" / job / "pictures").glob("*.jpg"))


def test_a_lost_confirmation_loses_no_job(
    client: Any, make: Any, finish: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database has stored a job, but the connection breaks before it says so."""
    store, create = client.app.state.service.jobs.store, JobStore.create

    def lose(self: JobStore, *given: Any) -> None:
        create(self, *given)
        raise LogUnavailableError("the connection is lost")

    with monkeypatch.context() as patch:
        patch.setattr(JobStore, "create", lose)
        assert client.post("/jobs", files=make.form(plate(make))).status_code == 503
    (job,) = store.list_jobs(None)
    assert finish(job.id)["done"] == 3
    monkeypatch.setattr(JobStore, "create", lambda *_: fail())
    monkeypatch.setattr(JobStore, "get", lambda *_: fail())
    assert client.post("/jobs", files=make.form(plate(make))).status_code == 503
    kept = sorted((tmp_path / "store" / "jobs").iterdir(), key=lambda path: path.name == job.id)
    assert (len(kept), (kept[0] / "files" / "P1_A01_1_red.png").is_file()) == (2, True)  # until `sweep`


def fail() -> None:
    raise LogUnavailableError("the database is gone")


def test_jobs_of_the_key_of_the_environment_have_an_owner(serve: Any, make: Any, tmp_path: Path) -> None:
    client = serve(store=tmp_path / "store", host="0.0.0.0", api_key="k" * 20)
    _, text = KeyStore(client.app.state.database).add("ann")
    first, second = ({"x-api-key": key} for key in ("k" * 20, text))
    jobs = [client.post("/jobs", files=make.form(make.planes()), headers=key).json()["id"] for key in (first, second)]
    for key, mine, other in ((first, *jobs), (second, *reversed(jobs))):
        assert [job["id"] for job in client.get("/jobs", headers=key).json()] == [mine]
        assert client.delete(f"/jobs/{other}", headers=key).status_code == 403
    for key, mine in zip((first, second), jobs, strict=True):
        assert client.delete(f"/jobs/{mine}", headers=key).status_code == 204


def test_a_service_without_a_store_has_no_jobs(serve: Any, make: Any) -> None:
    client = serve()
    assert client.post("/jobs", files=make.form(make.planes())).status_code in (404, 405)
    assert "jobs" not in client.get("/", headers=HTML).text.split("<form", 1)[1].split(">")[0]


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"], ids=["open", "behind a proxy"])
def test_strangers_do_not_list_jobs(serve: Any, make: Any, tmp_path: Path, host: str) -> None:
    client = serve(store=tmp_path / "store", host=host, public=True)
    assert client.post("/jobs", files=make.form(make.planes())).status_code == 202
    assert client.get("/jobs").json() == []


def test_a_database_that_is_gone(client: Any, make: Any, tmp_path: Path) -> None:
    job = client.post("/jobs", files=make.form(make.planes())).json()["id"]
    for file in (tmp_path / "store").glob("service.sqlite*"):
        file.rename(file.with_name(f"away-{file.name}"))
    answer = client.get(f"/jobs/{job}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert client.post("/predict", files=make.form(make.planes())).status_code == 200
