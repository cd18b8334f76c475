"""Predict acquired fields and decide about them in a thread beside the camera."""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError
from lociscope.images.field import Field
from lociscope.labels import to_nullable
from lociscope.microscope.corrections import find_correction
from lociscope.microscope.decisions import Decision
from lociscope.microscope.drift import DriftTracker
from lociscope.microscope.facts import FieldCells, collect_facts, find_field_cells
from lociscope.microscope.image_writer import ImageWriter
from lociscope.microscope.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import useq

    from lociscope.artifacts.predictions import Predictions
    from lociscope.microscope.configuration import Scale
    from lociscope.microscope.event_scheduler import EventScheduler
    from lociscope.microscope.loop import Evaluator
    from lociscope.microscope.plan import Plan
    from lociscope.microscope.positions import Position
    from lociscope.predict.predictor import Predictor
    from lociscope.prediction_log.writer import LogWriter

MAX_WAITING_BYTES = 1 << 30
"""Bytes of images that may wait for the predictor. Beyond that the camera waits, to limit memory."""

logger = logging.getLogger(__name__)
_POLL_S = 0.05
_LAST_FIELD_S = 1.0


@dataclass(frozen=True, slots=True)
class AcquiredField:
    """A field that the camera has imaged.

    Attributes:
        position: Its position.
        pixels: (y, x, 4), RGBY.
        arrived: When its last image arrived, by `time.perf_counter`.
        elapsed: The same by the microscope's clock, seconds since the plan began.
        target: The true classes; None unless the microscope is simulated.
        focus: Position of the focus, µm; None without a focus device.
    """

    position: Position
    pixels: np.ndarray
    arrived: float
    elapsed: float
    target: tuple[int, ...] | None
    focus: float | None


@dataclass(frozen=True, slots=True)
class _Predicted:
    """The predictions of a field, its statistics (1, k), and its cells if a rule needed them."""

    row: Predictions
    statistics: np.ndarray
    cells: FieldCells | None


class PredictionWorker:
    """Predicts, decides, writes and logs the camera's fields without delaying the camera.

    Args:
        plan: The plan.
        predictor: The opened bundle.
        evaluator: Decides about each field.
        dispatch: Receives the decision about each field: its name, its well, the decision, and whether it was planned.
        scheduler: Knows the fields; it is stopped when the predictor fails.
        journal: The output folder.
        scale: The pixel sizes.
        writer: Writes predictions to the log.
        find_target: Returns the true classes in view, or None if they are unknown.
        report: Called after each field with its line of `decisions.jsonl` and its pixels.
    """

    def __init__(
        self,
        plan: Plan,
        predictor: Predictor,
        evaluator: Evaluator,
        dispatch: Callable[..., None],
        scheduler: EventScheduler,
        journal: Journal,
        scale: Scale,
        writer: LogWriter,
        *,
        find_target: Callable[[], tuple[int, ...] | None] = lambda: None,
        report: Callable[[Mapping[str, Any], np.ndarray], None] = lambda line, pixels: None,
    ) -> None:
        self._predictor = predictor
        self._evaluator = evaluator
        self._dispatch = dispatch
        self._scheduler = scheduler
        self._journal = journal
        self._plan = plan
        self._image_writer = ImageWriter(plan, journal)
        self._drift = DriftTracker(plan, journal)
        scheduler.correct = self._drift.correct
        self._scale = scale
        self._writer = writer
        self._find_target = find_target
        self._report = report
        self._images: dict[str, dict[int, np.ndarray]] = {}
        self._queue: SimpleQueue[AcquiredField | None] = SimpleQueue()
        self._acquired_bytes = self._handled_bytes = 0  # each is written by one thread only
        self._given_up, self._done = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="predictor", daemon=True)
        self.busy_since: float | None = None
        """When the current field began, by `time.monotonic`; None between fields."""
        self.error: BaseException | None = None
        """The error that ended the work early."""
        self.decision_seconds: list[float] = []
        """For each field the seconds from its last image to its decision."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def add_image(self, image: np.ndarray, event: useq.MDAEvent, meta: Mapping[str, Any]) -> bool:
        """Accept an image from the thread of the camera; return whether it is the fourth, which completes a field."""
        try:
            return self._assemble(image, event.metadata["field"], event.metadata["channel"], meta.get("focus"))
        except Exception as error:  # the runner would ignore it
            self._give_up(error)
            return False

    def _assemble(self, image: np.ndarray, name: str, channel: int, focus: float | None) -> bool:
        images = self._images.setdefault(name, {})
        images[channel] = image
        if len(images) < len(CHANNEL_NAMES):
            return False
        del self._images[name]
        pixels = np.moveaxis(np.stack([images[index] for index in range(len(CHANNEL_NAMES))]), 0, -1)
        position = self._scheduler.positions[name]
        self._acquired_bytes += pixels.nbytes
        acquired = AcquiredField(
            position, pixels, time.perf_counter(), self._scheduler.elapsed, self._find_target(), focus
        )
        self._queue.put(acquired)
        return True

    def forget(self, name: str) -> None:
        """Drop the images of a field whose other images could not be taken."""
        self._images.pop(name, None)

    def has_capacity(self) -> bool:
        """Return whether memory is left for another field."""
        return self._acquired_bytes - self._handled_bytes < MAX_WAITING_BYTES

    def close(self, deadline: float = math.inf) -> None:
        """Finish the acquired fields, and end the thread.

        Args:
            deadline: When to end after the current field, by `time.monotonic`; fields that still wait are dropped.

        Raises:
            KeyboardInterrupt: It was interrupted; waiting fields are dropped.
        """
        self._queue.put(None)
        try:
            while not self._done.wait(_POLL_S) and time.monotonic() < deadline:
                pass
        finally:
            self._given_up.set()
            self._done.wait(_LAST_FIELD_S)  # no line may be added while the tables are written

    def _run(self) -> None:
        try:
            for acquired in iter(self._queue.get, None):
                if self._given_up.is_set():
                    return
                self.busy_since = time.monotonic()
                self._handle(acquired)
                self.busy_since = None
                self._handled_bytes += acquired.pixels.nbytes
        except BaseException as error:
            self._give_up(error)
        finally:
            self._done.set()

    def _give_up(self, error: BaseException) -> None:
        self.error = error
        self._scheduler.stop()

    def _handle(self, acquired: AcquiredField) -> None:
        position = acquired.position
        field = Field(position.id, acquired.pixels, self._scale.pixel_size[position.objective])
        line: dict[str, Any] = {
            "field": position.id, "well": position.well, "site": position.site,
            "x": position.x, "y": position.y, "z": position.z,
            "objective": position.objective, "pixel_size": field.pixel_size, "of": position.of, "rule": position.rule,
            "time": position.time, "autofocus": position.autofocus, "exposures": list(position.exposures),
            "at_s": round(acquired.elapsed, 3), "focus": acquired.focus,
        }  # fmt: skip
        if acquired.target is not None:
            line["target"] = list(acquired.target)
        decided = self._decide(field, acquired, line)
        line |= self._drift.measure(position, field)
        line["image"] = self._image_writer.write(field, position, self._label(field, decided))
        line["kept_s"] = round(time.perf_counter() - acquired.arrived, 4)
        self._journal.append(line)
        if decided is not None:
            self._writer.add(decided.row, decided.statistics, bundle=self._predictor.bundle.sha256)
        self._report(line, acquired.pixels)

    def _label(self, field: Field, predicted: _Predicted | None) -> FieldCells | None:
        """Return the cells that are written beside the image; None if the plan wants none, or they cannot be found."""
        if predicted is None or not self._plan.labels:
            return None
        try:
            return predicted.cells or find_field_cells(self._predictor, field, predicted.row)
        except LociscopeError as error:
            logger.warning("Field '%s' is written without labels: %s", field.id, error)
            return None

    def _decide(self, field: Field, acquired: AcquiredField, line: dict[str, Any]) -> _Predicted | None:
        """Predict a field and decide about it at once; return its predictions, None if it cannot be predicted."""
        predictor = self._predictor
        try:
            prepared = predictor.prepare(field)
            row = predictor.run([prepared], embeddings=self._writer.wants_embeddings(predictor.engine.outputs))
            cells = find_field_cells(predictor, field, row) if self._evaluator.needs_cells else None
            facts = collect_facts(row, cells)
        except LociscopeError as error:
            self._fail(acquired.position, line, str(error), error.code)
            return None
        except MemoryError:
            reason = f"Field '{field.id}' does not fit into memory. Use a larger machine, or smaller images."
            self._fail(acquired.position, line, reason, Code.OUT_OF_MEMORY)
            return None
        again = find_correction(acquired.position, row.warnings[0], self._plan)
        decision = self._evaluator.evaluate(acquired.position, facts) if again is None else again
        self._finish(acquired.position, decision)
        self.decision_seconds.append(time.perf_counter() - acquired.arrived)
        line |= {
            "status": row.status[0],
            "predicted": list(row.predicted[0]),
            "rules": [verdict.to_dict() for verdict in decision.verdicts],
            "warnings": [str(warning) for warning in row.warnings[0]],
            "decided_s": round(self.decision_seconds[-1], 4),
            "wanted": Journal.serialize_requests(decision.requests),
            "probability": to_nullable(row.probability[0]),
        }
        return _Predicted(row, prepared.statistics[None], cells)

    def _fail(self, position: Position, line: dict[str, Any], reason: str, code: str) -> None:
        """Record that a field cannot be predicted; no rule requests further fields."""
        self._finish(position, Decision())
        line |= {"failed": reason, "code": code}

    def _finish(self, position: Position, decision: Decision) -> None:
        self._dispatch(position.id, position.well, decision, is_planned=position.is_judged)
