"""The parts that one application works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request

    from lociscope.prediction_log.log import PredictionLog
    from lociscope.prediction_log.writer import LogWriter
    from lociscope.service.metrics import Metrics
    from lociscope.service.model_holder import Served
    from lociscope.service.settings import Settings
    from lociscope.service.worker_pool import Work


@dataclass(frozen=True, slots=True)
class Parts:
    """What routes need.

    Attributes:
        settings: What the service was told.
        served: The predictor, and its successor.
        work: The threads, and what is in flight.
        metrics: What is counted.
        log: The prediction log; None where none is kept.
        journal: Writes to it.
    """

    settings: Settings
    served: Served
    work: Work
    metrics: Metrics
    log: PredictionLog | None
    journal: LogWriter


def parts_of(request: Request) -> Parts:
    """The parts of the application that serves a request."""
    parts: Parts = request.app.state.parts
    return parts
