"""The state of one application, which its routes share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request

    from lociscope.artifacts.predictions import Predictions
    from lociscope.microscope.board import Board
    from lociscope.predict.predictor import PreparedField
    from lociscope.prediction_log.log import PredictionLog
    from lociscope.prediction_log.writer import LogWriter
    from lociscope.review.store import ReviewStore
    from lociscope.service.candidate import Candidate
    from lociscope.service.drift_watch import DriftWatch
    from lociscope.service.jobs.runner import JobRunner
    from lociscope.service.jobs.service import JobService
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
        views: The thread that renders pictures, evidence and cells for pages, with its own limit.
        metrics: The counters for Prometheus.
        log: The prediction log; None where none is kept.
        log_writer: Writes to the log.
        jobs: The jobs; None for a service that keeps nothing.
        runner: Predicts them; None where there are none.
        review: The review; None where there is none.
        candidate: The candidate, which is compared with `model`; None for a service that takes none.
        drift: Compares the predicted fields with a reference; None for a service that does not.
        board: The run of a microscope that the application shows instead of accepting fields; None for a service.
    """

    settings: Settings
    model: ModelHolder
    pool: WorkerPool
    views: WorkerPool
    metrics: Metrics
    log: PredictionLog | None
    log_writer: LogWriter
    jobs: JobService | None = None
    runner: JobRunner | None = None
    review: ReviewStore | None = None
    candidate: Candidate | None = None
    drift: DriftWatch | None = None
    board: Board | None = None

    @property
    def records(self) -> bool:
        """Return whether predicted fields are logged, or compared with a reference."""
        return self.log is not None or self.drift is not None

    def record(self, predictions: Predictions, prepared: PreparedField, bundle: str) -> None:
        """Pass a predicted field on to the log, and to the comparison with the reference, if there are any.

        Waits for neither, but computes the field's statistics: call it from the thread that predicted.

        Args:
            predictions: Its predictions.
            prepared: The field.
            bundle: The sha256 of the bundle that predicted.
        """
        if not self.records:
            return
        statistics = prepared.statistics[None]
        self.log_writer.add(predictions, statistics, bundle=bundle)
        if self.drift is not None:
            self.drift.add(predictions, statistics, bundle=bundle)


def get_state(request: Request) -> AppState:
    """Return the state of the application that serves a request."""
    state: AppState = request.app.state.service
    return state
