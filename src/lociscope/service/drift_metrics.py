"""Metrics of drift for Prometheus: what the last window of predicted fields showed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

from lociscope.monitor.report import CauseKind

if TYPE_CHECKING:
    from lociscope.monitor.report import DriftReport


class DriftMetrics:
    """The gauges of the last window, and counters of windows and alarms.

    Args:
        registry: The registry of the application's metrics.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._windows = Counter(
            "lociscope_drift_windows", "Windows compared with the reference, by outcome.", ("outcome",),
            registry=registry,
        )  # fmt: skip
        self._alarms = Counter("lociscope_alarms", "Alarms of drift, by outcome.", ("outcome",), registry=registry)
        self._drift = Gauge("lociscope_drift", "1 while the last window of fields drifted.", registry=registry)
        self._cause = Gauge(
            "lociscope_drift_cause", "1 for the likely causes of the last window.", ("cause",), registry=registry
        )
        self._distance = Gauge(
            "lociscope_drift_distance", "Largest difference of the cumulative distributions, 0-1, by statistic.",
            ("statistic",), registry=registry,
        )  # fmt: skip
        self._location = Gauge(
            "lociscope_drift_location", "Share of the fields with a location minus that of the reference.",
            ("location",), registry=registry,
        )  # fmt: skip
        self._embedding = Gauge(
            "lociscope_drift_embedding", "Maximum mean discrepancy of the embeddings, squared.", registry=registry
        )
        self._least = Gauge("lociscope_drift_least_p", "Smallest corrected p of the last window.", registry=registry)
        self._least.set(1)

    def count_alarm(self, outcome: str) -> None:
        """Count an alarm: sent or failed."""
        self._alarms.labels(outcome).inc()

    def count_window(self, report: DriftReport | None, outcome: str) -> None:
        """Count a window, and show its figures; those of the one before stay where it could not be compared."""
        self._windows.labels(outcome).inc()
        if report is None:
            return
        self._drift.set(report.drifted)
        causes = {cause.kind for cause in report.causes}
        for kind in CauseKind:
            self._cause.labels(kind.value).set(kind in causes)
        for statistic in report.statistics:
            self._distance.labels(statistic.name).set(statistic.distance)
        for location in report.locations:
            share = location.window / report.fields - location.reference / report.reference_fields
            self._location.labels(location.label).set(share)
        if report.embedding is not None:
            self._embedding.set(report.embedding.mmd2)
        found = [*report.statistics, *report.locations, *([report.embedding] if report.embedding else [])]
        self._least.set(min((each.p for each in found), default=1))
