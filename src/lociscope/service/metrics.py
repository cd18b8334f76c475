"""Metrics for Prometheus: requests, their duration, predictions, and what is in flight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from lociscope.labels import LABELS
from lociscope.prediction_log.log_errors import LogError
from lociscope.service.drift_metrics import DriftMetrics

if TYPE_CHECKING:
    from starlette.types import Scope

    from lociscope.artifacts.predictions import Predictions
    from lociscope.service.answer import Answer
    from lociscope.service.jobs.runner import JobRunner
    from lociscope.service.jobs.store import JobStore
    from lociscope.service.model_holder import ModelHolder
    from lociscope.service.worker_pool import WorkerPool

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The metrics of one application.

    Args:
        pool: The pool whose number of predictions in flight is reported.
    """

    def __init__(self, pool: WorkerPool) -> None:
        self._jobs: tuple[JobStore, JobRunner, Gauge, Gauge, Gauge] | None = None
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "lociscope_requests", "Requests by route and status.", ("route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "lociscope_request_seconds", "Time to answer, by route.", ("route",), buckets=_SECONDS,
            registry=self._registry,
        )  # fmt: skip
        self._fields = Counter("lociscope_fields", "Fields predicted, by status.", ("status",), registry=self._registry)
        self._locations = Counter("lociscope_locations", "Predicted locations.", ("location",), registry=self._registry)
        self._unlogged = Counter(
            "lociscope_unlogged", "Predictions that could not be written to the log.", registry=self._registry
        )
        self._compared = Counter(
            "lociscope_compared", "Fields compared with the candidate, by outcome.", ("outcome",),
            registry=self._registry,
        )  # fmt: skip
        drift = DriftMetrics(self._registry)
        self.count_window, self.count_alarm = drift.count_window, drift.count_alarm
        self._bundle = Gauge(
            "lociscope_bundle", "1 for the bundle in use.", ("name", "version", "sha256"),
            registry=self._registry,
        )  # fmt: skip
        self._pending = Gauge(
            "lociscope_promotion_pending", "1 while another bundle is promoted than is in use.", registry=self._registry
        )
        in_flight = Gauge("lociscope_in_flight", "Predictions in flight.", registry=self._registry)
        in_flight.set_function(lambda: pool.in_flight)
        most = Gauge("lociscope_in_flight_most", "Most predictions in flight.", registry=self._registry)
        most.set(pool.max_in_flight)

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request; all unknown routes count as one, so that clients cannot create new ones."""
        route = getattr(scope.get("route"), "path", "") or "other"
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_field(self, answer: Answer) -> None:
        """Count a field and its locations."""
        self._fields.labels(answer.status).inc()
        for number in answer.predicted:
            self._locations.labels(LABELS[number]).inc()

    def count_predictions(self, predictions: Predictions) -> None:
        """Count fields of jobs and their locations."""
        for status, numbers in zip(predictions.status, predictions.predicted, strict=True):
            self._fields.labels(status).inc()
            for number in numbers:
                self._locations.labels(LABELS[number]).inc()

    def count_comparison(self, outcome: str) -> None:
        """Count a field that was compared with the candidate: same, different, skipped or failed."""
        self._compared.labels(outcome).inc()

    def watch_jobs(self, store: JobStore, runner: JobRunner, max_bytes: int) -> None:
        """Report the waiting fields and the kept bytes of jobs, and whether their database can be used."""
        most = Gauge("lociscope_jobs_bytes_most", "Bytes of files of jobs that may be kept.", registry=self._registry)
        most.set(max_bytes)
        waiting = Gauge("lociscope_jobs_waiting", "Fields of jobs that wait or run.", registry=self._registry)
        kept = Gauge("lociscope_jobs_bytes", "Bytes of the files of jobs that are kept.", registry=self._registry)
        trouble = Gauge(
            "lociscope_jobs_database_down", "1 while the database of jobs cannot be used.", registry=self._registry
        )
        self._jobs = (store, runner, waiting, kept, trouble)

    def _read_jobs(self) -> None:
        if self._jobs is None:
            return
        store, runner, waiting, kept, trouble = self._jobs
        failed = bool(runner.trouble)
        try:
            waiting.set(store.count_waiting())
            kept.set(store.count_bytes())
        except LogError:
            failed = True
        trouble.set(failed)

    def count_unlogged(self, fields: int) -> None:
        """Count predictions that could not be written to the log."""
        self._unlogged.inc(fields)

    def render(self, model: ModelHolder) -> bytes:
        """Return the metrics in the text format of Prometheus.

        Args:
            model: The model in use.
        """
        self._read_jobs()
        bundle = model.predictor.bundle
        self._pending.set(model.is_pending)
        self._bundle.clear()
        self._bundle.labels(bundle.card.name, bundle.card.version, bundle.sha256).set(1)
        return generate_latest(self._registry)
