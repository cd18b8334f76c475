"""Jobs in the database: nothing is lost, nothing is done twice, also after a kill and between processes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.errors import Code
from lociscope.labels import N_LABELS
from lociscope.prediction_log.log_errors import LogError
from lociscope.service.jobs.database import open_database
from lociscope.service.jobs.records import DELETED, EXPIRED, Counts, FieldOutcome, Job
from lociscope.service.jobs.store import MAX_ATTEMPTS, TOMBSTONE_SECONDS, JobStore

if TYPE_CHECKING:
    from pathlib import Path

Add = Callable[..., Job]
LEASE = 20.0


def outcome(number: int) -> FieldOutcome:
    probability = np.full(N_LABELS, number / 100, "<f4").tobytes()
    return FieldOutcome(
        number, "0 16", "ok", '["empty plane: red"]', probability, None, "b" * 64, "{}", 512, 256, 0.32
    )  # fmt: skip


def test_a_field_is_predicted_once(store: JobStore, add: Add) -> None:
    job = add(3)
    assert store.count_waiting() == 3
    mine, others = store.claim("one", 2), store.claim("two", 9)
    assert [field.number for field in mine] == [0, 1]
    assert [field.number for field in others] == [2]
    assert store.claim("three", 9) == []
    assert store.finish("one", job.id, [outcome(0), outcome(1)]) == [0, 1]
    assert store.finish("one", job.id, [outcome(0)]) == []  # once
    assert store.finish("one", job.id, [outcome(2)]) == []  # not the one who holds it
    found = store.get(job.id)
    assert found is not None
    assert (found.counts, found.status) == (Counts(running=1, done=2), "running")
    (field,) = store.read_fields(job.id, [1])
    assert (field.predicted, field.status, field.warnings) == ((0, 16), "ok", ("empty plane: red",))
    assert (field.size, field.pixel_size, field.position.well) == ((512, 256), 0.32, "A01")
    assert field.probability is not None
    np.testing.assert_allclose(field.probability, 0.01)
    store.finish("two", job.id, [FieldOutcome(2, code="corrupt", reason="It is damaged.")])
    found = store.get(job.id)
    assert found is not None
    assert (found.counts, found.status) == (Counts(done=2, failed=1), "done")


def test_a_killed_worker_loses_its_fields_to_another(store: JobStore, add: Add, clock: Any) -> None:
    job = add(2)
    store.claim("killed", 2)
    clock.now += LEASE - 1
    assert store.claim("other", 2) == []
    store.renew("killed")
    clock.now += LEASE - 1
    assert store.claim("other", 2) == []
    clock.now += 2
    assert [field.number for field in store.claim("other", 2)] == [0, 1]
    assert store.finish("killed", job.id, [outcome(0)]) == []  # it was not dead, but slow: its answer is not needed
    assert store.finish("other", job.id, [outcome(0), outcome(1)]) == [0, 1]


def test_a_field_that_kills_every_process_counts_as_unreadable(store: JobStore, add: Add, clock: Any) -> None:
    job = add(1)
    for number in range(MAX_ATTEMPTS):
        assert len(store.claim(str(number), 1)) == 1
        clock.now += LEASE + 1
    assert store.claim("last", 1) == []
    (field,) = store.read_fields(job.id)
    assert (field.state, field.code) == ("failed", Code.INTERNAL)


def test_a_worker_that_stops_returns_its_fields(store: JobStore, add: Add) -> None:
    add(1)
    for _ in range(MAX_ATTEMPTS + 2):  # which does not count as an attempt
        assert len(store.claim("one", 1)) == 1
        store.release("one")
    assert len(store.claim("two", 1)) == 1


def test_small_jobs_do_not_wait_for_large_ones(store: JobStore, add: Add) -> None:
    large, small = add(50), add(2)
    order = [(field.job, field.number) for field in store.claim("one", 4)]
    assert order == [(large.id, 0), (small.id, 0), (large.id, 1), (small.id, 1)]


def test_cancelled_jobs_keep_their_results(store: JobStore, add: Add) -> None:
    job = add(2)
    store.claim("one", 1)
    store.finish("one", job.id, [outcome(0)])
    store.cancel(job.id)
    assert store.claim("one", 9) == []
    assert store.count_waiting() == 0  # so that they do not fill the queue
    found = store.get(job.id)
    assert found is not None
    assert (found.status, found.counts.done, found.is_finished) == ("cancelled", 1, True)


def test_jobs_expire_and_are_forgotten(store: JobStore, add: Add, clock: Any) -> None:
    job, later = add(1, expires=clock.now + 10), add(1)
    assert store.find_expired() == []
    clock.now += 20
    assert store.find_expired() == [job.id]
    store.claim("one", 1)
    store.delete(job.id, EXPIRED)
    assert store.finish("one", job.id, [outcome(0)]) == []
    found = store.get(job.id)
    assert found is not None
    assert (found.state, found.name, found.counts) == (EXPIRED, "", Counts())
    assert [each.id for each in store.list_jobs(None)] == [later.id]
    assert store.count_bytes() == 100
    clock.now += TOMBSTONE_SECONDS + 1
    store.find_expired()
    assert store.get(job.id) is None


def test_bytes_of_pictures_count(store: JobStore, add: Add) -> None:
    job, other = add(1), add(1)
    assert store.count_bytes() == 200
    assert store.reserve_bytes(job.id, 50, most=250)
    assert not store.reserve_bytes(job.id, 1, most=250)
    assert store.count_bytes() == 250
    store.delete(job.id)
    assert store.count_bytes() == 100
    assert not store.reserve_bytes(job.id, 50, most=1000)
    assert store.reserve_bytes(other.id, 50, most=1000)


def test_jobs_are_listed_by_their_owner(store: JobStore, add: Add) -> None:
    first, second, third = add(1, "ann"), add(1, "bob"), add(1, "ann")
    assert [job.id for job in store.list_jobs("ann")] == [third.id, first.id]
    assert [job.id for job in store.list_jobs(None, 2)] == [third.id, second.id]
    store.delete(first.id)
    found = store.get(first.id)
    assert found is not None
    assert (found.state, found.owner) == (DELETED, "")


def test_many_workers_share_the_fields(store: JobStore, add: Add) -> None:
    job = add(40)
    got: list[tuple[int, list[int]]] = []
    failures: list[Exception] = []

    def work(name: str) -> None:
        try:
            while claimed := store.claim(name, 3):
                got.extend((field.number, store.finish(name, job.id, [outcome(field.number)])) for field in claimed)
        except Exception as error:  # a thread's error is not seen otherwise
            failures.append(error)

    threads = [threading.Thread(target=work, args=(str(k),)) for k in range(5)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    found = store.get(job.id)
    assert found is not None
    assert found.counts == Counts(done=40)
    assert sorted(number for number, stored in got if stored) == list(range(40))


def test_other_databases_are_refused(tmp_path: Path) -> None:
    from lociscope.prediction_log.log import open_log

    with open_log(str(tmp_path / "log.sqlite")):
        pass
    with pytest.raises(LogError, match="is not the database of a service"):
        open_database(str(tmp_path / "log.sqlite"), create=False)
    with pytest.raises(LogError):
        open_database(str(tmp_path / "missing.sqlite"), create=False)
    open_database(str(tmp_path / "service.sqlite")).close()
    open_database(str(tmp_path / "service.sqlite"), create=False).close()
