"""The network of a bundle in a runtime: prepared inputs in, outputs by name out."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.bundle import SELFTEST_TOLERANCE
from lociscope.errors import Code, LociscopeError
from lociscope.labels import expand_classes
from lociscope.predict.runtimes import DEFAULT_RUNTIME, load_runtime

if TYPE_CHECKING:
    from lociscope.artifacts.bundle import Bundle
    from lociscope.predict.runtimes import Runtime


class Engine:
    """A loaded network.

    Every runtime must reproduce the bundle's self-test within `SELFTEST_TOLERANCE`, so that the probabilities of two
    runtimes differ by twice that at most on it.

    Args:
        bundle: An open bundle; its bytes are those whose hashes were checked.
        threads: Number of threads per call; 0 uses every core.
        runtime: A key of `lociscope.predict.runtimes.RUNTIMES`.
        calls: Number of calls that run at the same time.

    Raises:
        UsageError: The runtime is unknown.
        LociscopeError: The runtime is not installed, the model cannot be loaded, or it fails the bundle's self-test.
    """

    def __init__(self, bundle: Bundle, threads: int = 0, runtime: str = DEFAULT_RUNTIME, calls: int = 1) -> None:
        self._folder = bundle.folder
        self._classes = bundle.card.classes
        self.runtime = runtime
        try:
            self._runtime: Runtime = load_runtime(runtime, bundle.model, threads, calls)
        except LociscopeError:
            raise
        except Exception as error:  # the runtimes' errors share no base class
            raise self._run_error(error) from error
        self.outputs = self._runtime.outputs
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
            inputs: (n, height, width, 4) of uint8, or of float32 in 0–255, as `lociscope.images.extent.make_tiles`
                makes them.
            outputs: Names of the outputs to return.

        Returns:
            The outputs by name, float32, of all 28 classes: the probability of a class that the model does not know is
            NaN, its evidence 0.

        Raises:
            LociscopeError: The model lacks one of the outputs.
        """
        self.require_outputs(*outputs)
        scaled = np.empty(inputs.shape, np.float32)  # contiguous, whatever the layout of the inputs
        np.divide(inputs, np.float32(255), out=scaled, dtype=np.float32)
        return dict(zip(outputs, self._run(scaled, outputs), strict=True))

    def _expand(self, name: str, values: np.ndarray) -> np.ndarray:
        """Return an output with all 28 classes on its last axis."""
        if name not in ("probabilities", "evidence") or values.shape[-1] != len(self._classes):
            return values
        return expand_classes(values, self._classes, np.nan if name == "probabilities" else 0)

    def _run(self, inputs: np.ndarray, outputs: tuple[str, ...]) -> list[np.ndarray]:
        size = self._runtime.batch
        calls = [self._runtime.run(inputs[start : start + size], outputs) for start in range(0, len(inputs), size)]
        joined = [np.concatenate(parts) for parts in zip(*calls, strict=True)]
        return [self._expand(name, values) for name, values in zip(outputs, joined, strict=True)]

    def _run_selftest(self, bundle: Bundle) -> None:
        test = bundle.selftest
        try:
            (given,) = self._run(test.input, ("probabilities",))
        except Exception as error:  # the runtimes' errors share no base class
            raise self._run_error(error) from error
        if given.shape != test.probabilities.shape:
            raise LociscopeError(
                f"Bundle '{bundle.folder}': its self-test holds {test.probabilities.shape} probabilities, its model "
                f"gives {given.shape}. Export it again.",
                code=Code.CORRUPT,
            )
        known = list(self._classes)
        difference = float(np.abs(given - test.probabilities)[:, known].max())
        if not difference <= SELFTEST_TOLERANCE:
            other = "another version of it" if self.runtime == DEFAULT_RUNTIME else f"`runtime={DEFAULT_RUNTIME}`"
            raise LociscopeError(
                f"Bundle '{bundle.folder}' fails its self-test on this machine: with {self._describe()}, a probability "
                f"differs by {difference:.2g}, allowed are {SELFTEST_TOLERANCE:g}. Try {other}, or export the bundle "
                "again.",
                code=Code.REFUSED,
            )

    def _run_error(self, error: Exception) -> LociscopeError:
        lines = [line for line in str(error).splitlines() if line and not line.startswith("Exception from")]
        reason = lines[0][:200] if lines else type(error).__name__
        return LociscopeError(
            f"Bundle '{self._folder}': with {self._describe()}, its model cannot be run ({reason}). Export it again.",
            code=Code.CORRUPT,
        )

    def _describe(self) -> str:
        """Return the name and the version of the runtime's package."""
        package = "onnxruntime-gpu" if self.runtime == "cuda" else self.runtime
        return f"{package} {version(package)}"
