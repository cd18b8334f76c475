"""Label maps: which class each output has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from fixtures.codes import raises_code

from lociscope.convert.label_map import check_label_map, list_classes, list_outputs, merge_outputs, read_label_map
from lociscope.errors import Code

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, text: str) -> Path:
    path = folder / "labels.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_names_numbers_and_none(tmp_path: Path) -> None:
    path = write(tmp_path, "cytosol\n7\n-\nCentriolar satellite\n25\n\n")
    label_map = read_label_map(path)
    assert label_map == (25, 7, None, 18, 25)
    assert list_classes(label_map) == (7, 18, 25)
    np.testing.assert_array_equal(list_outputs(label_map), [[1, 1], [3, 3], [0, 4]])
    merged = merge_outputs(np.array([[0.1, 0.2, 0.9, 0.3, 0.4]]), label_map)
    np.testing.assert_allclose(merged, [[0.2, 0.3, 0.4]])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Golgi\n", Code.INVALID_LABELS),
        ("28\n", Code.INVALID_LABELS),
        ("7\n\n25\n", Code.INVALID_LABELS),
        ("-\n-\n", Code.INVALID_LABELS),
        ("", Code.INVALID_LABELS),
    ],
    ids=["unknown name", "unknown number", "blank line", "no class", "empty"],
)
def test_bad_maps_are_refused(tmp_path: Path, text: str, code: Code) -> None:
    with raises_code(code):
        read_label_map(write(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with raises_code(Code.NOT_FOUND):
        read_label_map(tmp_path / "absent.txt")
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfe\x00")
    with raises_code(Code.WRONG_FILE):
        read_label_map(tmp_path / "labels.txt")


def test_the_number_of_outputs_must_fit() -> None:
    assert len(check_label_map(None, 28)) == 28
    for label_map, outputs in ((None, 13), ((1, 2), 3)):
        with raises_code(Code.INVALID_LABELS):
            check_label_map(label_map, outputs)
