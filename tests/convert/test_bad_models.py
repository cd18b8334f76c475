"""What the page of bad inputs says of models of others, and of networks of one's own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from lociscope.artifacts.bundle import Selftest, read_bundle, write_bundle
from lociscope.artifacts.card import Card, Decision
from lociscope.convert.converted import OutputOptions, convert_onnx
from lociscope.convert.label_map import read_label_map
from lociscope.convert.onnx_model import parse_onnx, read_onnx
from lociscope.convert.published import GAPNET_PL, check_files
from lociscope.convert.wrap import Preparation
from lociscope.errors import LociscopeError
from lociscope.models import build_network

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "bad-input.md").read_text(encoding="utf-8")
PART = PAGE.partition("## Models of others")[2].partition("## Cells")[0]
SAID = dict(re.findall(r"^\| ([^|`]+) \| `([^`]+)` \|$", PART, re.MULTILINE))
Make = Callable[..., Path]


def convert(path: Path, preparation: Preparation | None = None, label_map: tuple[int, ...] | None = None) -> None:
    convert_onnx(read_onnx(path), preparation or Preparation(), OutputOptions("scores"), label_map)


def reparse(path: Path, change: Callable[[Any], None]) -> None:
    model = onnx.load(path)
    change(model)
    convert_onnx(parse_onnx(model.SerializeToString(), "it"), Preparation(), OutputOptions("scores"))


def set_domain(model: Any) -> None:
    model.graph.node[0].domain = "com.example"
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))


def set_version(version: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        model.opset_import[0].version = version

    return change


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def broken_checkpoint(folder: Path) -> None:
    for name in GAPNET_PL.files:
        (folder / name).write_bytes(b"cut")
    check_files(GAPNET_PL, folder)


def changed_member(folder: Path, make_bundle: Callable[..., Path]) -> None:
    member = make_bundle(folder / "member")
    card = read_bundle(member).card
    selftest = Selftest(np.zeros((1, 16, 16, 4), np.float32), np.zeros((1, 28), np.float32))
    decide = Decision(policy="expected", thresholds=(0.5,) * 28)
    made = Card(
        kind="ensemble", name="e", version="1", created="2026-01-01T00:00:00+00:00", licence="MIT", input=card.input,
        decide=decide, limits="For tests.",
    )  # fmt: skip
    write_bundle(folder / "ensemble", made, b"{}", selftest, {}, [member])
    assert len(read_bundle(folder / "ensemble").members) == 1
    shutil.rmtree(folder / "ensemble" / "members" / "0")
    make_bundle(folder / "ensemble" / "members" / "0", 7)
    read_bundle(folder / "ensemble")


def network(folder: Path, text: str) -> None:
    build_network(f"{written(folder / 'net.py', text)}:build", 16, {})


def dense(units: int, channels: int = 4) -> str:
    return (
        "import keras\nfrom keras import layers\ndef build(size):\n"
        f"    f = keras.Input((size, size, {channels}))\n"
        f"    return keras.Model(f, layers.Dense({units})(layers.GlobalAveragePooling2D()(f)))\n"
    )


CASES: dict[str, Callable[[Path, Make, Make], object]] = {
    "13 outputs and no label map": lambda folder, model, bundle: convert(model(outputs=13)),
    "another number of outputs than the label map has lines": lambda folder, model, bundle: convert(
        model(), label_map=(1, 2)
    ),
    "a line of the label map that names no location": lambda folder, model, bundle: read_label_map(
        written(folder / "labels.txt", "Golgi\n")
    ),
    "weights that are not numbers": lambda folder, model, bundle: convert(model(weights=np.full((4, 28), np.inf))),
    "an operator of a foreign domain": lambda folder, model, bundle: reparse(model(), set_domain),
    "operators of an old version": lambda folder, model, bundle: reparse(model(), set_version(9)),
    "operators that ONNX Runtime does not know yet": lambda folder, model, bundle: reparse(model(), set_version(999)),
    "a text file": lambda folder, model, bundle: read_onnx(written(folder / "a.onnx", "text")),
    "an input of two channels whose letters are not given": lambda folder, model, bundle: convert(
        model(channels=2), Preparation("")
    ),
    "an input of any size": lambda folder, model, bundle: convert(model(side="s")),
    "a file of a checkpoint that is cut short, or has another hash": lambda folder, model, bundle: broken_checkpoint(
        folder
    ),
    "a folder without the checkpoint": lambda folder, model, bundle: check_files(GAPNET_PL, folder),
    "a member of an ensemble that changed": lambda folder, model, bundle: changed_member(folder, bundle),
    "a file that is not there": lambda folder, model, bundle: build_network(f"{folder / 'no.py'}:build", 16, {}),
    "a file that raises while it is imported": lambda folder, model, bundle: network(
        folder, "raise RuntimeError('no')"
    ),
    "a file without the function": lambda folder, model, bundle: network(folder, "x = 1"),
    "a function that raises": lambda folder, model, bundle: network(folder, "def build(size):\n    1 / 0"),
    "a network of another output": lambda folder, model, bundle: network(folder, dense(27)),
    "a network of another input": lambda folder, model, bundle: network(folder, dense(28, 3)),
}


def test_every_row_is_made() -> None:
    assert CASES.keys() == SAID.keys()


@pytest.mark.parametrize("kind", CASES)
def test_what_the_page_says(kind: str, tmp_path: Path, make_model: Make, make_bundle: Make) -> None:
    with pytest.raises(LociscopeError) as caught:
        CASES[kind](tmp_path, make_model, make_bundle)
    assert SAID[kind] in str(caught.value)
