"""Review in the service: one field at a time, the model's answer hidden until the reviewer has answered."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.discovery.field_source import FieldSource
from lociscope.images.io.read import read_field
from lociscope.labels import COMPARTMENTS, LABELS
from lociscope.review.records import Answer, Item, Reason, Verdict
from lociscope.review.store import MAX_NAME, MAX_NOTE, ReviewStore, check_reviewer
from lociscope.service.error_responses import wants_page
from lociscope.service.forms import read_form
from lociscope.service.jobs.access import find_field, view_field
from lociscope.service.jobs.field_routes import JobId, get_parts
from lociscope.service.jobs.field_routes import Number as FieldNumber
from lociscope.service.page import relative_root, render
from lociscope.service.picture import link_picture
from lociscope.service.state import get_state
from lociscope.service.view_routes import PICTURE, ChannelPath, Full, answer_channel
from lociscope.service.views import Viewed

if TYPE_CHECKING:
    from starlette.datastructures import FormData

KEYS = "acdefhijklmnopqstuvwxz123456"
"""The key of each location on the page; r, g, b and y switch channels, 0 shows the whole field."""

MAX_SHOWN = 8
"""Probabilities that the page shows after the answer."""

router = APIRouter(prefix="/review")
correct_router = APIRouter(prefix="/jobs")

ItemNumber = Annotated[int, Path(description="The number of the field in the review, from 1.", ge=1, le=10**9)]
Reviewer = Annotated[str, Query(description="Who reviews.", max_length=4 * MAX_NAME)]
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"description": "The review has no such field."}}


class ReviewItem(BaseModel):
    """A field to review; what the model says follows after the answer."""

    model_config = ConfigDict(frozen=True)

    number: int
    id: str
    reason: str = Field(description="Why it is in the queue.")


class ReviewedItem(ReviewItem):
    """A field, a reviewer's answer, and the model's."""

    reviewer: str
    verdict: str
    labels: list[int]
    note: str
    predicted: list[int] = Field(description="Class numbers that the model predicted.")
    probability: list[float | None]


@router.get("", response_model=ReviewItem, summary="The next field to review", responses=_NOT_FOUND)
async def next_field(request: Request, reviewer: Reviewer = "") -> Response:
    """Lead a reviewer to the next field; without a name, ask for it."""
    store = _get_store(request)
    if not reviewer.strip():
        if wants_page(request):
            return HTMLResponse(render("review_start.html", request, max_name=MAX_NAME))
        raise HTTPException(422, "The name of the reviewer is missing. Add ?reviewer=NAME.")
    name = _check_name(reviewer)
    item = await run_in_threadpool(store.next_item, name, get_state(request).settings.reviewers)
    if wants_page(request):
        if item is not None:
            return RedirectResponse(f"{relative_root(request)}review/{item.number}?reviewer={quote(name)}", 303)
        done, total = await run_in_threadpool(store.count, name)
        return HTMLResponse(render("review_done.html", request, reviewer=name, done=done, total=total))
    if item is None:
        raise HTTPException(404, "There is no further field for this reviewer.")
    return JSONResponse(_to_json(item))


@router.get("/{number}", response_model=ReviewItem, summary="A field to review", responses=_NOT_FOUND)
async def show_field(request: Request, number: ItemNumber, reviewer: Reviewer = "") -> Response:
    """Show a field and all locations to choose from, without what the model says."""
    store = _get_store(request)
    item = await _find_item(store, number)
    if not wants_page(request):
        return JSONResponse(_to_json(item))
    return HTMLResponse(await run_in_threadpool(_render_field, request, store, item, _check_name(reviewer)))


@router.post("/{number}", response_model=ReviewedItem, summary="Answer", responses=_NOT_FOUND)
async def answer_field(request: Request, number: ItemNumber) -> Response:
    """Keep an answer: `reviewer`, `location` (any number of class numbers), `verdict`, `note`."""
    store = _get_store(request)
    item = await _find_item(store, number)
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise HTTPException(400, "Expected multipart/form-data. With curl: curl -F reviewer=ann -F location=0 …")
    async with read_form(request, 0, len(LABELS) + 4, 4 * MAX_NOTE) as form:
        answer = _parse_answer(form, item)
    await run_in_threadpool(store.answer, answer)
    if wants_page(request):
        target = f"{relative_root(request)}review/{number}/answered?reviewer={quote(answer.reviewer)}"
        return RedirectResponse(target, 303)
    return JSONResponse(_to_json(item, answer))


@router.get(
    "/{number}/answered", response_model=ReviewedItem, summary="An answer beside the model's", responses=_NOT_FOUND
)
async def show_answer(request: Request, number: ItemNumber, reviewer: Reviewer = "") -> Response:
    """Show what a reviewer answered, and what the model says."""
    store = _get_store(request)
    item = await _find_item(store, number)
    answer = await run_in_threadpool(store.find_answer, number, _check_name(reviewer))
    if answer is None:
        raise HTTPException(403, "The model's answer is shown once you have answered.")
    if not wants_page(request):
        return JSONResponse(_to_json(item, answer))
    return HTMLResponse(await run_in_threadpool(_render_field, request, store, item, answer.reviewer, answer))


@router.get("/{number}/channels/{channel}", summary="A channel of a field", responses=_NOT_FOUND | PICTURE)
async def show_channel(request: Request, number: ItemNumber, channel: ChannelPath, full: Full = False) -> Response:
    """Return one channel of a field as a grey picture."""
    item = await _find_item(_get_store(request), number)
    return await answer_channel(get_state(request), Viewed(item.source, None, str(number)), channel, full)


@correct_router.post("/{job_id}/fields/{number}/correct", summary="Correct a prediction")
async def correct_field(request: Request, job_id: JobId, number: FieldNumber) -> Response:
    """Add a field of a job to the review, with a copy of its files, and lead to its page."""
    state, jobs = get_parts(request)
    store = _get_store(request)
    _, field = await find_field(jobs, job_id, number)
    viewed = view_field(jobs, field)
    if field.probability is None:
        raise HTTPException(409, "This field is not predicted yet.")
    identifier = f"{field.id}.{job_id[:8]}.{number}"
    bundle = field.bundle or ""
    item = await run_in_threadpool(store.find, identifier, bundle)
    if item is None:
        assert state.settings.store is not None  # noqa: S101 - jobs need a store
        folder = state.settings.store / "review" / job_id / str(number)
        source = await run_in_threadpool(copy_source, viewed.source, folder)
        new = Item(0, identifier, source, bundle, field.predicted, field.probability, Reason.CORRECTED, 0, job_id)
        await run_in_threadpool(store.add, [new])
        item = await run_in_threadpool(store.find, identifier, bundle)
    assert item is not None  # noqa: S101 - it was added
    if wants_page(request):
        return RedirectResponse(f"{relative_root(request)}review/{item.number}", 303)
    return JSONResponse(_to_json(item), 201)


def copy_source(source: FieldSource, folder: FilePath) -> FieldSource:
    """Copy the files of a field, which its job will delete, and return the field with the copies."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    copies: dict[FilePath, FilePath] = {}
    for number, file in enumerate(dict.fromkeys(ref.file for ref in source.refs)):
        copies[file] = folder / f"{number}_{file.name}"
        shutil.copy2(file, copies[file])
    planes = tuple(None if ref is None else ref._replace(file=copies[ref.file]) for ref in source.planes)
    loose = tuple(ref._replace(file=copies[ref.file]) for ref in source.loose)
    return FieldSource(source.id, planes, source.pixel_size, source.plane, source.allow_missing, loose, source.about)


def _get_store(request: Request) -> ReviewStore:
    store = get_state(request).review
    assert store is not None  # noqa: S101 - these routes are only included where there is a review
    return store


async def _find_item(store: ReviewStore, number: int) -> Item:
    try:
        return await run_in_threadpool(store.item, number)
    except LociscopeError as error:
        if error.code != Code.NOT_FOUND:
            raise
        raise HTTPException(404, str(error)) from error


def _check_name(reviewer: str) -> str:
    try:
        return check_reviewer(reviewer) if reviewer.strip() else ""
    except UsageError as error:
        raise HTTPException(422, str(error)) from error


def _parse_answer(form: FormData, item: Item) -> Answer:
    texts = [str(value) for value in form.getlist("location")]
    verdict = str(form.get("verdict", Verdict.LABELLED))
    wrong = [text for text in texts if not (text.isdecimal() and len(text) < 3 and int(text) < len(LABELS))]
    if wrong or verdict not in [*Verdict]:
        raise UsageError(
            f"`location={wrong[0][:20] if wrong else ''}`, `verdict={verdict[:20]}`: expected class numbers 0–27, and "
            "labelled or cannot-tell.",
            code=Code.INVALID_LABELS,
        )
    labels = tuple(sorted({int(text) for text in texts})) if verdict == Verdict.LABELLED else ()
    if verdict == Verdict.LABELLED and not labels and "none" not in form:
        raise UsageError(
            "No location is marked. Mark one, or send `none` for a field without a location, or `verdict=cannot-tell`.",
            code=Code.INVALID_VALUE,
        )
    note = str(form.get("note", "")).strip()
    return Answer(
        item.number,
        check_reviewer(str(form.get("reviewer", ""))),
        Verdict(verdict),
        labels,
        note,
        item.reason == Reason.CORRECTED,
        datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _render_field(request: Request, store: ReviewStore, item: Item, reviewer: str, answer: Answer | None = None) -> str:
    try:
        field = read_field(item.source)
    except LociscopeError:
        size, pixel_size, readable = (1, 1), None, False
    else:
        size, pixel_size, readable = (field.pixels.shape[1], field.pixels.shape[0]), field.pixel_size, True
    base = f"{relative_root(request)}review/{item.number}"
    done, total = store.count(reviewer) if reviewer else (0, 0)
    probability = np.nan_to_num(item.probability)
    shown = [
        number for number in np.argsort(-probability, kind="stable").tolist()[:MAX_SHOWN] if probability[number] > 0
    ]
    return render(
        "review.html", request, item=item, reviewer=reviewer, mine=answer, before=None if answer else
        (store.find_answer(item.number, reviewer) if reviewer else None), readable=readable, done=done, total=total,
        picture=link_picture(base, *size, pixel_size)._replace(base=base), bars=[],
        answer={"id": item.id}, groups=_group_locations(), labels=LABELS, max_note=MAX_NOTE, max_name=MAX_NAME,
        probabilities=[(number, LABELS[number], float(probability[number])) for number in shown],
        corrected=item.reason == Reason.CORRECTED,
    )  # fmt: skip


def _group_locations() -> list[tuple[str, list[tuple[int, str, str]]]]:
    """Return compartments with the number, name and key of each of their locations."""
    groups: dict[str, list[tuple[int, str, str]]] = {}
    for number, name in enumerate(LABELS):
        compartment = COMPARTMENTS.mapping[number]
        title = "Other" if compartment is None else COMPARTMENTS.classes[compartment]
        groups.setdefault(title, []).append((number, name, KEYS[number]))
    return list(groups.items())


def _to_json(item: Item, answer: Answer | None = None) -> dict[str, Any]:
    shown = {"number": item.number, "id": item.id, "reason": str(item.reason)}
    if answer is None:
        return shown
    return shown | {
        "reviewer": answer.reviewer,
        "verdict": str(answer.verdict),
        "labels": list(answer.labels),
        "note": answer.note,
        "predicted": list(item.predicted),
        "probability": [None if np.isnan(each) else round(float(each), 4) for each in item.probability],
    }
