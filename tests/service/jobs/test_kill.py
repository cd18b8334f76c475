"""Jobs survive `kill -9`: none is lost, no field is predicted into two rows; several processes share one database."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from lociscope.service.jobs.database import open_database
from lociscope.service.jobs.records import to_predictions
from lociscope.service.jobs.store import JobStore

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.artifacts.predictions import Predictions

pytestmark = pytest.mark.slow
WAIT = 180.0


def send(address: str, archive: bytes) -> str:
    """Send a zip of fields; return the id of its job."""
    head = b'--edge\r\nContent-Disposition: form-data; name="files"; filename="f.zip"\r\n\r\n'
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    connection.request(
        "POST", "/jobs", head + archive + b"\r\n--edge--\r\n", {"content-type": "multipart/form-data; boundary=edge"}
    )
    answer = connection.getresponse()
    said = json.loads(answer.read())
    connection.close()
    assert answer.status == 202, said
    return str(said["id"])


def until_done(store: JobStore, jobs: list[str], done: int) -> None:
    """Wait until so many fields are finished."""
    ends = time.monotonic() + WAIT
    while True:
        found = [store.get(job) for job in jobs]
        if sum(job.counts.finished for job in found if job is not None) >= done:
            return
        assert time.monotonic() < ends
        time.sleep(0.1)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_jobs_survive_kills(
    request: pytest.FixtureRequest, served: Any, make: Any, tiny_bundle: Path, tmp_path: Path, kind: str
) -> None:
    url = str(tmp_path / "service.sqlite")
    if kind == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    words = ("--bundle", tiny_bundle, "--store", tmp_path / "store", "--database", url)
    database = open_database(url)
    store = JobStore(database)
    archives = [
        make.zipped({name: data for k in range(6) for name, data in make.planes(f"j{j}f{k}", 6 * j + k).items()})
        for j in range(3)
    ]
    jobs = []
    with served(*words) as (first, address), served(*words) as (_, other):
        jobs += [send(address, archives[0]), send(other, archives[1]), send(address, archives[2])]
        until_done(store, jobs, 1)
        os.kill(first.pid, signal.SIGKILL)
        until_done(store, jobs, 18)
    tables: list[Predictions] = [to_predictions(store.read_fields(job)) for job in jobs]
    assert [table.ids for table in tables] == [[f"j{j}f{k}" for k in range(6)] for j in range(3)]
    counts = [job.counts for job in map(store.get, jobs) if job is not None]
    assert [(each.done, each.failed, each.total) for each in counts] == [(6, 0, 6)] * 3
    database.close()


def test_a_job_is_resumed_by_the_next_process(served: Any, make: Any, tiny_bundle: Path, tmp_path: Path) -> None:
    words = ("--bundle", tiny_bundle, "--store", tmp_path / "store")
    archive = make.zipped({name: data for k in range(4) for name, data in make.planes(f"f{k}", k).items()})
    with served(*words, "--job-workers", 0) as (process, address):
        job = send(address, archive)  # acknowledged, so it is on the disk
        os.kill(process.pid, signal.SIGKILL)
    database = open_database(str(tmp_path / "store" / "service.sqlite"))
    with served(*words) as (process, _):
        until_done(JobStore(database), [job], 4)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == 0
        assert process.stderr.read() == ""
    database.close()
