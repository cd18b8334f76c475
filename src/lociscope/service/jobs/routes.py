"""The addresses of jobs: to send, follow, read and delete them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from lociscope.errors import LociscopeError
from lociscope.service.error_responses import wants_page
from lociscope.service.jobs.access import check_owner, find_job
from lociscope.service.jobs.events import MAX_STREAMS, stream_progress
from lociscope.service.jobs.field_routes import MISSING, FieldInfo, JobId, get_parts, to_info
from lociscope.service.jobs.pages import render_job, render_jobs, render_report
from lociscope.service.jobs.receive import receive_files
from lociscope.service.jobs.records import ASKING, Job, JobField, JobInfo
from lociscope.service.jobs.results import MEDIA, write_failures, write_results
from lociscope.service.jobs.service import JobService
from lociscope.service.security import get_owner
from lociscope.service.upload_schema import FIELD_TEXTS, UPLOAD_ERRORS, describe_upload
from lociscope.service.worker_pool import BusyError

WAIT_SECONDS = 3.0
"""Time for which a page waits for the prediction of its only field."""

router = APIRouter(prefix="/jobs")

UPLOAD = describe_upload(
    "Pictures, stacks, or zip archives of many fields; a name may have folders.",
    {"name": ("string", "What to call the job.")}
    | FIELD_TEXTS
    | {
        "pattern": ("string", "The form of the names: {plate}_{well}_{channel}"),
        "preset": ("string", "The naming scheme of a microscope."),
    },
)


@router.get("", response_model=list[JobInfo], summary="Your jobs", responses={503: MISSING[503]})
async def list_jobs(request: Request) -> Response:
    """List the jobs that were sent with your key, the newest first; without keys, those of this machine."""
    state, jobs = get_parts(request)
    owner = get_owner(request)
    shown: list[Job] = []
    if owner or state.settings.is_private:
        shown = await run_in_threadpool(jobs.store.list_jobs, owner or None)
    if wants_page(request):
        return HTMLResponse(await run_in_threadpool(render_jobs, request, shown))
    return JSONResponse([JobInfo.from_job(job).model_dump() for job in shown])


@router.post(
    "", response_model=JobInfo, status_code=202, responses=UPLOAD_ERRORS, openapi_extra=UPLOAD,
    summary="Send many fields",
)  # fmt: skip
async def send_job(request: Request) -> Response:
    """Send fields as a job, which is predicted in the background; `Location` is its address."""
    state, jobs = get_parts(request)
    if state.pool.stopping:
        raise BusyError("This service is stopping. Try again in a moment.", 5)
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise HTTPException(400, "Expected files as multipart/form-data. With curl: curl -F files=@fields.zip …")
    page = wants_page(request)
    with jobs.reserve_upload():
        await run_in_threadpool(jobs.check_room)
        identifier = await run_in_threadpool(jobs.begin)
        try:
            texts = _join_channels(await receive_files(request, jobs.files(identifier), state.settings.max_job_files))
            job = await run_in_threadpool(
                jobs.submit, identifier, texts, get_owner(request), may_ask=page or "ask" in texts
            )
        except BaseException:
            await run_in_threadpool(jobs.abandon, identifier)
            raise
    if state.runner is not None:
        state.runner.wake()
    if page:
        await _wait_for_one(jobs, job)
        return RedirectResponse(_first_page(job), 303)
    return JSONResponse(JobInfo.from_job(job).model_dump(), 202, {"location": f"jobs/{job.id}"})


@router.get("/{job_id}", response_model=JobInfo, summary="A job", responses=MISSING)
async def read_job(request: Request, job_id: JobId) -> Response:
    """Show a job: its progress, its fields, and what to download."""
    _, jobs = get_parts(request)
    job = await find_job(jobs, job_id)
    if wants_page(request):
        return HTMLResponse(await run_in_threadpool(render_job, request, jobs, job))
    return JSONResponse(JobInfo.from_job(job).model_dump())


@router.get("/{job_id}/events", summary="The progress of a job, live", responses=MISSING)
async def follow_job(request: Request, job_id: JobId) -> Response:
    """Return server-sent events: `progress` with the job as JSON whenever it changes, then `done`."""
    state, jobs = get_parts(request)
    await find_job(jobs, job_id)
    if jobs.streams >= MAX_STREAMS:
        raise BusyError(f"{MAX_STREAMS} pages follow jobs. Load the page again instead.", 10)
    headers = {"x-accel-buffering": "no"}

    async def counted() -> Any:  # noqa: ANN401 - an async generator
        jobs.streams += 1
        try:
            async for each in stream_progress(request, state, job_id):
                yield each
        finally:
            jobs.streams -= 1

    return StreamingResponse(counted(), media_type="text/event-stream", headers=headers)


@router.get("/{job_id}/fields", response_model=list[FieldInfo], summary="The fields of a job", responses=MISSING)
async def read_fields(
    request: Request,
    job_id: JobId,
    start: Annotated[int, Query(ge=0, le=10**6, description="The first field.")] = 0,
    limit: Annotated[int, Query(ge=1, le=500, description="Maximum number of fields.")] = 100,
) -> Response:
    """Return the fields of a job with their answers, in order."""
    _, jobs = get_parts(request)
    await find_job(jobs, job_id)
    fields = await run_in_threadpool(jobs.store.read_fields, job_id, range(start, start + limit))
    return JSONResponse([to_info(field).model_dump() for field in fields])


@router.post("/{job_id}/names", response_model=JobInfo, summary="Say how file names are read", responses=MISSING)
async def answer_job(request: Request, job_id: JobId) -> Response:
    """Answer a job that asks, with the same texts as for sending one; the files are not sent again."""
    state, jobs = get_parts(request)
    job = await find_job(jobs, job_id)
    check_owner(request, job)
    if job.state != ASKING:
        raise HTTPException(409, "This job does not ask. Send the files again to read their names in another way.")
    async with request.form(max_files=0, max_fields=32) as form:
        texts = _join_channels({name: value for name, value in form.multi_items() if isinstance(value, str)})
    try:
        job = await run_in_threadpool(jobs.answer, job, texts)
    except LociscopeError as error:
        if not wants_page(request):
            raise
        page = await run_in_threadpool(render_job, request, jobs, job, str(error), texts)
        return HTMLResponse(page, 422)
    if state.runner is not None:
        state.runner.wake()
    if wants_page(request):
        return RedirectResponse(_first_page(job, "../../"), 303)
    return JSONResponse(JobInfo.from_job(job).model_dump())


@router.post("/{job_id}/cancel", response_model=JobInfo, summary="Stop a job", responses=MISSING)
async def cancel_job(request: Request, job_id: JobId) -> Response:
    """Stop a job: its waiting fields are not predicted, its results are kept."""
    _, jobs = get_parts(request)
    check_owner(request, await find_job(jobs, job_id))
    await run_in_threadpool(jobs.store.cancel, job_id)
    if wants_page(request):
        return RedirectResponse(f"../{job_id}", 303)
    return JSONResponse(JobInfo.from_job(await find_job(jobs, job_id)).model_dump())


@router.delete("/{job_id}", status_code=204, summary="Delete a job", responses=MISSING)
async def delete_job(request: Request, job_id: JobId) -> Response:
    """Delete a job at once: its files, pictures and results."""
    _, jobs = get_parts(request)
    check_owner(request, await find_job(jobs, job_id))
    await run_in_threadpool(jobs.delete, job_id)
    return Response(status_code=204)


@router.post("/{job_id}/delete", include_in_schema=False)
async def delete_job_by_form(request: Request, job_id: JobId) -> Response:
    """Delete a job, for pages, whose forms only post."""
    await delete_job(request, job_id)
    return RedirectResponse("../../jobs", 303)


@router.get("/{job_id}/results.{form}", summary="The results of a job as a file", responses=MISSING)
async def download(
    request: Request, job_id: JobId, form: Annotated[str, Path(pattern="^(csv|parquet|h5ad)$")]
) -> Response:
    """Return the predicted fields as CSV, Parquet or AnnData."""
    return await _send_file(request, job_id, lambda fields: write_results(fields, form), f"results.{form}", MEDIA[form])


@router.get("/{job_id}/failures.csv", summary="The fields that could not be read", responses=MISSING)
async def download_failures(request: Request, job_id: JobId) -> Response:
    """Return the fields that could not be predicted, with the reasons."""
    return await _send_file(request, job_id, write_failures, "failures.csv", MEDIA["csv"])


@router.get("/{job_id}/report.html", summary="The report of a job", response_class=HTMLResponse, responses=MISSING)
async def report(request: Request, job_id: JobId) -> Response:
    """Return a page of the results that needs no other file."""
    _, jobs = get_parts(request)
    job = await find_job(jobs, job_id)
    page = await run_in_threadpool(render_report, request, jobs, job)
    return HTMLResponse(page, headers={"content-disposition": 'attachment; filename="report.html"'})


async def _send_file(
    request: Request, job_id: str, make: Callable[[list[JobField]], bytes], name: str, media: str
) -> Response:
    state, jobs = get_parts(request)
    await find_job(jobs, job_id)
    fields = await run_in_threadpool(jobs.store.read_fields, job_id)
    with state.views.reserve():
        try:
            data = await state.views.run(make, fields)
        except LociscopeError as error:
            raise HTTPException(409, str(error)) from error
    return Response(data, media_type=media, headers={"content-disposition": f'attachment; filename="{name}"'})


def _first_page(job: Job, up: str = "") -> str:
    """Return the page to show first: that of the only field, or that of the job."""
    return f"{up}jobs/{job.id}/fields/0" if job.counts.total == 1 and not job.counts.failed else f"{up}jobs/{job.id}"


async def _wait_for_one(jobs: JobService, job: Job) -> None:
    """Wait a moment for a job of one field, so that its page has the answer when it is first shown."""
    ends = asyncio.get_running_loop().time() + WAIT_SECONDS
    while job.counts.total == 1 and not job.is_finished and asyncio.get_running_loop().time() < ends:
        await asyncio.sleep(0.05)
        job = await find_job(jobs, job.id)


def _join_channels(texts: dict[str, str]) -> dict[str, str]:
    """Join the four texts of the page that name one channel each."""
    given = {name: texts.pop(f"channel_{name}", "").strip() for name in ("red", "green", "blue", "yellow")}
    named = [f"{name}={value.replace(',', chr(92) + ',')}" for name, value in given.items() if value]
    return texts | ({"channels": ",".join(named)} if named else {})
