"""The progress of a job as server-sent events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from lociscope.prediction_log.log_errors import LogError
from lociscope.service.jobs.records import JobInfo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from lociscope.service.state import AppState

MAX_STREAMS = 100
"""Maximum number of pages that follow a job live; others load themselves again."""

POLL_SECONDS = 0.5
MAX_SECONDS = 1800.0
"""Longest stream; the browser connects again."""

RETRY_MS = 3000
_KEEP_ALIVE = 10


async def stream_progress(request: Request, state: AppState, identifier: str) -> AsyncIterator[str]:
    """Yield the state of a job whenever it changes, until it is finished.

    Each event has the JSON of a `JobInfo`. A comment is sent every few seconds, so that proxies keep the connection and
    a client that is gone is noticed.
    """
    jobs = state.jobs
    last, silent, ends = "", 0, asyncio.get_running_loop().time() + MAX_SECONDS
    yield f"retry: {RETRY_MS}\n\n"
    while jobs is not None and not state.pool.stopping and asyncio.get_running_loop().time() < ends:
        try:
            job = await run_in_threadpool(jobs.store.get, identifier)
        except LogError:
            job = None
            await asyncio.sleep(POLL_SECONDS)
            continue
        if job is None or await request.is_disconnected():
            return
        data = JobInfo.from_job(job).model_dump_json()
        if data != last:
            yield f"event: progress\ndata: {data}\n\n"
            last, silent = data, 0
        if job.status != "running":
            yield f"event: done\ndata: {data}\n\n"
            return
        silent += 1
        if silent % (_KEEP_ALIVE / POLL_SECONDS) == 0:
            yield ": still here\n\n"
        await asyncio.sleep(POLL_SECONDS)
