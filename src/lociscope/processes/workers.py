"""Map functions over worker processes: in order, with few results in memory, without orphans."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

Item = TypeVar("Item")
Result = TypeVar("Result")
WAITING = 4
"""Results in memory for each process."""
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""Parameters of glibc's mallopt, from malloc.h."""


def map_in_order(make: Callable[[Item], Result], items: Iterable[Item], workers: int | None = 1) -> Iterator[Result]:
    """Apply a function to each item in worker processes and yield the results in order.

    Args:
        make: A pure function that can be pickled.
        items: Its arguments.
        workers: Number of processes; None or 1 uses this process only. A script that passes more needs the usual
            `if __name__ == "__main__"`.

    Yields:
        The results; `WAITING` results for each process are in memory at most.
    """
    if workers is None or workers <= 1:
        yield from map(make, items)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # Spawn: a fork of a process in which TensorFlow's threads run may hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=initialize_worker) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(make, item))
                if len(waiting) > WAITING * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def initialize_worker() -> None:
    """Set up a worker process."""
    exit_with_parent()
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Let glibc keep freed memory instead of returning it to the kernel.

    The simulation of a field allocates thousands of images of 256 KB; avoiding 3,900 page faults saves an eighth of the
    time of a field of 256 px (`benchmarks/simulate.py`). Other allocators are not changed.
    """
    import ctypes
    import sys

    if sys.platform != "linux" or not hasattr(libc := ctypes.CDLL(None), "mallopt"):
        return
    for parameter, size in ((M_MMAP_THRESHOLD, 32), (M_TRIM_THRESHOLD, 256), (M_TOP_PAD, 16)):
        libc.mallopt(parameter, size << 20)


def exit_with_parent() -> None:
    """End this process when its parent ends: a killed parent cannot stop its workers."""
    import os
    from multiprocessing import parent_process
    from multiprocessing.connection import wait
    from threading import Thread

    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    Thread(target=watch, daemon=True).start()
