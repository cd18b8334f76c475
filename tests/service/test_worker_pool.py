"""The pool: bounded, beside the event loop, and emptied before it ends."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from lociscope.service.worker_pool import BusyError, Work

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def work() -> Iterator[Work]:
    made = Work(workers=2, most=3)
    yield made
    made.close()


def test_no_more_than_the_most(work: Work) -> None:
    with work.slot(), work.slot(), work.slot():
        assert work.in_flight == 3
        with pytest.raises(BusyError, match="3 fields are being predicted") as error, work.slot():
            pass
        assert error.value.retry_after >= 1
    assert work.in_flight == 0
    with pytest.raises(ZeroDivisionError), work.slot():
        raise ZeroDivisionError
    assert work.in_flight == 0


def test_when_it_stops_it_takes_nothing_new_and_ends_what_it_has(work: Work) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow() -> int:
        begun.set()
        assert go.wait(30)
        return 7

    async def story() -> int:
        with work.slot():
            task = asyncio.create_task(work.run(slow))
            await asyncio.to_thread(begun.wait, 30)
            work.stop()
            with pytest.raises(BusyError, match="stopping"), work.slot():
                pass
            go.set()
            return await task

    assert asyncio.run(story()) == 7


def test_the_loop_goes_on_meanwhile(work: Work) -> None:
    go = threading.Event()

    async def story() -> list[bool]:
        tasks = [asyncio.create_task(work.run(go.wait, 30)) for _ in range(5)]
        await asyncio.sleep(0)
        go.set()  # reached only if the loop is not held up by the waiting threads
        return list(await asyncio.gather(*tasks))

    assert asyncio.run(story()) == [True] * 5


def test_what_fails_in_a_thread_fails_here(work: Work) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(work.run(fail))


def test_who_has_to_wait_longer_is_told_so(work: Work) -> None:
    assert work._wait() == 1
    work._seconds, work.in_flight = 20.0, 3
    assert work._wait() == 15
    work._seconds = 1e6
    assert work._wait() == 60
    work.in_flight = 0
