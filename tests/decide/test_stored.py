"""A fitted ensemble on disk."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fixtures.codes import raises_code

from lociscope.decide.decider import Decider, fit_decider, predict_out_of_fold
from lociscope.decide.ensemble import COMBINERS, Combiner
from lociscope.decide.ensemble_report import EnsembleReport, Score
from lociscope.decide.members import Member
from lociscope.decide.stored import StoredEnsemble, read_fitted, write_fitted
from lociscope.errors import Code, LociscopeError
from lociscope.splits.folds import stratified_folds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def fit() -> Callable[[Combiner], tuple[Decider, np.ndarray]]:
    rng = np.random.default_rng(0)
    truth = rng.random((60, 28)) < 0.1
    members = np.clip(0.4 * truth + 0.5 * rng.random((2, 60, 28)), 0, 1)

    def make(combiner: Combiner) -> tuple[Decider, np.ndarray]:
        out_of_fold = predict_out_of_fold(truth, members, combiner, stratified_folds(truth))
        return fit_decider(truth, members, combiner, "expected", out_of_fold), members

    return make


@pytest.fixture
def report() -> Any:
    """Any report: here only their way to disk matters."""
    none = Score(value=None, low=None, high=None, level=0.95, n=1)
    return EnsembleReport(
        fields=1, members=2, combiner="mean", policy="expected", why="", losses={}, weights=(0.5, 0.5), trials=(),
        expected=none, scores={}, levels={}, over_mean=None, over_best=None, classes=(), reliability=(), coverage=0.9,
        coverage_promised=0.9, set_size=1, unsure=0, negative=0, jaccard_ok=None, jaccard_unsure=None, notes=(),
    )  # fmt: skip


@pytest.mark.parametrize("combiner", COMBINERS)
def test_what_was_written_decides_the_same(
    combiner: Combiner, fit: Callable[[Combiner], tuple[Decider, np.ndarray]], report: Any, tmp_path: Path
) -> None:
    decider, members = fit(combiner)
    known = (Member(contents="cd" * 32), Member(bundle="ab" * 32, views=8, trainings=("ef" * 32,)))
    write_fitted(tmp_path / "fitted", StoredEnsemble.from_decider(decider, known), report)
    stored = read_fitted(tmp_path / "fitted")
    again = stored.to_decider()
    p = decider.predict(members)
    assert again.predict(members).tolist() == p.tolist()
    assert again.decide(p)[1] == decider.decide(p)[1]
    assert again.decide(p)[0].tolist() == decider.decide(p)[0].tolist()
    assert again.sets.predict(p).tolist() == decider.sets.predict(p).tolist()
    assert stored.members == known
    written = (tmp_path / "fitted" / "report.json").read_bytes()
    assert EnsembleReport.model_validate_json(written) == report


@pytest.fixture
def folder(fit: Callable[[Combiner], tuple[Decider, np.ndarray]], report: Any, tmp_path: Path) -> Path:
    write_fitted(tmp_path / "fitted", StoredEnsemble.from_decider(fit("stacked")[0], (Member(), Member())), report)
    return tmp_path / "fitted"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 3}, "newer than 2"),
        ({"schema": None}, "states no schema"),
        ({"thresholds": [0.5] * 27}, "28 numbers"),
        ({"thresholds": [1.5] * 28}, "less than or equal to 1"),
        ({"intercepts": [float("nan")] * 28}, "damaged"),
        ({"weights": []}, "0 rows of weights for 2 members"),
        ({"shift": None}, "cross and shift belong together"),
        ({"calibration": "isotonic"}, "isotonic"),
        ({"labels": ["a"] * 28}, "in their order"),
        ({"combiner": "magic"}, "combiner"),
        ({"more": 1}, "more"),
        ({"members": "ab"}, "members"),
        ({"members": [{"bundle": 1}, None]}, "members"),
    ],
)
def test_invalid_values_are_refused(folder: Path, change: dict[str, Any], message: str) -> None:
    file = folder / "ensemble.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(LociscopeError, match=message):
        read_fitted(folder)


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"\xff\xfe", b"null"])
def test_other_json_is_refused(folder: Path, data: bytes) -> None:
    (folder / "ensemble.json").write_bytes(data)
    with raises_code(Code.CORRUPT):
        read_fitted(folder)


def test_other_folders_are_neither_read_nor_overwritten(folder: Path, report: Any, tmp_path: Path) -> None:
    with raises_code(Code.WRONG_FILE):
        read_fitted(tmp_path)
    stored = read_fitted(folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with raises_code(Code.CONFLICT):
        write_fitted(tmp_path / "mine", stored, report)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    write_fitted(tmp_path / "empty", stored, report)
    write_fitted(tmp_path / "empty", stored, report)
    assert sorted(each.name for each in (tmp_path / "empty").iterdir()) == ["ensemble.json", "report.json"]


def test_a_file_of_schema_1_is_read(folder: Path) -> None:
    file = folder / "ensemble.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"schema": 1, "members": ["ab" * 32, None]}))
    assert read_fitted(folder).members == (Member(bundle="ab" * 32), Member())


def test_applying_loads_neither_scipy_nor_scikit_learn(folder: Path) -> None:
    code = (
        "import sys, numpy as np; from pathlib import Path; from lociscope.decide.stored import read_fitted;"
        f"d = read_fitted(Path({str(folder)!r})).to_decider(); d.decide(d.predict(np.full((2, 3, 28), 0.5)));"
        "print([m for m in ('scipy', 'sklearn', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
