"""What folds say together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.folds import Folds
from lociscope.artifacts.provenance import Provenance
from lociscope.artifacts.run import Environment, Run
from lociscope.errors import LociscopeError
from lociscope.labels import N_LABELS
from lociscope.training.cross_validation import join_folds, open_folds
from lociscope.training.record import write_predictions
from lociscope.training.scores import measure_scores

if TYPE_CHECKING:
    from pathlib import Path


def finished(run: Run, ids: list[str], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A Run that says something of its fields; gives truth and probabilities."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((len(ids), N_LABELS)) < 0.2).astype(np.uint8)
    probability = np.clip(0.6 * truth + 0.4 * rng.random(truth.shape), 0, 1).astype(np.float32)
    run.folder.mkdir()
    environment = Environment(
        created=f"fold {seed}",
        seed=seed,
        git=None,
        versions={},
        machine="",
        data=Provenance("simulated", fields=40, seed=0),
        data_hash="0",
        fields={},
        parameters=1,
    )
    run.environment_file.write_text(environment.model_dump_json(by_alias=True))
    write_predictions(run, ids, [name[0] for name in ids], truth, probability, rng.random((len(ids), 4)))
    return truth, probability


def test_the_joined_table_holds_every_fold(tmp_path: Path) -> None:
    runs = open_folds(tmp_path, Folds(k=2, catalog=None))
    said = [
        finished(run, [f"{letter}{n}" for n in range(20)], seed)
        for seed, (run, letter) in enumerate(zip(runs, "ab", strict=True))
    ]
    join_folds(tmp_path, runs)
    whole = Run(tmp_path)
    scores = measure_scores(whole)
    assert whole.read_predictions().ids == [f"{letter}{n}" for letter in "ab" for n in range(20)]
    np.testing.assert_array_equal(whole.read_predictions().probability, np.concatenate([p for _, p in said]))
    assert whole.read_predictions().embedding is None
    assert [*whole.read_truth().values()] == [tuple(np.flatnonzero(row)) for truth, _ in said for row in truth]
    assert {*whole.read_groups().values()} == {"a", "b"}
    assert {name: score.n for name, score in scores.items()} == {"macro-F1": 2, "macro-AP": 2, "LRAP": 2}
    assert all(0.5 < score.value <= 1 for score in scores.values())


def test_a_folder_of_other_folds_or_of_something_else(tmp_path: Path) -> None:
    open_folds(tmp_path / "out", Folds(k=9, catalog="z"))  # refused before a fold began
    open_folds(tmp_path / "out", Folds(k=2, catalog="a"))
    (tmp_path / "out" / "fold1").mkdir()
    assert [run.folder.name for run in open_folds(tmp_path / "out", Folds(k=2, catalog="a"))] == ["fold0", "fold1"]
    with pytest.raises(LociscopeError, match=r"holds 2 folds\. Name another"):
        open_folds(tmp_path / "out", Folds(k=3, catalog="a"))
    with pytest.raises(LociscopeError, match=r"holds folds of other fields\. Name another"):
        open_folds(tmp_path / "out", Folds(k=2, catalog="b"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.png").touch()
    with pytest.raises(LociscopeError, match="exists and holds no folds"):
        open_folds(tmp_path / "mine", Folds(k=2, catalog="a"))


@pytest.mark.parametrize(
    ("text", "said"), [("{", "is damaged"), ('{"schema": 2, "k": 2, "catalog": null}', "has schema 2, newer than 1")]
)
def test_a_damaged_list_of_folds(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / Folds.FILE).write_text(text)
    with pytest.raises(LociscopeError, match=said):
        open_folds(tmp_path, Folds(k=2, catalog=None))
