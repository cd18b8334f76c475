"""The addresses of the live page: to watch a run, to answer proposals, and to pause and stop it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import FieldSource, find_fields
from lociscope.images.io.read import read_field
from lociscope.labels import N_LABELS
from lociscope.microscope.board import Board
from lociscope.service.error_responses import error_response, wants_page
from lociscope.service.jobs.events import MAX_SECONDS, MAX_STREAMS, RETRY_MS
from lociscope.service.jobs.pictures import THUMBNAIL
from lociscope.service.microscope.plate import make_grid
from lociscope.service.page import relative_root, render
from lociscope.service.state import get_state
from lociscope.service.views import Viewed, read_evidence
from lociscope.service.worker_pool import BusyError

POLL_SECONDS = 0.5
"""Time between two looks at the run for a page that follows it."""
MAX_NAME = 60
"""Most characters of the name of a person."""

router = APIRouter()
_streams = {"open": 0}

FieldName = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.\-]{1,100}$")]


@router.get("/", response_class=HTMLResponse)
async def show_page(request: Request) -> Response:
    """Show the run."""
    return await _show(request, "microscope.html")


@router.get("/board", response_class=HTMLResponse)
async def show_board(request: Request) -> Response:
    """Return the part of the page that changes."""
    return await _show(request, "microscope_board.html")


@router.get("/status.json")
async def read_status(request: Request) -> Response:
    """Return the run as JSON."""
    return JSONResponse(await run_in_threadpool(_board(request).snapshot))


@router.get("/healthz")
async def check_health() -> dict[str, str]:
    """Answer as long as the process runs."""
    return {"status": "ok"}


@router.get("/events")
async def follow(request: Request) -> Response:
    """Return server-sent events: `changed` whenever the run has changed, then `ended`."""
    if _streams["open"] >= MAX_STREAMS:
        raise BusyError(f"{MAX_STREAMS} pages follow this run. Load the page again instead.", 10)

    async def counted() -> AsyncIterator[str]:
        _streams["open"] += 1
        try:
            async for each in _stream(request):
                yield each
        finally:
            _streams["open"] -= 1

    return StreamingResponse(counted(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


@router.post("/{action}")
async def act(request: Request, action: Annotated[str, Path(pattern="^(pause|resume|stop)$")]) -> Response:
    """Pause, resume or stop the run."""
    await run_in_threadpool(getattr(_board(request), action))
    return _answer(request, {"state": _board(request).state})


@router.post("/proposals/{proposal}")
async def answer_proposal(request: Request, proposal: FieldName) -> Response:
    """Accept or reject a proposal: `answer=accept` or `answer=reject`, and `by` for the name of the person."""
    async with request.form(max_files=0, max_fields=8) as form:
        answer, by = str(form.get("answer", "")), " ".join(str(form.get("by", "")).split())[:MAX_NAME]
    if answer not in ("accept", "reject"):
        raise HTTPException(422, "Expected answer=accept or answer=reject.")
    board = _board(request)
    try:
        found = await run_in_threadpool(
            lambda: board.answer(proposal, accept=answer == "accept", by=by or "somebody on the page")
        )
    except LociscopeError as error:
        status = {Code.CONFLICT: 409, Code.REFUSED: 409, Code.NOT_FOUND: 404}.get(error.code, 500)
        return error_response(request, status, str(error), code=error.code)
    return _answer(request, found.to_dict())


@router.get("/fields/{field}/thumbnail", response_class=Response)
async def show_thumbnail(request: Request, field: FieldName) -> Response:
    """Return a small composite of a field."""
    return await _picture(request, field, None)


@router.get("/fields/{field}/evidence/{location}", response_class=Response)
async def show_evidence(
    request: Request, field: FieldName, location: Annotated[int, Path(ge=0, lt=N_LABELS)]
) -> Response:
    """Return where the evidence for a location is, as a grey picture over the field."""
    return await _picture(request, field, location)


def _board(request: Request) -> Board:
    board = get_state(request).board
    if board is None:  # the application is made with one
        raise HTTPException(404, "This service drives no microscope.")
    return board


async def _show(request: Request, template: str) -> Response:
    status = await run_in_threadpool(_board(request).snapshot)
    grid = make_grid(status["wells"]) if "wells" in status else None
    page = await run_in_threadpool(render, template, request, run=status, grid=grid)
    return HTMLResponse(page)


def _answer(request: Request, values: dict[str, Any]) -> Response:
    """Return to the page that sent a form, or answer a program with JSON."""
    if wants_page(request):
        return RedirectResponse(relative_root(request), 303)
    return JSONResponse(values)


async def _stream(request: Request) -> AsyncIterator[str]:
    board, state = _board(request), get_state(request)
    ends, last = asyncio.get_running_loop().time() + MAX_SECONDS, ""
    yield f"retry: {RETRY_MS}\n\n"
    while not state.pool.stopping and asyncio.get_running_loop().time() < ends:
        if await request.is_disconnected():
            return
        now = await run_in_threadpool(board.fingerprint)
        if now != last:
            last = now
            yield f"event: changed\ndata: {board.state}\n\n"
        if board.state == "ended":
            yield "event: ended\ndata: ended\n\n"
            return
        await asyncio.sleep(POLL_SECONDS)


async def _picture(request: Request, field: str, location: int | None) -> Response:
    state, board = get_state(request), _board(request)
    path = await run_in_threadpool(board.image_path, field)
    with state.views.reserve():
        if location is None:
            data = await state.views.run(_render_thumbnail, path)
            return Response(data, media_type="image/webp", headers={"cache-control": "max-age=3600"})
        viewed = Viewed(_find_source(path), None, field)
        return Response(
            await state.views.run(read_evidence, state.model.predictor, viewed, location), media_type="image/png"
        )


def _find_source(path: FilePath) -> FieldSource:
    fields, _ = find_fields([path])
    return fields[0]


@lru_cache(maxsize=64)
def _render_thumbnail(path: FilePath) -> bytes:
    import io

    from PIL import Image

    from lociscope.images.render import render_composite

    buffer = io.BytesIO()
    picture = Image.fromarray(render_composite(read_field(_find_source(path)).pixels, THUMBNAIL))
    picture.save(buffer, format="WEBP", quality=78)
    return buffer.getvalue()
