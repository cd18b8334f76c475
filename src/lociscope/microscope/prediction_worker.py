"""The predictor beside the camera: pictures become fields, fields decisions, in a thread of their own."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import LociscopeError
from lociscope.images.field import Field
from lociscope.images.io.write import write_ome_tiff
from lociscope.microscope.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import useq

    from lociscope.microscope.configuration import Scale
    from lociscope.microscope.event_scheduler import EventScheduler
    from lociscope.microscope.positions import Position
    from lociscope.microscope.rule_evaluator import RuleEvaluator
    from lociscope.predict.predictor import Predictor
    from lociscope.prediction_log.writer import LogWriter

MOST_BYTES = 1 << 30
"""Pictures that may wait for the predictor; past it the camera waits, which is better than running out of memory."""

_POLL_S = 0.05
_LAST_FIELD_S = 1.0


@dataclass(frozen=True, slots=True)
class AcquiredField:
    """A field as it came from the camera.

    Attributes:
        position: Where it was taken.
        pixels: (y, x, 4), RGBY.
        at: When its last picture came, by `time.perf_counter`.
        clock: The same by the microscope's clock, seconds since the plan began.
        target: The true places, where the microscope is a simulated one.
        focus: Where the focus stood, µm, where there is a focus device.
    """

    position: Position
    pixels: np.ndarray
    at: float
    clock: float
    target: tuple[int, ...] | None
    focus: float | None


class PredictionWorker:
    """Predicts, decides, writes and logs what the camera gives, and never makes it wait.

    Args:
        predictor: The opened bundle.
        evaluator: Applies the rules.
        scheduler: Is told every decision.
        journal: The output folder.
        scale: How large the pixels are.
        writer: Keeps predictions in the log as well.
        target: Gives the true places of what is in view, or None where nobody knows them.
        progress: Called with the number of fields after each.
    """

    def __init__(
        self,
        predictor: Predictor,
        evaluator: RuleEvaluator,
        scheduler: EventScheduler,
        journal: Journal,
        scale: Scale,
        writer: LogWriter,
        *,
        target: Callable[[], tuple[int, ...] | None] = lambda: None,
        progress: Callable[[int], None] = lambda number: None,
    ) -> None:
        self._predictor = predictor
        self._evaluator = evaluator
        self._scheduler = scheduler
        self._journal = journal
        self._scale = scale
        self._writer = writer
        self._target = target
        self._progress = progress
        self._parts: dict[str, dict[int, np.ndarray]] = {}
        self._queue: SimpleQueue[AcquiredField | None] = SimpleQueue()
        self._taken_bytes = self._handled_bytes = 0  # each is written by one thread only
        self._given_up, self._done = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="predictor", daemon=True)
        self.error: BaseException | None = None
        """What ended the work before its time."""
        self.seconds: list[float] = []
        """For each field how long it took from its last picture to its decision."""

    def start(self) -> None:
        """Begins to work."""
        self._thread.start()

    def frame(self, picture: np.ndarray, event: useq.MDAEvent, meta: Mapping[str, Any]) -> None:
        """Takes a picture from the camera's thread; the fourth of a field completes it."""
        try:
            self._assemble(picture, event.metadata["field"], event.metadata["channel"], meta["focus"])
        except Exception as error:  # the runner would pass over it
            self._give_up(error)

    def _assemble(self, picture: np.ndarray, name: str, channel: int, focus: float | None) -> None:
        parts = self._parts.setdefault(name, {})
        parts[channel] = picture
        if len(parts) == len(CHANNEL_NAMES):
            del self._parts[name]
            pixels = np.moveaxis(np.stack([parts[index] for index in range(len(CHANNEL_NAMES))]), 0, -1)
            position = self._scheduler.positions[name]
            self._taken_bytes += pixels.nbytes
            taken = AcquiredField(position, pixels, time.perf_counter(), self._scheduler.spent, self._target(), focus)
            self._queue.put(taken)

    def has_capacity(self) -> bool:
        """Whether memory is left for another field."""
        return self._taken_bytes - self._handled_bytes < MOST_BYTES

    def close(self, ends: float = math.inf) -> None:
        """Finish what was taken, and end.

        Args:
            ends: When to end after the field that is being predicted, by `time.monotonic`; fields that still wait then
                are dropped.

        Raises:
            KeyboardInterrupt: It was interrupted, with the same effect.
        """
        self._queue.put(None)
        try:
            while not self._done.wait(_POLL_S) and time.monotonic() < ends:
                pass
        finally:
            self._given_up.set()
            self._done.wait(_LAST_FIELD_S)  # so that no line is added while the tables are written

    def _run(self) -> None:
        try:
            for taken in iter(self._queue.get, None):
                if self._given_up.is_set():
                    return
                self._handle(taken)
                self._handled_bytes += taken.pixels.nbytes
                self._progress(len(self._journal.lines))
        except BaseException as error:
            self._give_up(error)
        finally:
            self._done.set()

    def _give_up(self, error: BaseException) -> None:
        self.error = error
        self._scheduler.stop()

    def _handle(self, taken: AcquiredField) -> None:
        position = taken.position
        field = Field(position.id, taken.pixels, self._scale.pixel_size[position.objective])
        line: dict[str, Any] = {
            "field": position.id, "well": position.well, "site": position.site,
            "x": position.x, "y": position.y, "z": position.z,
            "objective": position.objective, "pixel_size": field.pixel_size, "of": position.of, "rule": position.rule,
            "at_s": round(taken.clock, 3), "focus": taken.focus,
        }  # fmt: skip
        if taken.target is not None:
            line["target"] = list(taken.target)
        keep = self._decide(field, taken, line)
        write_ome_tiff(self._journal.picture(position.id), field)
        line["kept_s"] = round(time.perf_counter() - taken.at, 4)
        self._journal.append(line)
        keep()

    def _decide(self, field: Field, taken: AcquiredField, line: dict[str, Any]) -> Callable[[], None]:
        """Predicts and tells the decision at once; what can wait is given back, to be done when the picture is safe."""
        predictor = self._predictor
        try:
            prepared = predictor.prepare(field)
            row = predictor.run([prepared], embeddings=self._writer.wants_embeddings(predictor.engine.outputs))
        except (LociscopeError, MemoryError) as error:
            self._scheduler.add_decision(field.id, [])
            line["failed"] = str(error) or "It does not fit into memory."
            return lambda: None
        verdicts, requests = self._evaluator.evaluate(taken.position, row.probability[0], row.status[0])
        self._scheduler.add_decision(field.id, requests)
        self.seconds.append(time.perf_counter() - taken.at)
        line |= {
            "status": row.status[0],
            "predicted": list(row.predicted[0]),
            "rules": [verdict.as_json() for verdict in verdicts],
            "warnings": [str(warning) for warning in row.warnings[0]],
            "decided_s": round(self.seconds[-1], 4),
            "wanted": Journal.wanted(requests),
            "probability": [float(value) for value in row.probability[0]],
        }
        return lambda: self._writer.add(row, prepared.statistics[None], bundle=predictor.bundle.sha256)
