"""Results come in order, and few items are begun before their results are taken."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lociscope.processes.ahead import map_ahead


def test_results_are_in_order_and_few_are_begun() -> None:
    begun: list[int] = []

    def make(item: int) -> int:
        begun.append(item)
        return item * item

    with ThreadPoolExecutor(2) as pool:
        results = map_ahead(pool, make, range(50), 4)
        assert next(results) == 0
        assert len(begun) <= 5
        assert list(results) == [item * item for item in range(1, 50)]


def test_an_error_cancels_what_waits() -> None:
    going = threading.Event()

    def make(item: int) -> int:
        if item == 1:
            raise ValueError
        if item > 1:
            going.wait(10)
        return item

    with ThreadPoolExecutor(1) as pool:
        results = map_ahead(pool, make, range(9), 6)
        assert next(results) == 0
        with pytest.raises(ValueError):
            next(results)
        going.set()
