"""The candidate beside production: it predicts the same fields, may answer a share of them, and is compared."""

from __future__ import annotations

import hashlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lociscope.artifacts.predictions import Predictions
from lociscope.images.field import Field as ImageField
from lociscope.labels import LABELS, N_LABELS
from lociscope.predict.predictor import Predictor
from lociscope.registry.model_registry import CANDIDATE, Registry
from lociscope.service.model_holder import MAX_WAIT, POLL_SECONDS, ModelHolder

MAX_WAITING = 4
"""Fields that wait for the other model; beyond it they are not compared, so that no answer is delayed."""

MAX_BYTES = 64 << 20
"""Size of a field beyond which it is not compared, bytes of pixels: it would be kept until its turn."""

KEPT = 200
"""Disagreements that are kept for the page, the newest ones."""

logger = logging.getLogger(__name__)


class Disagreement(BaseModel):
    """A field for which the two models report different locations."""

    model_config = ConfigDict(frozen=True)

    time: str = Field(description="ISO 8601, UTC.")
    id: str = Field(description="The id of the field.")
    production: list[str] = Field(description="The locations that the version in production reports.")
    candidate: list[str] = Field(description="Those of the candidate.")
    difference: float = Field(description="Largest difference of a probability.")
    location: str = Field(description="Of which location.")


class LocationCount(BaseModel):
    """How often each of the two reports a location."""

    model_config = ConfigDict(frozen=True)

    name: str
    both: int
    production: int = Field(description="Fields for which only the version in production reports it.")
    candidate: int = Field(description="Fields for which only the candidate reports it.")


class CandidateReport(BaseModel):
    """The candidate and production, compared in this process since either was put in use."""

    model_config = ConfigDict(frozen=True)

    production: str = Field(description="The version in production.")
    candidate: str | None = Field(description="The candidate; null while there is none.")
    share: float = Field(description="Share of the fields that the candidate answers.")
    since: str | None = Field(description="When the first field was compared; null before.")
    compared: int = Field(description="Number of fields that both predicted.")
    same: int = Field(description="Of these, those for which both report the same locations.")
    answered: int = Field(description="Of these, those that the candidate answered.")
    skipped: int = Field(description="Fields that were not compared, because others waited, or because of their size.")
    failed: int = Field(description="Fields that one of the two could not predict.")
    locations: list[LocationCount] = Field(description="Locations that only one of the two reports, most first.")
    disagreements: list[Disagreement] = Field(description=f"The newest {KEPT}, the largest difference first.")


class _Tally:
    """What was counted for one pair of models."""

    def __init__(self, pair: tuple[str, str]) -> None:
        self.pair = pair
        self.since: str | None = None
        self.compared = self.same = self.answered = self.skipped = self.failed = 0
        self.reported = np.zeros((3, N_LABELS), int)  # by both, by production alone, by the candidate alone
        self.recent: deque[Disagreement] = deque(maxlen=KEPT)

    def add(self, production: Predictions, candidate: Predictions, *, answered: bool) -> bool:
        """Count a field; return whether both report the same locations."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.since = self.since or now
        self.compared += 1
        self.answered += answered
        mine, other = {*production.predicted[0]}, {*candidate.predicted[0]}
        for row, numbers in enumerate((mine & other, mine - other, other - mine)):
            self.reported[row, [*numbers]] += 1
        if mine == other:
            self.same += 1
            return True
        gaps = np.nan_to_num(np.abs(production.probability[0] - candidate.probability[0]))
        names = [[LABELS[number] for number in sorted(numbers)] for numbers in (mine, other)]
        most = int(gaps.argmax())
        found = Disagreement(
            time=now, id=production.ids[0], production=names[0], candidate=names[1],
            difference=round(float(gaps[most]), 4), location=LABELS[most],
        )  # fmt: skip
        self.recent.append(found)
        return False


class Candidate:
    """Holds the candidate, decides which fields it answers, and compares it with production in a thread of its own.

    Args:
        find_folder: Returns the folder of the candidate, or None where there is none.
        model: The model in production.
        share: Share of the fields that the candidate answers, 0–1; 0 compares only.
        threads: Number of threads per call of the network.
        on_compared: Called with `same`, `different`, `skipped` or `failed` for each field.
    """

    def __init__(
        self,
        find_folder: Callable[[], Path | None],
        model: ModelHolder,
        share: float,
        threads: int = 0,
        on_compared: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self._find_folder = find_folder
        self._model = model
        self._share = share
        self._threads = threads
        self._on_compared = on_compared
        self._holder: ModelHolder | None = None
        self._look_at = 0.0
        self._failure = ""
        self._lock = threading.Lock()
        self._tally = _Tally(("", ""))
        self._waiting: queue.Queue[tuple[ImageField, Predictions, str]] = queue.Queue(MAX_WAITING)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lociscope-candidate", daemon=True)

    @property
    def predictor(self) -> Predictor | None:
        """Return the candidate; None where there is none, or it is in production."""
        holder = self._holder
        if holder is None or holder.predictor.bundle.sha256 == self._model.predictor.bundle.sha256:
            return None
        return holder.predictor

    def choose(self, identifier: str) -> Predictor:
        """Return the model that answers a field; a field always gets the same one while the models stay."""
        candidate = self.predictor
        if candidate is None or not _is_chosen(identifier, candidate.bundle.sha256, self._share):
            return self._model.predictor
        return candidate

    def offer(self, field: ImageField, predictions: Predictions, bundle: str) -> None:
        """Let the other model predict a field later; never waits.

        Args:
            field: The field.
            predictions: Its answer.
            bundle: The sha256 of the bundle that answered.
        """
        if self.predictor is None:
            return
        try:
            if field.pixels.nbytes > MAX_BYTES:
                raise queue.Full
            self._waiting.put_nowait((field, predictions, bundle))
        except queue.Full:
            self._count("skipped")

    def report(self) -> CandidateReport:
        """Return what was compared."""
        candidate = self.predictor
        with self._lock:
            tally = self._current()
            order = np.argsort(-tally.reported[1:].sum(axis=0), kind="stable")
            counts = [
                LocationCount(name=LABELS[number], both=both, production=mine, candidate=other)
                for number in order.tolist()
                for both, mine, other in [tally.reported[:, number].tolist()]
                if mine + other
            ]
            return CandidateReport(
                production=self._model.version,
                candidate=None if candidate is None or self._holder is None else self._holder.version,
                share=self._share, since=tally.since, compared=tally.compared, same=tally.same,
                answered=tally.answered, skipped=tally.skipped, failed=tally.failed, locations=counts,
                disagreements=sorted(tally.recent, key=lambda each: -each.difference),
            )  # fmt: skip

    def start(self) -> None:
        """Look for a candidate, and compare, in a separate thread from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; fields that wait are not compared."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def refresh(self) -> None:
        """Open the candidate if there is a new one; one that cannot be opened is tried again."""
        try:
            folder = self._find_folder()
            if folder is None:
                self._holder = None
            elif self._holder is None:
                self._holder = ModelHolder(lambda: self._find_folder() or folder, self._threads)
                logger.warning("the candidate is %s", self._holder.version)
            else:
                self._holder.refresh()
            self._failure, self._look_at = "", time.monotonic() + POLL_SECONDS
        except Exception as error:  # production must go on, whatever is wrong with a candidate
            if str(error) != self._failure:
                logger.error("the candidate cannot be used, and is tried again: %s", error)
            self._failure, self._look_at = str(error), time.monotonic() + MAX_WAIT

    def compare_next(self, timeout: float = 0.0) -> bool:
        """Compare a field that waits; return whether there was one within `timeout` s."""
        try:
            field, predictions, bundle = self._waiting.get(timeout=timeout) if timeout else self._waiting.get_nowait()
        except queue.Empty:
            return False
        production, candidate = self._model.predictor, self.predictor
        if candidate is None or bundle not in (production.bundle.sha256, candidate.bundle.sha256):
            return True  # a model was replaced meanwhile
        answered = bundle == candidate.bundle.sha256
        other = production if answered else candidate
        try:
            made = other.run([other.prepare(field)])
        except Exception as error:
            logger.error("%s could not be compared: %s", field.id, error)
            self._count("failed")
            return True
        with self._lock:
            pair = (made, predictions) if answered else (predictions, made)
            same = self._current().add(*pair, answered=answered)
        self._on_compared("same" if same else "different")
        return True

    def _count(self, outcome: str) -> None:
        with self._lock:
            tally = self._current()
            if outcome == "skipped":
                tally.skipped += 1
            else:
                tally.failed += 1
        self._on_compared(outcome)

    def _current(self) -> _Tally:
        """Return the counts of the models in use; new ones begin at 0."""
        candidate = self.predictor
        pair = (self._model.predictor.bundle.sha256, "" if candidate is None else candidate.bundle.sha256)
        if self._tally.pair != pair:
            self._tally = _Tally(pair)
        return self._tally

    def _work(self) -> None:
        while not self._end.is_set():
            if time.monotonic() >= self._look_at:
                self.refresh()
            self.compare_next(POLL_SECONDS / 4)


def create_candidate(
    registry: Path, model: ModelHolder, share: float, threads: int, on_compared: Callable[[str], None]
) -> Candidate:
    """Return the candidate of a registry: the version that its alias `candidate` names."""
    followed = Registry(registry)

    def find_folder() -> Path | None:
        return followed.find_promoted(CANDIDATE) if CANDIDATE in followed.state().aliases else None

    return Candidate(find_folder, model, share, threads, on_compared)


def _is_chosen(identifier: str, sha256: str, share: float) -> bool:
    """Return whether the candidate answers a field: a hash of both decides, so that repeating it changes nothing."""
    digest = hashlib.sha256(f"{sha256} {identifier}".encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


def summarize_report(report: CandidateReport) -> dict[str, Any]:
    """Return the values of the template `candidate.html`."""
    different = report.compared - report.same
    return {"report": report, "different": different, "percent": 100 * different / max(1, report.compared)}
