"""Map over items in threads, in order, with few results that wait."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future, ThreadPoolExecutor

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    pool: ThreadPoolExecutor, make: Callable[[Item], Result], items: Iterable[Item], max_waiting: int
) -> Iterator[Result]:
    """Yield the results in the order of the items.

    Args:
        pool: The threads.
        make: Makes one result.
        items: What to map.
        max_waiting: Number of items that are begun before their result is taken, which bounds the memory.
    """
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(make, item))
            while len(waiting) > max_waiting or (waiting and waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
