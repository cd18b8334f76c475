"""Measure the computational cost of a Run's network once, and store it in the Run."""

from __future__ import annotations

import hashlib
import logging
import platform
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from lociscope.errors import LociscopeError
from lociscope.models.cost import FILE, SCHEMA, Cost, count_macs
from lociscope.storage.atomic import atomic_write
from lociscope.storage.schema import parse_model

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from lociscope.artifacts.run import Run

MAX_CALLS, MAX_SECONDS = 30, 2.0
"""Limits of the repeated predictions of one field."""

logger = logging.getLogger(__name__)


def measure_cost(run: Run, *, quick: bool = False) -> Cost | None:
    """Return the cost of a Run's network, measured or as an earlier call stored it.

    Args:
        run: A finished Run.
        quick: Measure nothing; return only a stored cost.

    Returns:
        The cost; None for a Run without a network (the features recipe), or if `quick` finds no stored cost.

    Raises:
        LociscopeError: The network cannot be loaded.
        MissingExtraError: Keras is not installed.
    """
    if not run.best_model.is_file():
        return None
    network = _sha256(run.best_model)
    stored = _read_stored(run.folder / FILE)
    if stored is not None and stored.network == network:
        return stored
    if quick:
        return None
    measured = _measure(run, network)
    if measured.reason:
        return measured  # and measure again next time
    try:
        with atomic_write(run.folder / FILE) as part:
            part.write_text(measured.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
    except LociscopeError as error:
        logger.warning("the cost of Run '%s' is measured again next time: %s", run.folder, error)
    return measured


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_stored(path: Path) -> Cost | None:
    """Return the stored cost; None if the file is missing or cannot be read."""
    try:
        return parse_model(path.read_bytes(), Cost, SCHEMA, f"'{path}'")
    except (OSError, LociscopeError):
        return None


def _measure(run: Run, digest: str) -> Cost:
    from lociscope.models import load_best

    macs, where = None, f"{platform.system()} {platform.machine()}, onnxruntime {version('onnxruntime')}"
    try:
        network = load_best(run)
        macs = count_macs(network)
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
    """Return the shortest time of one field in ms, since other processes can only lengthen it.

    Args:
        network: Maps (n, size, size, 4) to outputs with `probabilities`.
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
    network(field, training=False)  # Keras can only export a network that was called
    session = onnxruntime.InferenceSession(to_onnx(network), options, providers=["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: field}
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < MAX_CALLS and (not times or time.perf_counter() - began < MAX_SECONDS):
        start = time.perf_counter()
        session.run(["probabilities"], inputs)
        times.append(time.perf_counter() - start)
    return 1000 * min(times)
