"""A pool of threads beside the event loop, with a limit on the predictions in flight."""

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
"""Weight of the newest duration in the running mean."""
_MAX_WAIT = 60


class BusyError(Exception):
    """The maximum number of predictions is in flight, or the service is stopping.

    Attributes:
        retry_after: Seconds after which to try again.
    """

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class WorkerPool:
    """Runs functions in threads, with a limit on the number in flight.

    Requests are not gathered into batches: with the shipped bundle on a CPU, a call of sixteen fields takes no less
    time per field than a call of one, and either is a quarter of the time to read and prepare it
    (`benchmarks/service.py`).

    Args:
        workers: Number of threads.
        max_in_flight: Largest number of predictions from the first byte of their upload to their answer.
    """

    def __init__(self, workers: int, max_in_flight: int) -> None:
        self.max_in_flight = max_in_flight
        self.in_flight = 0
        self.stopping = False
        self._workers = workers
        self._seconds = 0.1
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="lociscope")

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Count one more prediction as in flight during the block.

        Raises:
            BusyError: The limit is reached, or the service is stopping.
        """
        if self.stopping:
            raise BusyError("This service is stopping. Try again in a moment.", self._wait())
        if self.in_flight >= self.max_in_flight:
            raise BusyError(
                f"Busy: {self.max_in_flight} fields are being predicted. Try again in a moment.", self._wait()
            )
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    async def run(self, make: Callable[Params, Result], *args: Params.args, **named: Params.kwargs) -> Result:
        """Run a function in the pool without blocking the event loop."""

        def timed() -> Result:
            started = perf_counter()
            try:
                return make(*args, **named)
            finally:
                self._seconds += _RECENT * (perf_counter() - started - self._seconds)

        return await asyncio.get_running_loop().run_in_executor(self._pool, timed)

    def stop(self) -> None:
        """Refuse new predictions; those in flight are completed."""
        self.stopping = True

    def close(self) -> None:
        """Wait until the threads have ended."""
        self.stop()
        self._pool.shutdown()

    def _wait(self) -> int:
        """Return the seconds until about half of the predictions in flight will be done."""
        return min(_MAX_WAIT, max(1, math.ceil(self._seconds * self.in_flight / self._workers / 2)))
