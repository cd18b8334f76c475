"""Share one computation on a large array between threads."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # a container or a batch system may allow fewer than there are
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_ranges(make: Callable[[slice], Result], count: int, threads: int) -> list[Result]:
    """Apply a function to consecutive parts of a range, each in another thread.

    Args:
        make: A function that spends its time in calls that let other threads run, as those of NumPy do.
        count: Length of the range.
        threads: Number of parts; 0 for one on each core.

    Returns:
        The results in order.
    """
    parts = max(1, min(threads or count_cores(), count))
    edges = [count * part // parts for part in range(parts + 1)]
    first, *others = (slice(start, stop) for start, stop in pairwise(edges))
    waiting = [_get_pool().submit(make, other) for other in others]
    return [make(first), *(each.result() for each in waiting)]


@lru_cache(maxsize=1)
def _get_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count_cores(), thread_name_prefix="lociscope-part")
