"""Bodies that are too large, too slow or not complete in time; and what is not counted as slow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from starlette.exceptions import HTTPException

from lociscope.service import bodies
from lociscope.service.bodies import STEP_BYTES, Body

if TYPE_CHECKING:
    from collections.abc import Callable

Message = dict[str, Any]


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"STEP_SECONDS": 0.2, "UPLOAD_SECONDS": 0.6, "STOP_SECONDS": 0.1, "_SLICE": 0.02}.items():
        monkeypatch.setattr(bodies, name, seconds)


def part(size: int, more: bool = True) -> Message:
    return {"type": "http.request", "body": bytes(size), "more_body": more}


async def read(
    parts: list[Message], wait: float = 0.0, max_bytes: int = 1 << 30, stops: Callable[[], bool] = bool
) -> int:
    """Reads a body whose parts come after each `wait` s and then stay away; returns how many bytes it had."""

    coming: asyncio.Queue[Message] = asyncio.Queue()

    async def send() -> None:
        for each in parts:
            await asyncio.sleep(wait)
            coming.put_nowait(each)

    sending = asyncio.create_task(send())
    body, had, more = Body(coming.get, max_bytes, stops), 0, True
    try:
        while more:
            message = await body()
            had, more = had + len(message.get("body", b"")), message.get("more_body", False)
    finally:
        sending.cancel()
    return had


def refused(parts: list[Message], **given: Any) -> tuple[int, str, Any]:
    with pytest.raises(HTTPException) as error:
        asyncio.run(asyncio.wait_for(read(parts, **given), 20))
    return error.value.status_code, error.value.detail, error.value.headers


def test_a_whole_body_passes() -> None:
    assert asyncio.run(read([part(10), part(20), part(0, more=False)], max_bytes=30)) == 30
    assert asyncio.run(read([{"type": "http.disconnect"}])) == 0


def test_one_byte_too_many() -> None:
    status, message, _ = refused([part(10), part(21)], max_bytes=30)
    assert (status, message.startswith("This upload is larger than the 2.86e-05 MB")) == (413, True)


@pytest.mark.parametrize("parts", [[], [part(10)], [part(1) for _ in range(1000)]])
def test_idle_and_trickling_bodies_are_too_slow(parts: list[Message]) -> None:
    status, message, headers = refused(parts, wait=0.005)
    assert (status, message.startswith("This upload is too slow: less than 64 KiB arrived in")) == (408, True)
    assert headers == {"connection": "close"}


def test_one_that_is_quick_enough_may_take_longer_than_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "STEP_SECONDS", 1.0)
    monkeypatch.setattr(bodies, "UPLOAD_SECONDS", 60.0)
    parts = [*(part(STEP_BYTES) for _ in range(4)), part(0, more=False)]
    assert asyncio.run(read(parts, wait=0.3)) == 4 * STEP_BYTES


def test_a_steady_one_is_ended_after_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "STEP_SECONDS", 60.0)
    status, message, _ = refused([part(STEP_BYTES) for _ in range(1000)], wait=0.01)
    assert (status, "took longer than" in message) == (408, True)


def test_only_waiting_for_the_client_counts() -> None:
    async def take_slowly() -> int:
        parts = [part(1), part(1), part(1, more=False)]

        async def receive() -> Message:
            return parts.pop(0)

        body = Body(receive, 10, bool)
        for _ in range(2):
            await body()
            await asyncio.sleep(0.3)
        return len((await body())["body"])

    assert asyncio.run(take_slowly()) == 1


def test_a_stop_waits_for_a_body_a_little() -> None:
    status, message, headers = refused([part(STEP_BYTES) for _ in range(1000)], wait=0.01, stops=lambda: True)
    assert (status, message) == (503, "This service is stopping. Try again in a moment.")
    assert headers == {"retry-after": "5", "connection": "close"}
    assert asyncio.run(read([part(1), part(1, more=False)], stops=lambda: True)) == 2


def test_after_the_body_the_server_is_waited_for() -> None:
    async def wait() -> Message:
        parts = [part(1, more=False)]

        async def receive() -> Message:
            if parts:
                return parts.pop()
            await asyncio.sleep(0.5)
            return {"type": "http.disconnect"}

        body = Body(receive, 10, bool)
        await body()
        return dict(await body())

    assert asyncio.run(wait()) == {"type": "http.disconnect"}
