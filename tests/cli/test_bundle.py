"""`lociscope bundle`: models of others, and what a wrong option says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from lociscope.artifacts.bundle import read_bundle
from lociscope.errors import Exit

if TYPE_CHECKING:
    from pathlib import Path

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def words(pytestconfig: pytest.Config, small_catalog: Path, tmp_path: Path) -> tuple[object, ...]:
    """The words that convert the network of PyTorch."""
    labels = tmp_path / "labels.txt"
    labels.write_text("Nucleoplasm\nNucleoli\n7\nActin filaments\nCytosol\n", encoding="utf-8")
    model = pytestconfig.rootpath / "tests" / "convert" / "models" / "torch_dynamo.onnx"
    return ("bundle", "from-onnx", model, "--catalog", small_catalog, "--labels", labels, "-o", tmp_path / "mine")


def test_an_onnx_model_becomes_a_bundle(lociscope: Command, words: tuple[object, ...], tmp_path: Path) -> None:
    code, out, err = lociscope(
        *words, "--scale", "255", "--mean", "1,2,3", "--std", "2", "--calibration", "temperature"
    )
    assert (code, out) == (Exit.DONE, f"{tmp_path / 'mine'}\n")
    assert "5 classes, 32 × 32 px" in err
    assert "NCHW, channels RGB, activation sigmoid" in err
    card = read_bundle(tmp_path / "mine").card
    assert card.decide.calibration is not None
    assert card.decide.calibration.method == "temperature"


@pytest.mark.parametrize(
    ("more", "part"),
    [
        (("--mean", "1,x"), "--mean is '1,x'"),
        (("--std", "1,2"), "--std has 2 numbers"),
        (("--layout", "NWHC"), "--layout NWHC is unknown. Did you mean 'NHWC'?"),
        (("--channels", "RB"), "--channels names 2 channels (RB)"),
        (("--size", "64"), "--size is 64, but the model takes 32 × 32 px."),
        (("--activation", "relu"), "--activation relu is unknown."),
        (("--output-name", "logit"), "Did you mean 'logits'?"),
        (("--policy", "best"), "is not a threshold policy"),
    ],
)
def test_wrong_options(lociscope: Command, words: tuple[object, ...], more: tuple[str, str], part: str) -> None:
    code, out, err = lociscope(*words, *more)
    assert (code, out) == (Exit.USAGE, "")
    assert part in err
