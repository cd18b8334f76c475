"""The network of a bundle in ONNX Runtime: prepared inputs in, outputs by name out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.bundle import SELFTEST_TOLERANCE
from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    import onnxruntime

    from lociscope.artifacts.bundle import Bundle


class Engine:
    """A loaded network.

    Args:
        bundle: An open bundle; its bytes are those whose hashes were checked.
        threads: Number of threads per call; 0 uses every core.

    Raises:
        LociscopeError: The model cannot be loaded, or fails the bundle's self-test.
    """

    def __init__(self, bundle: Bundle, threads: int = 0) -> None:
        self._folder = bundle.folder
        self._session = _open_session(bundle, threads)
        self._input = self._session.get_inputs()[0].name
        self.outputs: tuple[str, ...] = tuple(output.name for output in self._session.get_outputs())
        self.require_outputs("probabilities")
        self._run_selftest(bundle)

    def require_outputs(self, *outputs: str) -> None:
        """Raise a LociscopeError if the model lacks an output."""
        missing = [name for name in outputs if name not in self.outputs]
        if missing:
            raise LociscopeError(
                f"Bundle '{self._folder}': its model has no output '{missing[0]}' (it has {', '.join(self.outputs)}). "
                "Do without it, or export the bundle again.",
                code=Code.NOT_FOUND,
            )

    def run(self, inputs: np.ndarray, outputs: tuple[str, ...] = ("probabilities",)) -> dict[str, np.ndarray]:
        """Return outputs of the network.

        Args:
            inputs: (n, height, width, 4) of uint8, as `lociscope.images.scale.prepare` makes them.
            outputs: Names of the outputs to return.

        Returns:
            The outputs by name, float32.

        Raises:
            LociscopeError: The model lacks one of the outputs.
        """
        self.require_outputs(*outputs)
        return self._run(inputs.astype(np.float32) / np.float32(255), outputs)

    def _run(self, inputs: np.ndarray, outputs: tuple[str, ...]) -> dict[str, np.ndarray]:
        return dict(zip(outputs, self._session.run(list(outputs), {self._input: inputs}), strict=True))

    def _run_selftest(self, bundle: Bundle) -> None:
        test = bundle.selftest
        try:
            given = self._run(test.input, ("probabilities",))["probabilities"]
        except Exception as error:  # ONNX Runtime's errors share no base class
            raise _load_error(bundle, error) from error
        if given.shape != test.probabilities.shape:
            raise LociscopeError(
                f"Bundle '{bundle.folder}': its self-test holds {test.probabilities.shape} probabilities, its model "
                f"gives {given.shape}. Export it again.",
                code=Code.CORRUPT,
            )
        difference = float(np.abs(given - test.probabilities).max())
        if not difference <= SELFTEST_TOLERANCE:
            raise LociscopeError(
                f"Bundle '{bundle.folder}' fails its self-test on this machine: a probability differs by "
                f"{difference:.2g}, allowed are {SELFTEST_TOLERANCE:g}. Install another onnxruntime, or export again.",
                code=Code.REFUSED,
            )


def _open_session(bundle: Bundle, threads: int) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Threads that spin while they wait take the cores from reading the next fields.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(bundle.model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise _load_error(bundle, error) from error


def _load_error(bundle: Bundle, error: Exception) -> LociscopeError:
    reason = str(error).splitlines()[0][:200]
    return LociscopeError(
        f"Bundle '{bundle.folder}': its model cannot be run ({reason}). Export it again.", code=Code.CORRUPT
    )
