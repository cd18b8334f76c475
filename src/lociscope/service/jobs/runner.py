"""Predict the fields of jobs in the background, in turn with those that people wait for."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.source_json import source_from_json
from lociscope.images.io.read import read_field
from lociscope.labels import format_target
from lociscope.prediction_log.log_errors import LogError
from lociscope.service.answer import ModelFacts
from lociscope.service.jobs.pictures import render_thumbnail, thumbnail_name
from lociscope.service.jobs.records import FieldOutcome, JobField
from lociscope.service.uploads import remove_paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from lociscope.artifacts.bundle import Bundle
    from lociscope.artifacts.predictions import Predictions
    from lociscope.images.field import Field
    from lociscope.predict.predictor import PreparedField
    from lociscope.service.jobs.service import JobService
    from lociscope.service.model_holder import ModelHolder
    from lociscope.service.worker_pool import WorkerPool

CLAIM_FIELDS = 1
"""Fields that a worker claims at a time: with more, one that ends its process would count against the others."""

POLL_SECONDS = 1.0
"""Seconds between two looks for jobs that another process received."""

SWEEP_SECONDS = 60.0
COURTESY_SECONDS = 1.0
"""Longest time that a field of a job waits while people wait for theirs."""

MAX_PAUSE = 10.0
"""Longest pause before a database that failed is tried again, s."""

logger = logging.getLogger(__name__)


class JobRunner:
    """Threads that predict the fields of jobs.

    Args:
        jobs: The jobs.
        model: The predictor in use.
        pool: Knows whether people wait for predictions.
        workers: Number of threads.
        report: Called with each field, its prediction, the prepared field and the bundle, once it is stored.
        renew_seconds: Seconds between two renewals of the claims.
    """

    def __init__(
        self,
        jobs: JobService,
        model: ModelHolder,
        pool: WorkerPool,
        workers: int,
        report: Callable[[Field, Predictions, PreparedField, str], None],
        renew_seconds: float = 5.0,
    ) -> None:
        self._jobs = jobs
        self._model = model
        self._pool = pool
        self._report = report
        self._renew_seconds = renew_seconds
        self._end = threading.Event()
        self._wake = threading.Condition()
        self._trouble = ""
        me = f"{socket.gethostname()[:24]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._names = [f"{me}:{number}" for number in range(workers)]
        self._threads = [
            threading.Thread(target=self._work, args=(name,), name=f"lociscope-jobs-{number}", daemon=True)
            for number, name in enumerate(self._names)
        ]
        self._keeper = threading.Thread(target=self._keep, name="lociscope-leases", daemon=True)

    @property
    def trouble(self) -> str:
        """Return why the database cannot be used; empty if it can."""
        return self._trouble

    def start(self) -> None:
        """Begin to predict."""
        for thread in (*self._threads, self._keeper):
            thread.start()

    def wake(self) -> None:
        """Look for new fields now."""
        with self._wake:
            self._wake.notify_all()

    def stop(self) -> None:
        """Finish the fields that are being predicted, and return the others."""
        self._end.set()
        self.wake()
        for thread in (*self._threads, self._keeper):
            if thread.is_alive():
                thread.join()

    def _work(self, name: str) -> None:
        pause, interrupted = 0.0, False
        while not self._end.wait(pause):
            try:
                if interrupted:  # fields may still be claimed, whose results could not be stored
                    self._jobs.store.release(name)
                interrupted = True
                found = self._predict_some(name)
                pause, interrupted, self._trouble = 0.0, False, ""
            except LogError as error:
                pause = min(MAX_PAUSE, max(0.5, 2 * pause))
                self._complain(str(error))
            except Exception:
                pause = MAX_PAUSE
                logger.exception("a field of a job was not predicted, and is tried again")
            else:
                if not found:
                    self._sleep()

    def _predict_some(self, name: str) -> int:
        """Claim and predict some fields; return how many were claimed."""
        store = self._jobs.store
        claimed = store.claim(name, CLAIM_FIELDS) if store.count_waiting() else []
        for field in claimed:
            if self._end.is_set():
                store.release(name)
                break
            self._predict(name, field)
        return len(claimed)

    def _sleep(self) -> None:
        with self._wake:
            if not self._end.is_set():
                self._wake.wait(POLL_SECONDS)

    def _complain(self, trouble: str) -> None:
        if trouble != self._trouble:
            logger.error("jobs wait until their database can be used: %s", trouble)
        self._trouble = trouble

    def _predict(self, worker: str, field: JobField) -> None:
        self._let_others_first()
        outcome, found = self._run(field)
        if self._jobs.store.finish(worker, field.job, [outcome]) and found is not None:
            self._report(*found, outcome.bundle)

    def _run(self, field: JobField) -> tuple[FieldOutcome, tuple[Field, Predictions, PreparedField] | None]:
        """Read and predict a field; whatever is wrong with it is its outcome."""
        folder = self._jobs.files(field.job)
        predictor = self._model.predictor
        try:
            pixels = read_field(source_from_json(field.source, folder))
            prepared = predictor.prepare(pixels)
            predictions = predictor.run([prepared], embeddings="embedding" in predictor.engine.outputs)
        except LociscopeError as error:
            return FieldOutcome(field.number, code=error.code, reason=remove_paths(str(error), folder)), None
        except MemoryError:
            reason = f"Field '{field.id}' does not fit into the memory of this machine."
            return FieldOutcome(field.number, code=Code.OUT_OF_MEMORY, reason=reason), None
        except Exception:
            number = secrets.token_hex(4)
            logger.exception("error %s at field %d of job %s…", number, field.number, field.job[:6])
            reason = f"The service has failed, not your files. The failure is logged as error {number}."
            return FieldOutcome(field.number, code=Code.INTERNAL, reason=reason), None
        self._jobs.pictures(field.job).keep(thumbnail_name(field.number), render_thumbnail(pixels))
        return _to_outcome(field.number, pixels, predictions, predictor.bundle), (pixels, predictions, prepared)

    def _let_others_first(self) -> None:
        ends = monotonic() + COURTESY_SECONDS
        while self._pool.in_flight and monotonic() < ends and not self._end.wait(0.05):
            pass

    def _keep(self) -> None:
        """Renew the claims, and delete jobs whose time is over."""
        swept = -SWEEP_SECONDS
        while not self._end.wait(self._renew_seconds):
            try:
                for name in self._names:
                    self._jobs.store.renew(name)
                if monotonic() - swept >= SWEEP_SECONDS:
                    self._jobs.sweep()
                    swept = monotonic()
            except (LogError, OSError) as error:
                self._complain(str(error))
            except Exception:
                logger.exception("claims of jobs could not be renewed")


def _to_outcome(number: int, field: Field, predictions: Predictions, bundle: Bundle) -> FieldOutcome:
    embedding = predictions.embedding
    height, width = field.pixels.shape[:2]
    return FieldOutcome(
        number,
        predicted=format_target(predictions.predicted[0]),
        status=predictions.status[0],
        warnings=json.dumps([str(warning) for warning in predictions.warnings[0]]),
        probability=np.asarray(predictions.probability[0], "<f4").tobytes(),
        embedding=None if embedding is None else np.asarray(embedding[0], "<f4").tobytes(),
        bundle=bundle.sha256,
        model=ModelFacts.from_bundle(bundle).model_dump_json(),
        width=width,
        height=height,
        pixel_size=field.pixel_size,
    )
