"""Work spread over processes, in order, with little held at a time, and without orphans."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

Item = TypeVar("Item")
Made = TypeVar("Made")
WAITING = 4
"""Results held for each process."""
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""Numbers of glibc's settings, from malloc.h."""


def map_in_order(make: Callable[[Item], Made], items: Iterable[Item], workers: int | None = 1) -> Iterator[Made]:
    """Makes something of each item, over processes, in order.

    Args:
        make: A pure function that can be sent to another process.
        items: What it takes, one by one.
        workers: Processes; None or 1 makes everything in this one. A script that asks for more needs the usual
            `if __name__ == "__main__"`.

    Yields:
        What it makes; not more than a few results for each process are held at a time.
    """
    if workers is None or workers <= 1:
        yield from map(make, items)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # Spawned: a fork of a process in which TensorFlow's threads run may hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=initialize_worker) as pool:
        waiting: deque[Future[Made]] = deque()
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
    """What a worker does first."""
    exit_with_parent()
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Lets glibc keep what this process frees, instead of giving it back to the kernel and fetching it anew.

    A field is drawn by way of thousands of pictures of 256 KB; the 3,900 page faults that this spares are an eighth of
    the time of a field of 256 px (`benchmarks/simulate.py`). Other allocators are left as they are.
    """
    import ctypes
    import sys

    if sys.platform != "linux" or not hasattr(libc := ctypes.CDLL(None), "mallopt"):
        return
    for parameter, size in ((M_MMAP_THRESHOLD, 32), (M_TRIM_THRESHOLD, 256), (M_TOP_PAD, 16)):
        libc.mallopt(parameter, size << 20)


def exit_with_parent() -> None:
    """Ends this process when its parent does: a killed parent cannot tell its workers to stop."""
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
