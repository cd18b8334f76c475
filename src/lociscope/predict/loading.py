"""Fields read and prepared in threads, a few ahead of the network."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import Failure, FieldSource
from lociscope.images.io.read import read_field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lociscope.predict.predictor import Predictor, PreparedField


def load_field(predictor: Predictor, source: FieldSource) -> PreparedField | Failure:
    """Return a field, read and prepared, or why it cannot be read."""
    try:
        return predictor.prepare(read_field(source))
    except LociscopeError as error:
        reason, code = str(error), error.code
    except MemoryError:
        reason = f"Field '{source.id}' does not fit into memory. Try fewer `workers`, or a larger machine."
        code = Code.OUT_OF_MEMORY
    return Failure(source.id, source.first_path, reason, code)


def load_fields(
    predictor: Predictor, sources: Sequence[FieldSource], workers: int, failures: list[Failure]
) -> Iterator[PreparedField]:
    """Yield fields in order, read and prepared by threads.

    Args:
        predictor: Prepares the fields.
        sources: The files of the fields.
        workers: Number of threads. At most twice as many fields wait, so that memory does not grow with `sources`.
        failures: Filled with the fields that cannot be read.
    """

    def load(source: FieldSource) -> PreparedField | Failure:
        return load_field(predictor, source)

    with thread_pool(workers) as pool:
        for result in _map_ahead(pool, load, sources, 2 * workers):
            if isinstance(result, Failure):
                failures.append(result)
            else:
                yield result


@contextmanager
def thread_pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Open a pool of threads that does not wait for them after an error or an interrupt."""
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _map_ahead(
    pool: ThreadPoolExecutor,
    load: Callable[[FieldSource], PreparedField | Failure],
    sources: Sequence[FieldSource],
    max_waiting: int,
) -> Iterator[PreparedField | Failure]:
    """Map in order, with at most `max_waiting` results that nobody has taken yet."""
    waiting: deque[Future[PreparedField | Failure]] = deque()
    try:
        for source in sources:
            waiting.append(pool.submit(load, source))
            if len(waiting) > max_waiting:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
