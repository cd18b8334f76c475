"""The pages of jobs: the list, one job with its gallery and plates, one field, and the report."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lociscope.images.discovery.patterns import PRESETS
from lociscope.labels import COMPARTMENTS, LABELS
from lociscope.predict.similar import find_similar
from lociscope.service.answer import describe_answer
from lociscope.service.jobs.access import field_answer
from lociscope.service.jobs.pictures import thumbnail_name
from lociscope.service.jobs.plate import make_plates
from lociscope.service.jobs.records import ASKING, DONE, FAILED, Job, JobField, to_predictions
from lociscope.service.jobs.results import has_anndata
from lociscope.service.page import relative_root, render
from lociscope.service.picture import link_picture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from lociscope.service.jobs.service import JobService

PER_PAGE = 60
SIMILAR = 6
REPORT_PICTURES = 60
"""Pictures of a report at most; the table has all fields."""

SORTS = {
    "number": "in their order",
    "id": "by name",
    "certain": "most certain first",
    "unsure": "least certain first",
    "warned": "warnings first",
    "location": "by the location below",
}
_UNUSUAL = {"unlike-training": 0, "unsure": 1, "negative": 2, "ok": 3}


class Tile(NamedTuple):
    """A field in the gallery: its name, what is predicted, how sure that is, and what is noteworthy."""

    number: int
    id: str
    state: str
    names: list[str]
    probability: float
    status: str
    warnings: int
    reason: str
    shown: float
    place: str


def render_jobs(request: Request, jobs: Sequence[Job]) -> str:
    """Return the list of jobs."""
    return render("jobs.html", request, jobs=jobs, date=_format_date)


def render_job(
    request: Request, jobs: JobService, job: Job, error: str = "", texts: Mapping[str, str] | None = None
) -> str:
    """Return the page of a job; of one that asks, the form.

    Args:
        request: The request, whose query sorts the gallery.
        jobs: The jobs.
        job: The job.
        error: Why the last answer to its question did not help; empty for none.
        texts: That answer.
    """
    common: dict[str, Any] = {"job": job, "date": _format_date}
    if job.state == ASKING:
        names = jobs.list_names(job.id)
        return render("ask.html", request, **common, names=names, error=error, texts=texts or {}, presets=PRESETS)
    fields = jobs.store.read_fields(job.id)
    query = request.query_params
    location = _parse_location(query.get("location", ""), fields)
    sort = query.get("sort", "number") if query.get("sort") in SORTS else "number"
    ordered = _sort(fields, sort, location)
    pages = max(1, -(-len(ordered) // PER_PAGE))
    page = min(max(1, int(query["page"][:9]) if query.get("page", "").isdecimal() else 1), pages)
    return render(
        "job.html", request, **common, sort=sort, sorts=SORTS, location=location, labels=LABELS, page=page, pages=pages,
        tiles=[_to_tile(field, location) for field in ordered[PER_PAGE * (page - 1) : PER_PAGE * page]],
        plates=make_plates(fields, location), summary=_summarize(fields), anndata=has_anndata(),
        failures=[field for field in fields if field.state == FAILED][:20],
    )  # fmt: skip


def render_field(request: Request, jobs: JobService, job: Job, field: JobField) -> str:
    """Return the page of a field; before it is predicted, one that loads itself again."""
    answer = field_answer(field)
    if answer is None:
        return render("waiting.html", request, job=job, field=field)
    base = f"{relative_root(request)}jobs/{job.id}/fields/{field.number}"
    fields = jobs.store.read_fields(job.id)
    values = describe_answer(answer) | {
        "picture": link_picture(base, *field.size, field.pixel_size),
        "example": None,
        "job": job,
        "field": field,
        "date": _format_date,
        "similar": [_to_tile(each, 0) for each in _find_similar(field, fields)],
    }
    return render("result.html", request, **values)


def render_report(request: Request, jobs: JobService, job: Job) -> str:
    """Return a page of the results of a job that needs no other file, with the first pictures."""
    fields = jobs.store.read_fields(job.id)
    done = [field for field in fields if field.state == DONE]
    pictures = {}
    for field in done[:REPORT_PICTURES]:
        data = jobs.pictures(job.id).read(thumbnail_name(field.number))
        if data is not None:
            pictures[field.number] = "data:image/webp;base64," + base64.b64encode(data).decode()
    location = _parse_location("", fields)
    return render(
        "report.html", request, job=job, date=_format_date, summary=_summarize(fields), labels=LABELS,
        rows=[(field, field_answer(field)) for field in done], failures=[f for f in fields if f.state == FAILED],
        pictures=pictures, plates=make_plates(fields, location), location=location,
    )  # fmt: skip


def _find_similar(field: JobField, fields: Sequence[JobField]) -> list[JobField]:
    """Return the most similar fields of the same job, by the embeddings of the model."""
    others = [
        each for each in fields
        if each.number != field.number and each.embedding is not None and each.bundle == field.bundle
    ]  # fmt: skip
    if field.embedding is None or not others:
        return []
    among = to_predictions(others)
    if among.embedding is None:
        return []
    by_id = dict(zip(among.ids, others, strict=True))
    return [by_id[each.id] for each in find_similar(field.embedding, among, SIMILAR)]


def _summarize(fields: Sequence[JobField]) -> list[tuple[str, str, int, float]]:
    """Return compartment, location, number and share of fields of each predicted location, the most frequent first."""
    done = [field for field in fields if field.state == DONE]
    counts = np.bincount([k for field in done for k in field.predicted], minlength=len(LABELS))
    order = np.argsort(-counts, kind="stable")
    return [
        (_compartment(int(k)), LABELS[k], int(counts[k]), float(counts[k] / max(1, len(done))))
        for k in order
        if counts[k]
    ]


def _compartment(number: int) -> str:
    compartment = COMPARTMENTS.mapping[number]
    return "" if compartment is None else COMPARTMENTS.classes[compartment]


def _sort(fields: Sequence[JobField], sort: str, location: int) -> list[JobField]:
    def certainty(field: JobField) -> float:
        return -1.0 if field.probability is None else float(field.probability.max())

    keys: dict[str, Any] = {
        "number": lambda field: field.number,
        "id": lambda field: (field.id, field.number),
        "certain": lambda field: (-certainty(field), field.number),
        "unsure": lambda field: (field.probability is None, certainty(field), field.number),
        "warned": lambda field: (
            field.state != FAILED, _UNUSUAL.get(field.status, 4), -len(field.warnings), field.number
        ),
        "location": lambda field: (
            0.0 if field.probability is None else -float(field.probability[location]), field.number
        ),
    }  # fmt: skip
    return sorted(fields, key=keys[sort])


def _to_tile(field: JobField, location: int) -> Tile:
    probability = field.probability
    order = sorted(field.predicted, key=lambda k: 0.0 if probability is None else -float(probability[k]))
    return Tile(
        field.number, field.id, field.state, [LABELS[k] for k in order],
        0.0 if probability is None else float(probability.max()), field.status, len(field.warnings), field.reason,
        0.0 if probability is None else float(probability[location]),
        " ".join(filter(None, (field.position.plate, field.position.well, field.position.site))),
    )  # fmt: skip


def _parse_location(text: str, fields: Sequence[JobField]) -> int:
    """Return the class number of a query, or else the most frequent location."""
    if text.isdecimal() and len(text) < 3 and int(text) < len(LABELS):
        return int(text)
    return LABELS.index(summary[0][1]) if (summary := _summarize(fields)) else 0


def _format_date(seconds: float) -> str:
    """Return a time for readers, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %B %Y, %H:%M UTC").lstrip("0")
