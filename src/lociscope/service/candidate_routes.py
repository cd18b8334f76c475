"""The page of the candidate: where it and the version in production disagree."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from lociscope.service.candidate import CandidateReport, summarize_report
from lociscope.service.error_responses import wants_page
from lociscope.service.page import render
from lociscope.service.state import get_state

router = APIRouter()


@router.get("/candidate.json", response_model=CandidateReport, include_in_schema=False)
@router.get("/candidate", response_model=CandidateReport, summary="The candidate compared with production")
async def show_candidate(request: Request) -> Response:
    """Show how often the candidate and the version in production report the same locations, and where they do not."""
    candidate = get_state(request).candidate
    if candidate is None:
        raise HTTPException(404, "This service takes no candidate.")
    report = candidate.report()
    if wants_page(request):
        page = await run_in_threadpool(render, "candidate.html", request, **summarize_report(report))
        return HTMLResponse(page)
    return JSONResponse(report.model_dump())
