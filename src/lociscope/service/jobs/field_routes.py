"""The addresses of the fields of jobs, and what all addresses of jobs share."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from lociscope.images.io.read import read_field as read_pixels
from lociscope.service.answer import Answer
from lociscope.service.error_responses import wants_page
from lociscope.service.jobs.access import field_answer, find_field, view_field
from lociscope.service.jobs.pages import render_field
from lociscope.service.jobs.pictures import render_thumbnail, thumbnail_name
from lociscope.service.jobs.records import JobField
from lociscope.service.jobs.service import JobService
from lociscope.service.state import AppState, get_state
from lociscope.service.view_routes import (
    EVIDENCE,
    PICTURE,
    ChannelPath,
    Full,
    LocationPath,
    answer_cells,
    answer_channel,
    answer_evidence,
    run_view,
)
from lociscope.service.views import CellsInfo

router = APIRouter(prefix="/jobs")
JobId = Annotated[str, Path(description="The id of the job.", pattern=r"^[A-Za-z0-9_-]{22}$")]
Number = Annotated[int, Path(description="The number of the field in the job, from 0.", ge=0, le=10**6)]

MISSING: dict[int | str, dict[str, Any]] = {
    404: {"description": "There is no such job."},
    410: {"description": "The job has expired, or was deleted."},
    503: {"description": "Busy, stopping, or without its database; try again after Retry-After seconds."},
}


class FieldInfo(BaseModel):
    """One field of a job."""

    model_config = ConfigDict(frozen=True)

    number: int
    id: str
    state: str = Field(description="waiting, running, done or failed.")
    plate: str
    well: str
    site: str
    answer: Answer | None = Field(description="Its prediction, once it is done.")
    reason: str = Field(description="Why it has failed; empty if it has not.")
    code: str = Field(description="What kind of error that is, for programs.")


@router.get("/{job_id}/fields/{number}", response_model=FieldInfo, summary="A field of a job", responses=MISSING)
async def read_field(request: Request, job_id: JobId, number: Number) -> Response:
    """Show one field: its channels, its locations, its warnings, and similar fields."""
    _, jobs = get_parts(request)
    job, field = await find_field(jobs, job_id, number)
    if wants_page(request):
        return HTMLResponse(await run_in_threadpool(render_field, request, jobs, job, field))
    return JSONResponse(to_info(field).model_dump())


@router.get("/{job_id}/fields/{number}/thumbnail", summary="A small picture of a field", responses=MISSING | PICTURE)
async def thumbnail(request: Request, job_id: JobId, number: Number) -> Response:
    """Return a small composite of a field."""
    state, jobs = get_parts(request)
    _, field = await find_field(jobs, job_id, number)
    data = await run_in_threadpool(jobs.pictures(job_id).read, thumbnail_name(number))
    if data is None:
        source = view_field(jobs, field).source
        data = await run_view(state, lambda: render_thumbnail(read_pixels(source)))
        await run_in_threadpool(jobs.pictures(job_id).keep, thumbnail_name(number), data)
    return Response(data, media_type="image/webp")


@router.get("/{job_id}/fields/{number}/channels/{channel}", summary="A channel of a field", responses=MISSING | PICTURE)
async def channel(
    request: Request, job_id: JobId, number: Number, channel: ChannelPath, full: Full = False
) -> Response:
    """Return one channel of a field as a grey picture."""
    state, jobs = get_parts(request)
    _, field = await find_field(jobs, job_id, number)
    return await answer_channel(state, view_field(jobs, field), channel, full)


@router.get(
    "/{job_id}/fields/{number}/evidence/{location}", summary="Evidence in a field", responses=MISSING | EVIDENCE
)
async def evidence(request: Request, job_id: JobId, number: Number, location: LocationPath) -> Response:
    """Return where in a field the evidence for a location is."""
    state, jobs = get_parts(request)
    _, field = await find_field(jobs, job_id, number)
    return await answer_evidence(state, view_field(jobs, field), location)


@router.get(
    "/{job_id}/fields/{number}/cells", response_model=CellsInfo, summary="The cells of a field", responses=MISSING
)
async def cells(request: Request, job_id: JobId, number: Number) -> Response:
    """Find and predict the cells of a field."""
    state, jobs = get_parts(request)
    _, field = await find_field(jobs, job_id, number)
    return await answer_cells(state, view_field(jobs, field), field.probability)


def get_parts(request: Request) -> tuple[AppState, JobService]:
    """Return the state of the application, and its jobs."""
    state = get_state(request)
    assert state.jobs is not None  # noqa: S101 - this router is only included where there are jobs
    return state, state.jobs


def to_info(field: JobField) -> FieldInfo:
    """Return what programs see of a field."""
    return FieldInfo(
        number=field.number, id=field.id, state=field.state, **field.position._asdict(), answer=field_answer(field),
        reason=field.reason, code=field.code,
    )  # fmt: skip
