"""The state of one application, which its routes share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request

    from lociscope.prediction_log.log import PredictionLog
    from lociscope.prediction_log.writer import LogWriter
    from lociscope.service.metrics import Metrics
    from lociscope.service.model_holder import ModelHolder
    from lociscope.service.settings import Settings
    from lociscope.service.worker_pool import WorkerPool


@dataclass(frozen=True, slots=True)
class AppState:
    """What the routes of one application share.

    Attributes:
        settings: The settings of the service.
        model: The predictor in use, which a promotion replaces.
        pool: The threads that predict, and the number of predictions in flight.
        metrics: The counters for Prometheus.
        log: The prediction log; None where none is kept.
        log_writer: Writes to the log.
    """

    settings: Settings
    model: ModelHolder
    pool: WorkerPool
    metrics: Metrics
    log: PredictionLog | None
    log_writer: LogWriter


def get_state(request: Request) -> AppState:
    """Return the state of the application that serves a request."""
    state: AppState = request.app.state.service
    return state
