"""Create the application from settings, so that tests and other servers can create their own."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from lociscope.artifacts.predictions import Predictions
from lociscope.errors import Code, LociscopeError
from lociscope.images.field import Field
from lociscope.predict.predictor import PreparedField
from lociscope.prediction_log.log import open_log
from lociscope.prediction_log.writer import HURRY_SECONDS, LogWriter
from lociscope.review.store import open_review
from lociscope.service.candidate import create_candidate
from lociscope.service.candidate_routes import router as candidate_router
from lociscope.service.drift_watch import create_drift_watch
from lociscope.service.error_responses import choose_status, error_response
from lociscope.service.inference import router as inference_router
from lociscope.service.jobs.database import open_database
from lociscope.service.jobs.field_routes import router as fields_router
from lociscope.service.jobs.routes import router as jobs_router
from lociscope.service.jobs.runner import JobRunner
from lociscope.service.jobs.service import JobService
from lociscope.service.jobs.store import JobStore
from lociscope.service.keys import KeyStore
from lociscope.service.metrics import Metrics
from lociscope.service.model_holder import create_model_holder, share_cores
from lociscope.service.review_routes import correct_router
from lociscope.service.review_routes import router as review_router
from lociscope.service.routes import router
from lociscope.service.security import Guard
from lociscope.service.settings import Settings
from lociscope.service.state import AppState
from lociscope.service.temporary_folder import describe_storage_error
from lociscope.service.view_routes import router as views_router
from lociscope.service.worker_pool import BusyError, WorkerPool

STATIC = Path(__file__).parent / "static"

MAX_VIEWS = 64
"""Maximum number of pictures, evidence maps and tables of cells that are rendered or wait at once."""

logger = logging.getLogger(__name__)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application.

    Args:
        settings: The model and the limits; None serves the shipped bundle to this machine.

    Returns:
        An ASGI application. Its threads end with its lifespan.

    Raises:
        LociscopeError: The settings contradict each other, or the bundle, the registry or the log cannot be opened.
    """
    settings = (settings or Settings()).check(has_keys=settings is not None and settings.database_url is not None)
    with ExitStack() as opened:
        database = None
        if settings.database_url is not None:
            database = open_database(settings.database_url)
            opened.callback(database.close)
        keys = None if database is None else KeyStore(database)
        settings.check(has_keys=keys is not None and keys.is_required())
        model = create_model_holder(settings.bundle, settings.registry, settings.workers)
        log = None if settings.log is None else open_log(settings.log)
        if log is not None:
            opened.callback(log.close)
        review = None if settings.review is None else open_review(settings.review, create=True)
        opened.pop_all()
    pool, views = WorkerPool(settings.workers, settings.max_in_flight), WorkerPool(1, MAX_VIEWS)
    metrics = Metrics(pool)
    log_writer = LogWriter(log, "serve", on_lost=metrics.count_unlogged)
    app = FastAPI(
        title="lociscope", version=version("lociscope"), docs_url=None, redoc_url=None, lifespan=_lifespan,
        redirect_slashes=False, root_path_in_servers=False,
        servers=[{"url": settings.root_path or "."}],  # without one, relative to the description itself
        description="Predicts where in the cell a protein is, from four-channel fluorescence fields.",
    )  # fmt: skip
    candidate = None
    if settings.candidate is not None and settings.registry is not None:
        threads, share = share_cores(settings.workers), settings.candidate
        candidate = create_candidate(settings.registry, model, share, threads, metrics.count_comparison)
    drift = None
    if settings.monitor is not None:
        drift = create_drift_watch(settings, settings.monitor, metrics.count_window, metrics.count_alarm)
        drift.read_reference(model.predictor.bundle.sha256)  # reports now that there is none
    state = AppState(
        settings, model, pool, views, metrics, log, log_writer, review=review, candidate=candidate, drift=drift
    )
    if database is not None and settings.store is not None:
        state = _add_jobs(state, JobService(JobStore(database), settings))
    app.state.service = state
    app.state.database = database
    app.include_router(router)
    app.include_router(views_router)
    app.include_router(inference_router)
    if state.candidate is not None:
        app.include_router(candidate_router)
    if state.jobs is not None:
        app.include_router(jobs_router)
        app.include_router(fields_router)
    if state.review is not None:
        app.include_router(review_router)
        if state.jobs is not None:
            app.include_router(correct_router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(Guard, settings=settings, metrics=metrics, pool=pool, keys=keys)
    add_error_handlers(app)
    return app


def add_error_handlers(app: FastAPI) -> None:
    """Answer errors with a page or with JSON."""
    app.add_exception_handler(LociscopeError, _answer_lociscope_error)
    app.add_exception_handler(BusyError, _answer_busy)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(MemoryError, _answer_memory_error)
    app.add_exception_handler(OSError, _answer_storage_error)


def _add_jobs(state: AppState, jobs: JobService) -> AppState:
    """Return the state of an application that also predicts jobs."""

    def report(field: Field, predictions: Predictions, prepared: PreparedField, bundle: str) -> None:
        state.metrics.count_predictions(predictions)
        state.record(predictions, prepared, bundle)
        if state.candidate is not None:
            state.candidate.offer(field, predictions, bundle)

    runner = JobRunner(jobs, state.model, state.pool, state.settings.job_workers, report)
    state.metrics.watch_jobs(jobs.store, runner, state.settings.max_stored_bytes)
    return replace(state, jobs=jobs, runner=runner)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state: AppState = app.state.service
    if state.settings.registry is not None:
        state.model.start()
    for watch in (state.candidate, state.drift):
        if watch is not None:
            watch.start()
    if state.runner is not None:
        state.runner.start()
    yield
    state.pool.close()
    state.views.close()
    if state.runner is not None:
        state.runner.stop()
    for watch in (state.candidate, state.drift):
        if watch is not None:
            watch.stop()
    state.model.stop()
    state.log_writer.close(HURRY_SECONDS)
    if state.log_writer.unlogged:
        logger.warning("%d predictions are not in the log; %s", state.log_writer.unlogged, state.log_writer.trouble)
    if state.log is not None:
        state.log.close()
    if state.review is not None:
        state.review.close()
    if app.state.database is not None:
        app.state.database.close()


async def _answer_lociscope_error(request: Request, error: Exception) -> Response:
    code = error.code if isinstance(error, LociscopeError) else None
    status = choose_status(request.method, code)
    if code is Code.LOG:
        logger.error("%s was not answered: %s", request.url.path, error)
        text = "The database of this service cannot be used now. Try again in a moment."
        return error_response(request, 503, text, {"retry-after": "10"})
    if status == 500:
        logger.error("%s was not answered: %s", request.url.path, error)
    return error_response(request, status, str(error), code=code)


async def _answer_busy(request: Request, error: Exception) -> Response:
    seconds = error.retry_after if isinstance(error, BusyError) else 1
    return error_response(request, 503, str(error), {"retry-after": str(seconds)})


async def _answer_invalid(request: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    places = ", ".join(f"'{each['loc'][-1]}': {each['msg']}" for each in found[:3])
    return error_response(request, 422, f"A part of the address is not valid ({places}).")


async def _answer_http_error(request: Request, error: Exception) -> Response:
    status, detail = (error.status_code, str(error.detail)) if isinstance(error, HTTPException) else (500, "")
    message = _MESSAGES.get(status, detail) if detail in ("Not Found", "Method Not Allowed") else detail
    return error_response(request, status, message, getattr(error, "headers", None))


async def _answer_memory_error(request: Request, error: Exception) -> Response:
    return error_response(request, 413, "This field does not fit into the memory of this machine. Send a smaller one.")


async def _answer_storage_error(request: Request, error: Exception) -> Response:
    refused = describe_storage_error(error) if request.method == "POST" and isinstance(error, OSError) else None
    if refused is None:
        raise error
    logger.error("an upload was not stored: %s", error)
    return error_response(request, *refused, {"retry-after": "10"})


_MESSAGES = {
    404: "This page does not exist. The page 'Interface' (/docs) lists all of them.",
    405: "This address does not accept this method. The page 'Interface' (/docs) lists the methods.",
}
