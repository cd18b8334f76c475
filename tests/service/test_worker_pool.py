"""The pool: bounded, beside the event loop, and emptied before it ends."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from lociscope.service.worker_pool import BusyError, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    made = WorkerPool(workers=2, max_in_flight=3)
    yield made
    made.close()


def test_no_more_than_the_most(pool: WorkerPool) -> None:
    with pool.reserve(), pool.reserve(), pool.reserve():
        assert pool.in_flight == 3
        with pytest.raises(BusyError, match="3 fields are being predicted") as error, pool.reserve():
            pass
        assert error.value.retry_after >= 1
    assert pool.in_flight == 0
    with pytest.raises(ZeroDivisionError), pool.reserve():
        raise ZeroDivisionError
    assert pool.in_flight == 0


def test_when_it_stops_it_takes_nothing_new_and_ends_what_it_has(pool: WorkerPool) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow() -> int:
        begun.set()
        assert go.wait(30)
        return 7

    async def story() -> int:
        with pool.reserve():
            task = asyncio.create_task(pool.run(slow))
            await asyncio.to_thread(begun.wait, 30)
            pool.stop()
            with pytest.raises(BusyError, match="stopping"), pool.reserve():
                pass
            go.set()
            return await task

    assert asyncio.run(story()) == 7


def test_the_loop_continues_meanwhile(pool: WorkerPool) -> None:
    go = threading.Event()

    async def story() -> list[bool]:
        tasks = [asyncio.create_task(pool.run(go.wait, 30)) for _ in range(5)]
        await asyncio.sleep(0)
        go.set()  # reached only if the loop is not held up by the waiting threads
        return list(await asyncio.gather(*tasks))

    assert asyncio.run(story()) == [True] * 5


def test_what_fails_in_a_thread_fails_here(pool: WorkerPool) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(pool.run(fail))


def test_the_suggested_wait_grows_with_the_queue(pool: WorkerPool) -> None:
    assert pool._wait() == 1
    pool._seconds, pool.in_flight = 20.0, 3
    assert pool._wait() == 15
    pool._seconds = 1e6
    assert pool._wait() == 60
    pool.in_flight = 0
