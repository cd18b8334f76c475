"""Runtimes that compute a network: ONNX Runtime on CPU or NVIDIA GPU, and OpenVINO."""

from __future__ import annotations

import sys
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from lociscope.errors import Code, LociscopeError, MissingExtraError, UsageError, suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEFAULT_RUNTIME = "onnxruntime"


class RuntimeOptions(NamedTuple):
    """How networks are computed: threads per call (0: every core), a key of `RUNTIMES`, and calls at the same time."""

    threads: int = 0
    runtime: str = DEFAULT_RUNTIME
    calls: int = 1


class Runtime(Protocol):
    """A loaded network. Several threads may call it at once.

    Attributes:
        outputs: Names of its outputs.
        batch: Number of inputs per call. On a CPU, more than one are not faster, and the last digits would depend on
            which inputs are computed together.
    """

    outputs: tuple[str, ...]
    batch: int

    def run(self, inputs: np.ndarray, outputs: Sequence[str]) -> list[np.ndarray]:
        """Return some outputs, of float32, for inputs (n, height, width, 4) of float32 in 0–1."""


def load_runtime(name: str, model: bytes, threads: int = 0, calls: int = 1) -> Runtime:
    """Load a network.

    Args:
        name: A key of `RUNTIMES`.
        model: The bytes of an ONNX model.
        threads: Number of threads per call; 0 uses every core.
        calls: Number of calls that run at the same time.

    Returns:
        The loaded network.

    Raises:
        UsageError: The runtime is unknown.
        LociscopeError: The runtime is not installed, or finds no device.
        Exception: Any other error of the runtime, which has no common base class: the model cannot be loaded.
    """
    if name not in RUNTIMES:
        raise UsageError(f"`runtime={name}` is unknown.{suggest(str(name), RUNTIMES)}", code=Code.UNKNOWN_NAME)
    return RUNTIMES[name](model, threads, calls)


class OnnxRuntime:
    """ONNX Runtime on the CPU.

    Args:
        model: The bytes of an ONNX model.
        threads: Number of threads per call; 0 uses every core.
        calls: Not used: calls share nothing.
    """

    batch = 1
    providers: tuple[str, ...] = ("CPUExecutionProvider",)

    def __init__(self, model: bytes, threads: int, calls: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Threads that spin while they wait take the cores from reading the next fields.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(model, options, providers=list(self.providers))
        self._input = self._session.get_inputs()[0].name
        self.outputs = tuple(output.name for output in self._session.get_outputs())
        fixed = self._session.get_inputs()[0].shape[0]
        if isinstance(fixed, int):  # a model that was exported for so many inputs
            self.batch = fixed

    def run(self, inputs: np.ndarray, outputs: Sequence[str]) -> list[np.ndarray]:
        """Return some outputs; see `Runtime`."""
        found: list[np.ndarray] = self._session.run(list(outputs), {self._input: inputs})
        return found


class CudaRuntime(OnnxRuntime):
    """ONNX Runtime on an NVIDIA GPU; what the GPU cannot compute, the CPU does.

    Raises:
        LociscopeError: The installed ONNX Runtime has no CUDA, or finds no GPU.
    """

    batch = 16
    providers = ("CUDAExecutionProvider", "CPUExecutionProvider")

    def __init__(self, model: bytes, threads: int, calls: int) -> None:
        import onnxruntime

        if self.providers[0] not in onnxruntime.get_available_providers():
            raise LociscopeError(
                f"`runtime=cuda` needs ONNX Runtime for GPUs; onnxruntime {onnxruntime.__version__} is installed. "
                "Replace it: pip uninstall -y onnxruntime && pip install onnxruntime-gpu.",
                code=Code.MISSING_EXTRA,
            )
        super().__init__(model, threads, calls)
        if self.providers[0] not in self._session.get_providers():  # it falls back to the CPU without an error
            raise LociscopeError(
                "`runtime=cuda`: ONNX Runtime cannot use an NVIDIA GPU here. Install NVIDIA's driver, CUDA and cuDNN, "
                "or pass `runtime=onnxruntime`.",
                code=Code.UNAVAILABLE,
            )


class OpenVino:
    """OpenVINO on the CPU, in float32: by default it computes in bfloat16 where the CPU can.

    Args:
        model: The bytes of an ONNX model.
        threads: Number of threads per call; 0 uses every core.
        calls: Number of calls that run at the same time, each on its own threads.

    Raises:
        MissingExtraError: It is not installed.
    """

    batch = 1

    def __init__(self, model: bytes, threads: int, calls: int) -> None:
        core = _get_core(_import_openvino())
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "f32",
            "NUM_STREAMS": calls,
            # Its threads would keep the cores to which they are bound from the threads that read fields.
            "ENABLE_CPU_PINNING": False,
        }
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads * calls
        self._network = core.compile_model(core.read_model(model, b""), "CPU", settings)
        self._of_thread = threading.local()
        self.outputs = tuple(output.any_name for output in self._network.outputs)

    def run(self, inputs: np.ndarray, outputs: Sequence[str]) -> list[np.ndarray]:
        """Return some outputs; see `Runtime`."""
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._network.create_infer_request()
        found = self._of_thread.request.infer({0: inputs}, share_inputs=True)
        return [np.asarray(found[name]) for name in outputs]


@lru_cache(maxsize=1)
def _get_core(openvino: Any) -> Any:  # noqa: ANN401 - it may be missing
    """Return the only core of the process: after two were freed, the next signal ended it (OpenVINO 2026.4)."""
    return openvino.Core()


def _import_openvino() -> Any:  # noqa: ANN401 - it may be missing
    """Import OpenVINO without its model converter, which would report its use to the maker of OpenVINO.

    Raises:
        MissingExtraError: It is not installed.
    """
    converter = "openvino.tools.ovc"
    absent = converter not in sys.modules
    if absent:
        sys.modules[converter] = None  # type: ignore[assignment] # `None` makes an import fail; OpenVINO expects that
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError("`runtime=openvino`", "openvino") from error
    finally:
        if absent:
            sys.modules.pop(converter, None)
    return openvino


RUNTIMES: dict[str, Callable[[bytes, int, int], Runtime]] = {
    DEFAULT_RUNTIME: OnnxRuntime,
    "openvino": OpenVino,
    "cuda": CudaRuntime,
}
"""Runtimes by name."""
