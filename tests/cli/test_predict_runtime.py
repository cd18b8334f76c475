"""`lociscope predict --runtime`, and the rows of "Predicting" in the page about bad input."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lociscope.artifacts.predictions import Predictions
from lociscope.images.io.read import read_field
from lociscope.predict import loading, runtimes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from lociscope.images.discovery.field_source import FieldSource
    from lociscope.images.field import Field

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "bad-input.md"
SECTION = PAGE.read_text(encoding="utf-8").split("## Predicting\n")[1].split("\n## ")[0]
ROWS = dict(re.findall(r"^\| ([^|]+) \| `(.+)` \| [^|]+ \|$", SECTION, flags=re.MULTILINE))


def test_a_table_is_completed_with_another_runtime(
    lociscope: Callable[..., tuple[int, str, str]], write_field: Callable[..., Path], tmp_path: Path
) -> None:
    if find_spec("openvino") is None:
        pytest.skip("the extra 'openvino' is not installed")
    folder = write_field("f0")
    assert lociscope("predict", folder, "-o", tmp_path / "out.csv")[0] == 0
    write_field("f1", seed=1)
    code, out, _ = lociscope("predict", folder, "-o", tmp_path / "out.csv", "--runtime", "openvino")
    assert (code, out) == (0, f"2 fields in {tmp_path / 'out.csv'}, 1 new\n")
    assert Predictions.read(tmp_path / "out.csv").ids == ["f0", "f1"]


def prepare_unknown(patch: pytest.MonkeyPatch) -> tuple[str, int]:
    return "openvin", 2


def prepare_missing(patch: pytest.MonkeyPatch) -> tuple[str, int]:
    patch.setitem(sys.modules, "openvino", None)
    return "openvino", 1


def prepare_cuda(patch: pytest.MonkeyPatch) -> tuple[str, int]:
    patch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    return "cuda", 1


def prepare_deviating(patch: pytest.MonkeyPatch) -> tuple[str, int]:
    class Deviating(runtimes.OnnxRuntime):
        def run(self, inputs: np.ndarray, outputs: Sequence[str]) -> list[np.ndarray]:
            return [each * 0 for each in super().run(inputs, outputs)]

    patch.setitem(runtimes.RUNTIMES, "openvino", Deviating)
    patch.setattr("lociscope.predict.engine.version", lambda name: "2026.4.1")
    return "openvino", 1


def prepare_vanishing(patch: pytest.MonkeyPatch) -> tuple[str, int]:
    def vanish(source: FieldSource) -> Field:
        if source.planes[1] is not None:
            source.planes[1].file.unlink()
        return read_field(source)

    patch.setattr(loading, "read_field", vanish)
    return "onnxruntime", 1


CASES: dict[str, Callable[[pytest.MonkeyPatch], tuple[str, int]]] = {
    "an unknown `--runtime`": prepare_unknown,
    "`--runtime openvino` without OpenVINO": prepare_missing,
    "`--runtime cuda` without ONNX Runtime for GPUs": prepare_cuda,
    "a bundle on which two runtimes disagree": prepare_deviating,
    "a file that disappears between listing and reading": prepare_vanishing,
}


def test_every_row_is_tested() -> None:
    assert ROWS.keys() == CASES.keys()


@pytest.mark.parametrize("row", CASES)
def test_bad_input_while_predicting(
    lociscope: Callable[..., tuple[int, str, str]],
    write_field: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    row: str,
) -> None:
    runtime, exit_code = CASES[row](monkeypatch)
    code, _, err = lociscope("predict", write_field("f0"), "-o", tmp_path / "out.csv", "--runtime", runtime)
    assert code == exit_code, err
    for part in ROWS[row].split("` … `"):
        assert part in err
    assert not (tmp_path / "out.csv").exists()
