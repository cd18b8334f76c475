"""Create the application of the live page, with the design, the checks and the static files of the service."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from lociscope.prediction_log.writer import LogWriter
from lociscope.service.app import STATIC, add_error_handlers
from lociscope.service.metrics import Metrics
from lociscope.service.microscope.routes import router
from lociscope.service.model_holder import create_model_holder
from lociscope.service.security import Guard
from lociscope.service.state import AppState
from lociscope.service.worker_pool import WorkerPool

if TYPE_CHECKING:
    from lociscope.microscope.board import Board
    from lociscope.service.settings import Settings

MAX_PICTURES = 32
"""Maximum number of pictures that are rendered or wait at once."""


def create_microscope_app(settings: Settings, board: Board) -> FastAPI:
    """Return the application.

    Args:
        settings: The address, the key and the bundle.
        board: The run that it shows.

    Raises:
        LociscopeError: The settings contradict each other, or the bundle cannot be opened.
    """
    settings = settings.check()
    model = create_model_holder(settings.bundle, None, settings.workers)
    pool, views = WorkerPool(1, MAX_PICTURES), WorkerPool(1, MAX_PICTURES)
    metrics = Metrics(pool)
    app = FastAPI(title="lociscope microscope", version=version("lociscope"), docs_url=None, redoc_url=None)
    app.state.service = AppState(
        settings, model, pool, views, metrics, None, LogWriter(None, "microscope"), board=board
    )
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(Guard, settings=settings, metrics=metrics, pool=pool, keys=None)
    add_error_handlers(app)
    return app
