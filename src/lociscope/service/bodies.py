"""The body of a request as it comes: at most so many bytes, at least so fast."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.types import Message, Receive

STEP_BYTES = 1 << 16
STEP_SECONDS = 10.0
"""Each 64 KiB of a body, and its last part, must come within 10 s: about 50 kbit/s."""

UPLOAD_SECONDS = 300.0
"""A whole body must come within five minutes: it takes a slot that others wait for."""

STOP_SECONDS = 5.0
"""What a body may still take once the service stops."""

_SLICE = 0.5
"""Seconds of waiting after which the limits are looked at."""

_CLOSE = {"connection": "close"}


class Body:
    """The `receive` of a request, which refuses a body that is too large or too slow.

    Only the time that is spent waiting for the client counts.

    Args:
        receive: The server's.
        most: Most bytes.
        stopping: Returns whether the service stops.
    """

    def __init__(self, receive: Receive, most: int, stopping: Callable[[], bool]) -> None:
        self._receive = receive
        self._most = most
        self._stopping = stopping
        self._had = 0
        self._whole = False
        self._waited = self._waited_in_step = self._waited_in_stop = 0.0

    async def __call__(self) -> Message:
        """Return the next part; after the last one, whatever the server says.

        Raises:
            HTTPException: 413 too large, 408 too slow, 503 not complete although the service stops.
        """
        if self._whole:
            return await self._receive()
        while (message := await self._wait()) is None:
            pass
        before, self._had = self._had, self._had + len(message.get("body", b""))
        if self._had // STEP_BYTES > before // STEP_BYTES:
            self._waited_in_step = 0.0
        self._whole = not message.get("more_body", False)
        if self._had > self._most:
            raise HTTPException(413, describe_too_large(self._most))
        return message

    async def _wait(self) -> Message | None:
        """Return the next part, or None where none came in a while."""
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
            self._waited_in_stop += waited if self._stopping() else 0.0

    def _check(self) -> None:
        if self._waited_in_stop >= STOP_SECONDS:
            raise HTTPException(503, "This service is stopping. Ask again in a moment.", {"retry-after": "5"} | _CLOSE)
        if self._waited_in_step >= STEP_SECONDS:
            message = f"This upload is too slow: less than 64 KiB came in {STEP_SECONDS:.0f} s. Send it again."
            raise HTTPException(408, message, _CLOSE)
        if self._waited >= UPLOAD_SECONDS:
            raise HTTPException(408, f"This upload took longer than {UPLOAD_SECONDS:.0f} s. Send it again.", _CLOSE)


def describe_too_large(most: int) -> str:
    """Return the message about a body of too many bytes."""
    return (
        f"This upload is larger than the {most / (1 << 20):.3g} MB that this service takes. Send one field at a time."
    )
