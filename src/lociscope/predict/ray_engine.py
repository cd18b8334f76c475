"""The engine for clusters: Ray Data reads fields in tasks, and the network computes in actors, on every machine.

A task reads and prepares the fields of one call. It needs no network, so that many of them share the few actors, each
of which has opened the bundle, from bytes that the calling process sends. The calling process receives the predictions
and writes them as shards, as those of the threads of `lociscope.predict.loading`.

Ray repeats what a lost machine or a killed worker did. A call that still fails is repeated field by field, so that a
field whose reading kills its worker is named, and costs no other.
"""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.sources import Failure, FieldSource
from lociscope.images.extent import make_tiles
from lociscope.images.io.read import read_field
from lociscope.predict.loading import CALL_FIELDS, Call, load_field
from lociscope.predict.predictor import Predictor, PreparedField, batched, check_field, prepare_tiles
from lociscope.predict.ray_connection import RETRIES, connect, count_cluster_cores, get_first_line, silence_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from lociscope.artifacts.bundle import Bundle
    from lociscope.images.field import Field

    Read: TypeAlias = Callable[[FieldSource], Field]
    _Loaded: TypeAlias = tuple[list[PreparedField], np.ndarray | None, list[Failure]]

MAX_BLOCKS = 4096
"""Maximum number of blocks of calls that are listed in advance."""

READER_CPUS, NETWORK_CPUS = 0.8, 0.2
"""Shares of a core that Ray reserves: two tasks and one actor on two cores. The network of a field takes about a
quarter of the time of reading and preparing it."""

_CALLS_PER_ACTOR = 4


@dataclass(frozen=True, slots=True)
class RayCluster:
    """A cluster that predicts; an instance takes the place of `lociscope.predict.loading.predict_sources`.

    Attributes:
        address: The address of a running cluster, such as `ray://head:10001` or `auto`; None starts one on this
            machine, and ends it afterwards.
        read: Reads a field in a task.
    """

    address: str | None = None
    read: Read = read_field

    def __call__(
        self,
        predictor: Predictor,
        sources: Sequence[FieldSource],
        workers: int | None = None,
        *,
        embeddings: bool = False,
        statistics: bool = False,
    ) -> Iterator[Call]:
        """Yield the predictions of fields, in any order.

        Args:
            predictor: The open bundle.
            sources: The files of the fields, which every machine must be able to read: on a shared disk, or by URL.
            workers: Maximum number of tasks that read at a time; None for as many as the cluster has cores.
            embeddings: Whether to return each field's embedding.
            statistics: Whether to compute each field's statistics.

        Raises:
            MissingExtraError: Ray is not installed.
            LociscopeError: The cluster does not answer, or an actor cannot open the bundle.
        """
        if not sources:
            return
        with connect(self.address), silence_data():
            size = max(1, min(CALL_FIELDS, -(-len(sources) // (4 * (workers or count_cluster_cores())))))
            todo = list(batched(sources, size))
            for _ in range(2):
                missing: list[FieldSource] = []
                yield from self._predict(predictor, todo, missing, workers, embeddings, statistics)
                if not missing:
                    return
                todo = [[source] for source in missing]
            failures = [_killed_failure(source) for source in missing]
            yield Call(None, None, failures)

    def _predict(
        self,
        predictor: Predictor,
        todo: list[list[FieldSource]],
        missing: list[FieldSource],
        workers: int | None,
        embeddings: bool,
        statistics: bool,
    ) -> Iterator[Call]:
        """Yield the calls that succeed, and add the fields of the others to `missing`."""
        import ray
        from ray.data import ActorPoolStrategy, TaskPoolStrategy

        bundle = ray.put(predictor.bundle)
        gpus = predictor.engine.runtime == "cuda"
        items = [{"number": number, "fields": pickle.dumps(some)} for number, some in enumerate(todo)]
        reader = _make_reader(predictor, self.read, statistics)
        prepared = ray.data.from_items(items, override_num_blocks=min(len(items), MAX_BLOCKS)).map_batches(
            reader, batch_size=1, batch_format="pyarrow", num_cpus=READER_CPUS, max_retries=RETRIES,
            compute=TaskPoolStrategy(size=workers),
        )  # fmt: skip
        predicted = prepared.map_batches(
            _Network, batch_size=1, batch_format="pyarrow", num_cpus=NETWORK_CPUS, num_gpus=int(gpus) or None,
            fn_constructor_args=(bundle, predictor.engine.runtime, predictor.tta, embeddings, statistics),
            compute=ActorPoolStrategy(size=_count_actors(gpus)),
        )  # fmt: skip
        waiting = dict(enumerate(todo))
        try:
            for table in predicted.iter_batches(batch_size=None, batch_format="pyarrow"):
                for number, packed in zip(table["number"].to_pylist(), table["fields"].to_pylist(), strict=True):
                    if waiting.pop(number, None) is None:  # never twice, whatever Ray repeats
                        continue
                    call = pickle.loads(packed)  # noqa: S301 - of our own actors
                    if isinstance(call, Exception):
                        raise call
                    yield call
        except ray.exceptions.RayError as error:
            raise _stopped_error(error) from error
        missing += [source for some in waiting.values() for source in some]


def _make_reader(predictor: Predictor, read: Read, statistics: bool) -> Callable[[pa.Table], pa.Table]:
    """Return the function of the tasks: fields to read in, fields that are prepared or cannot be read out."""
    spec, checked = predictor.bundle.card.input, predictor.detector is not None

    def prepare(field: Field) -> PreparedField:
        return prepare_tiles(field, make_tiles(field, spec), checked=checked)

    def load(sources: list[FieldSource]) -> _Loaded:
        return _sort_loaded([load_field(prepare, source, read) for source in sources], statistics)

    def read_whole(sources: list[FieldSource]) -> list[tuple[FieldSource, Field | Failure]]:
        return [(source, load_field(check_field, source, read)) for source in sources]

    # features are measured on the field itself, by the actor that has opened the bundle
    made = load if predictor.bundle.card.kind == "network" else read_whole
    return lambda table: _map_packed(made, table)


def _sort_loaded(loaded: Sequence[PreparedField | Failure], statistics: bool) -> _Loaded:
    """Return fields without what the network does not need, their statistics, and the failures."""
    fields = [each for each in loaded if isinstance(each, PreparedField)]
    found = np.stack([each.statistics for each in fields]) if statistics and fields else None
    light = [replace(each, whole=None, measures=None) for each in fields]
    return light, found, [each for each in loaded if isinstance(each, Failure)]


class _Network:
    """An actor: the bundle, opened; prepared fields in, calls out."""

    def __init__(
        self,
        bundle: Any,  # noqa: ANN401 - a reference
        runtime: str,
        tta: bool,
        embeddings: bool,
        statistics: bool,
    ) -> None:
        import ray

        self._embeddings, self._statistics = embeddings, statistics
        self._open: Callable[[], Predictor] = lambda: _open_predictor(ray.get(bundle), runtime, tta)
        self._predictor: Predictor | None = None

    def __call__(self, table: pa.Table) -> pa.Table:
        return _map_packed(self._run, table)

    def _run(self, loaded: _Loaded | list[tuple[FieldSource, Field | Failure]]) -> Call:
        if self._predictor is None:  # here, so that an error of it reaches the user
            self._predictor = self._open()
        if isinstance(loaded, list):
            loaded = _sort_loaded([self._prepare(*each) for each in loaded], self._statistics)
        fields, statistics, failures = loaded
        found = self._predictor.run(fields, embeddings=self._embeddings) if fields else None
        return Call(found, statistics, failures)

    def _prepare(self, source: FieldSource, field: Field | Failure) -> PreparedField | Failure:
        assert self._predictor is not None  # noqa: S101 - `_run` has opened it
        return field if isinstance(field, Failure) else load_field(self._predictor.prepare, source, lambda _: field)


def _open_predictor(bundle: Bundle, runtime: str, tta: bool) -> Predictor:
    return Predictor(bundle, 1, tta=tta, runtime=runtime)


def _map_packed(make: Callable[[Any], Any], table: pa.Table) -> pa.Table:
    """Apply a function to the column `fields`; an error takes the place of its result, and passes through others."""
    import pyarrow as pa

    results = []
    for packed in table["fields"].to_pylist():
        value = pickle.loads(packed)  # noqa: S301 - of our own tasks
        if not isinstance(value, Exception):
            try:
                value = make(value)
            except Exception as error:
                value = error
        results.append(pickle.dumps(value))
    return pa.table({"number": table["number"], "fields": pa.array(results, pa.large_binary())})


def _count_actors(gpus: bool) -> int:
    """Return the number of actors: one for each GPU, or for each few cores."""
    import ray

    if gpus:
        return max(1, int(ray.cluster_resources().get("GPU", 0)))
    return max(1, math.ceil(count_cluster_cores() / _CALLS_PER_ACTOR))


def _killed_failure(source: FieldSource) -> Failure:
    return Failure(
        source.id,
        source.first_path,
        f"Field '{source.id}': each worker that read it was killed, most likely for lack of memory. Try fewer "
        "`workers`, or a machine with more memory.",
        Code.OUT_OF_MEMORY,
    )


def _stopped_error(error: Exception) -> LociscopeError:
    return LociscopeError(
        f"The Ray cluster stopped the work ({get_first_line(error)}). Run the same command again: it continues.",
        code=Code.UNAVAILABLE,
    )
