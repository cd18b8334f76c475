"""The body of a request, limited in size and in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.types import Message, Receive

STEP_BYTES = 1 << 16
STEP_SECONDS = 10.0
"""Each 64 KiB of a body, and its last part, must arrive within 10 s: about 50 kbit/s."""

UPLOAD_SECONDS = 300.0
"""A whole body must arrive within five minutes, because it occupies a slot that others wait for."""

STOP_SECONDS = 5.0
"""Time for the rest of a body after the service has begun to stop."""

_SLICE = 0.5
"""Seconds of waiting after which the limits are checked."""

_CLOSE = {"connection": "close"}


class Body:
    """The `receive` function of a request, which refuses a body that is too large or too slow.

    Only the time spent waiting for the client counts.

    Args:
        receive: The `receive` function of the server.
        max_bytes: The maximum size.
        is_stopping: Returns whether the service stops.
        seconds: The time in which it must arrive; None for `UPLOAD_SECONDS`.
    """

    def __init__(
        self, receive: Receive, max_bytes: int, is_stopping: Callable[[], bool], seconds: float | None = None
    ) -> None:
        self._receive = receive
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._is_stopping = is_stopping
        self._received = 0
        self._complete = False
        self._waited = self._waited_in_step = self._waited_in_stop = 0.0

    async def __call__(self) -> Message:
        """Return the next part; after the last one, the next message of the server.

        Raises:
            HTTPException: 413 too large, 408 too slow, 503 incomplete while the service stops.
        """
        if self._complete:
            return await self._receive()
        while (message := await self._wait()) is None:
            pass
        before, self._received = self._received, self._received + len(message.get("body", b""))
        if self._received // STEP_BYTES > before // STEP_BYTES:
            self._waited_in_step = 0.0
        self._complete = not message.get("more_body", False)
        if self._received > self._max_bytes:
            raise HTTPException(413, describe_too_large(self._max_bytes))
        return message

    async def _wait(self) -> Message | None:
        """Return the next part, or None if none has arrived for a while."""
        self._check()
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            async with asyncio.timeout(_SLICE):
                return await self._receive()
        except TimeoutError:
            return None
        finally:
            waited = clock() - started
            self._waited += waited
            self._waited_in_step += waited
            self._waited_in_stop += waited if self._is_stopping() else 0.0

    def _check(self) -> None:
        if self._waited_in_stop >= STOP_SECONDS:
            raise HTTPException(503, "This service is stopping. Try again in a moment.", {"retry-after": "5"} | _CLOSE)
        if self._waited_in_step >= STEP_SECONDS:
            message = f"This upload is too slow: less than 64 KiB arrived in {STEP_SECONDS:.0f} s. Send it again."
            raise HTTPException(408, message, _CLOSE)
        most = UPLOAD_SECONDS if self._seconds is None else self._seconds
        if self._waited >= most:
            raise HTTPException(408, f"This upload took longer than {most:.0f} s. Send it again.", _CLOSE)


def describe_too_large(max_bytes: int) -> str:
    """Return the error message for a body that is too large."""
    limit = f"{max_bytes / (1 << 30):.3g} GB" if max_bytes >= 1 << 30 else f"{max_bytes / (1 << 20):.3g} MB"
    return f"This upload is larger than the {limit} that this service accepts. Send fewer fields at a time."
