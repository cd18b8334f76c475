"""Measures what a Run's network costs, once: the Run keeps the answer."""

from __future__ import annotations

import hashlib
import logging
import platform
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from lociscope.errors import LociscopeError
from lociscope.models.cost import FILE, SCHEMA, Cost, macs_of
from lociscope.storage.atomic import atomic_write
from lociscope.storage.schema import parse_model

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from lociscope.artifacts.run import Run

CALLS, ENOUGH = 30, 2.0
"""One field is predicted so often, or for so many seconds."""

logger = logging.getLogger(__name__)


def measure_cost(run: Run, *, quick: bool = False) -> Cost | None:
    """What the network of a Run costs.

    Args:
        run: A finished Run.
        quick: Measures nothing, and takes only what an earlier call kept in the Run.

    Returns:
        The cost; None of a Run without a network (the features recipe), or where `quick` finds nothing kept.

    Raises:
        LociscopeError: The network cannot be loaded.
        MissingExtraError: Keras is not installed.
    """
    if not run.best_model.is_file():
        return None
    network = _sha256(run.best_model)
    kept = _kept(run.folder / FILE)
    if kept is not None and kept.network == network:
        return kept
    if quick:
        return None
    measured = _measured(run, network)
    if measured.reason:
        return measured  # and is tried again next time
    try:
        with atomic_write(run.folder / FILE) as part:
            part.write_text(measured.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
    except LociscopeError as error:
        logger.warning("the cost of Run '%s' is measured again next time: %s", run.folder, error)
    return measured


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kept(path: Path) -> Cost | None:
    """What an earlier call found; a file that cannot be read is measured anew."""
    try:
        return parse_model(path.read_bytes(), Cost, SCHEMA, f"'{path}'")
    except (OSError, LociscopeError):
        return None


def _measured(run: Run, digest: str) -> Cost:
    from lociscope.models import load_network

    macs, where = None, f"{platform.system()} {platform.machine()}, onnxruntime {version('onnxruntime')}"
    try:
        network = load_network(run.best_model)
        macs = macs_of(network)
        milliseconds = measure_latency(network, run.read_recipe().data.size)
    except LociscopeError:
        raise
    except Exception as error:  # Keras, tf2onnx and ONNX Runtime share no base class
        return Cost(
            network=digest,
            macs=macs,
            reason=f"not measured: {(str(error).strip() or type(error).__name__).splitlines()[0][:200]}",
        )
    import keras

    keras.utils.clear_session()
    return Cost(network=digest, macs=macs, latency_ms=round(milliseconds, 3), where=where)


def measure_latency(network: keras.Model, size: int) -> float:
    """The least time of one field, in ms: what else the machine does can only lengthen it.

    Args:
        network: From (n, size, size, 4) to outputs with `probabilities`.
        size: Side of the input in px.

    Returns:
        Milliseconds of ONNX Runtime on one core.
    """
    import onnxruntime

    from lociscope.training.export import to_onnx

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    field = np.random.default_rng(0).random((1, size, size, 4), np.float32)
    network(field, training=False)  # Keras exports only what was called
    session = onnxruntime.InferenceSession(to_onnx(network), options, providers=["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: field}
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < CALLS and (not times or time.perf_counter() - began < ENOUGH):
        start = time.perf_counter()
        session.run(["probabilities"], inputs)
        times.append(time.perf_counter() - start)
    return 1000 * min(times)
