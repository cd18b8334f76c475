"""Fields read, prepared and predicted in threads: while one thread reads, another computes the network."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import numpy as np

from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import Failure, FieldSource
from lociscope.images.io.read import read_field
from lociscope.predict.predictor import PreparedField, batched
from lociscope.processes.ahead import map_ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lociscope.artifacts.predictions import Predictions
    from lociscope.images.field import Field
    from lociscope.predict.predictor import Predictor

Prepared = TypeVar("Prepared")

CALL_FIELDS = 8
"""Number of fields that one thread reads, prepares and predicts at a time: the most that an interrupt loses of each."""

MAX_WORKERS = 16
"""Maximum number of threads without an explicit choice: more of them wait for Python's interpreter lock."""


class BatchEngine(Protocol):
    """What reads and predicts the fields of a batch."""

    def __call__(
        self,
        predictor: Predictor,
        sources: Sequence[FieldSource],
        workers: int | None,
        *,
        embeddings: bool = False,
        statistics: bool = False,
    ) -> Iterator[Call]:
        """Yield the predictions of fields; see `predict_sources`."""


class Call(NamedTuple):
    """What one thread predicted at a time.

    Attributes:
        predictions: Its fields; None where none could be read.
        statistics: (n, k) of its fields, or nothing where nobody needs them.
        failures: Its fields that cannot be read.
    """

    predictions: Predictions | None
    statistics: np.ndarray | None
    failures: list[Failure]


def load_field(
    prepare: Callable[[Field], Prepared], source: FieldSource, read: Callable[[FieldSource], Field] | None = None
) -> Prepared | Failure:
    """Return a field, read and prepared, or why it cannot be read.

    Args:
        prepare: Makes the input of a model of a field, or checks it.
        source: The files of the field.
        read: Reads them; None for `read_field`.
    """
    try:
        return prepare((read or read_field)(source))
    except LociscopeError as error:
        reason, code = str(error), error.code
    except MemoryError:
        reason = f"Field '{source.id}' does not fit into memory. Try fewer `workers`, or a larger machine."
        code = Code.OUT_OF_MEMORY
    return Failure(source.id, source.first_path, reason, code)


def predict_sources(
    predictor: Predictor,
    sources: Sequence[FieldSource],
    workers: int | None,
    *,
    embeddings: bool = False,
    statistics: bool = False,
) -> Iterator[Call]:
    """Yield the predictions of fields in order.

    Each thread reads, prepares and predicts the fields of one call after the other, so that no core waits for another:
    while some threads read, others compute the network, and the caller writes.

    Args:
        predictor: The open bundle.
        sources: The files of the fields.
        workers: Number of threads; None for one. At most as many finished calls wait, so that memory does not grow
            with `sources`.
        embeddings: Whether to return each field's embedding.
        statistics: Whether to compute each field's statistics.
    """

    def predict(some: Sequence[FieldSource]) -> Call:
        loaded = [load_field(predictor.prepare, source) for source in some]
        failures = [each for each in loaded if isinstance(each, Failure)]
        fields = [each for each in loaded if isinstance(each, PreparedField)]
        if not fields:
            return Call(None, None, failures)
        found = np.stack([each.statistics for each in fields]) if statistics else None
        return Call(predictor.run(fields, embeddings=embeddings), found, failures)

    workers = workers or 1
    each = max(1, min(CALL_FIELDS, -(-len(sources) // workers)))
    with thread_pool(workers) as pool:
        yield from map_ahead(pool, predict, batched(sources, each), 2 * workers)


@contextmanager
def thread_pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Open a pool of threads that does not wait for them after an error or an interrupt."""
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
