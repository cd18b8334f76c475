"""WorkerPool beside the event loop: a pool of threads, and a bound on what is in flight."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import perf_counter
from typing import ParamSpec, TypeVar

Result = TypeVar("Result")
Params = ParamSpec("Params")

_RECENT = 0.1
"""Weight of the newest in the running mean of how long work takes."""
_MAX_WAIT = 60


class BusyError(Exception):
    """There is as much work in flight as there may be, or the service is stopping.

    Attributes:
        retry_after: Seconds after which to ask again.
    """

    def __init__(self, sentence: str, retry_after: int) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class WorkerPool:
    """Runs functions in threads, a bounded number at once.

    Batches are not gathered over requests: with the shipped bundle on a CPU, a call of sixteen fields takes no less
    for each than a call of one, and either is a quarter of reading and preparing it (`benchmarks/service.py`).

    Args:
        workers: Threads.
        most: Most pieces of work that are in flight, from the first byte of their upload to their answer.
    """

    def __init__(self, workers: int, most: int) -> None:
        self.most = most
        self.in_flight = 0
        self.stopping = False
        self._workers = workers
        self._seconds = 0.1
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="lociscope")

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Holds one of the places of what is in flight.

        Raises:
            BusyError: None is free, or the service is stopping.
        """
        if self.stopping:
            raise BusyError("This service is stopping. Ask again in a moment.", self._wait())
        if self.in_flight >= self.most:
            raise BusyError(f"Busy: {self.most} fields are being predicted. Ask again in a moment.", self._wait())
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    async def run(self, make: Callable[Params, Result], *args: Params.args, **named: Params.kwargs) -> Result:
        """Runs a function in the pool; the event loop goes on meanwhile."""

        def timed() -> Result:
            started = perf_counter()
            try:
                return make(*args, **named)
            finally:
                self._seconds += _RECENT * (perf_counter() - started - self._seconds)

        return await asyncio.get_running_loop().run_in_executor(self._pool, timed)

    def stop(self) -> None:
        """Takes no more work; what is in flight goes on."""
        self.stopping = True

    def close(self) -> None:
        """Waits for the threads to end."""
        self.stop()
        self._pool.shutdown()

    def _wait(self) -> int:
        """Seconds until about half of what is in flight will be done."""
        return min(_MAX_WAIT, max(1, math.ceil(self._seconds * self.in_flight / self._workers / 2)))
