"""Find jobs and their fields for a request, and refuse what it may not do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from lociscope.images.discovery.source_json import source_from_json
from lociscope.service.answer import Answer, ModelFacts, make_answer
from lociscope.service.jobs.records import DELETED, EXPIRED, FAILED, Job, JobField, format_time, to_predictions
from lociscope.service.security import get_owner
from lociscope.service.views import Viewed

if TYPE_CHECKING:
    from starlette.requests import Request

    from lociscope.service.jobs.service import JobService


async def find_job(jobs: JobService, identifier: str) -> Job:
    """Return a job.

    Raises:
        HTTPException: 404, there is none; 410, it has expired or was deleted.
    """
    job = await run_in_threadpool(jobs.store.get, identifier)
    if job is None:
        raise HTTPException(404, "There is no such job. Its link may be incomplete.")
    if job.state in (EXPIRED, DELETED):
        when = format_time(job.expires)[:10]
        how = f"expired on {when}" if job.state == EXPIRED else "was deleted"
        raise HTTPException(410, f"This job {how}: its files and results are gone. Send the files again.")
    return job


async def find_field(jobs: JobService, identifier: str, number: int) -> tuple[Job, JobField]:
    """Return a field of a job, with the job.

    Raises:
        HTTPException: 404 or 410, as `find_job`; 404 for a number that the job does not have.
    """
    job = await find_job(jobs, identifier)
    found = await run_in_threadpool(jobs.store.read_fields, identifier, [number])
    if not found:
        raise HTTPException(404, f"This job has no field {number}: it has {job.counts.total} fields, from 0.")
    return job, found[0]


def check_owner(request: Request, job: Job) -> None:
    """Refuse to change a job that was sent with another key.

    Raises:
        HTTPException: 403.
    """
    if job.owner != get_owner(request):
        raise HTTPException(403, "This job was sent with another key, and only that may change or delete it.")


def field_answer(field: JobField) -> Answer | None:
    """Return the answer for a field; None before it is predicted."""
    if field.probability is None:
        return None
    return make_answer(to_predictions([field]), ModelFacts.model_validate_json(field.model))


def view_field(jobs: JobService, field: JobField) -> Viewed:
    """Return what pictures of a field are made of.

    Raises:
        HTTPException: 404, the field cannot be read.
    """
    if field.state == FAILED:
        raise HTTPException(404, f"There is no picture of this field. {field.reason}")
    source = source_from_json(field.source, jobs.files(field.job))
    return Viewed(source, jobs.pictures(field.job), str(field.number))
