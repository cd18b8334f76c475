"""The workflow behind `lociscope ensemble`, called from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from fixtures.codes import raises_code

from lociscope.artifacts.predictions import Predictions
from lociscope.errors import Code
from lociscope.workflows.ensemble import apply_ensemble, read_members, read_truth

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, ids: str) -> Path:
    n = len(ids)
    probability = np.random.default_rng(0).random((n, 28), np.float32)
    Predictions(list(ids), probability, [()] * n, ["ok"] * n, [()] * n).write(path)
    return path


def test_members_are_read_in_the_order_of_the_first(tmp_path: Path) -> None:
    ids, stack, members = read_members([write(tmp_path / "a.csv", "xyz"), write(tmp_path / "b.csv", "zyx")])
    assert ids == ["x", "y", "z"]
    np.testing.assert_allclose(stack[0], stack[1][::-1], atol=1e-6)
    assert len(members) == 2
    with raises_code(Code.INCOMPLETE):
        read_members([tmp_path / "a.csv", write(tmp_path / "c.csv", "xy")])


def test_truth_of_a_label_table_has_no_groups(tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text("Id,Target\nx,0 25\ny,3\n")
    truth, groups = read_truth(tmp_path / "truth.csv", ["y", "x"])
    assert [np.flatnonzero(row).tolist() for row in truth] == [[3], [0, 25]]
    assert groups is None
    with raises_code(Code.INVALID_LABELS):
        read_truth(tmp_path / "truth.csv", ["z"])


def test_another_folder_is_not_applied(tmp_path: Path) -> None:
    with raises_code(Code.WRONG_FILE):
        apply_ensemble(tmp_path, [write(tmp_path / "a.csv", "x")], tmp_path / "out.csv")
