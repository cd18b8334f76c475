"""Reading what is compared, and telling what differs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lociscope.artifacts.predictions import Predictions
from lociscope.artifacts.recipe import Recipe
from lociscope.artifacts.run import Run
from lociscope.errors import LociscopeError
from lociscope.report.candidates import describe_changes, diff_recipes, flatten, read_candidate, unique_names

Make = Callable[..., Path]


def test_a_run_is_read_with_its_rows_in_the_order_of_ids(make_run: Make) -> None:
    one = read_candidate(make_run("a", {"note": "why"}, specimens=20, scores={"lrap": SCORE}), "a")
    other = read_candidate(make_run("b", seed=1), "b")
    assert one.ids == other.ids == tuple(sorted(one.ids))
    assert np.array_equal(one.truth, other.truth)
    assert one.recipe.note == "why"
    assert one.minutes == 3
    assert one.epochs == "3 of 3"
    assert one.parameters == 60_000
    assert one.scores == {"real": {"lrap": SCORE}}
    assert one.groups is not None
    assert len(set(one.groups.tolist())) == 20
    assert other.groups is None
    assert other.scores == {}


SCORE = {"value": 0.6, "low": 0.5, "high": 0.7, "n": 56.0}


def test_groups_that_are_the_fields_themselves_are_none(make_run: Make) -> None:
    folder = make_run("a")
    rows = [f"{name},{name}\n" for name in Run(folder).read_truth()]
    (folder / "groups.csv").write_text("Id,Group\n" + "".join(rows))
    assert read_candidate(folder, "a").groups is None


def make_folds(make_run: Make, tmp_path: Path) -> Path:
    """Two Runs, and their Predictions joined, as `train --folds` leaves them."""
    folds = [make_run(f"cv/fold{number}", validation=number, specimens=10) for number in (0, 1)]
    whole = tmp_path / "cv"
    Predictions.join([Run(fold).read_predictions() for fold in folds]).write(whole / "predictions.parquet")
    for name, head in (("truth.csv", "Id,Target\n"), ("groups.csv", "Id,Group\n")):
        (whole / name).write_text(head + "".join((fold / name).read_text().removeprefix(head) for fold in folds))
    (whole / "folds.json").write_text(json.dumps({"schema": 1, "k": 2}))
    return whole


def test_folds_are_one_candidate_scored_by_what_lies_out_of_fold(make_run: Make, tmp_path: Path) -> None:
    candidate = read_candidate(make_folds(make_run, tmp_path), "cv")
    assert len(candidate.ids) == 120
    assert len(candidate.runs) == len(candidate.histories) == 2
    assert candidate.minutes == 6
    assert candidate.epochs == "3 of 3"


def test_a_fold_that_is_not_finished(make_run: Make, tmp_path: Path) -> None:
    whole = make_folds(make_run, tmp_path)
    (whole / "fold1" / "DONE").unlink()
    with pytest.raises(LociscopeError, match=r"fold1' is not finished\. Run `.* --folds 2 -o .*cv` again"):
        read_candidate(whole, "cv")


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 1}', '{"schema": 1, "k": 0}', '{"schema": 9, "k": 2}'])
def test_damaged_folds(make_run: Make, tmp_path: Path, text: str) -> None:
    whole = make_folds(make_run, tmp_path)
    (whole / "folds.json").write_text(text)
    with pytest.raises(LociscopeError, match=r"folds\.json"):
        read_candidate(whole, "cv")


def test_runs_that_cannot_be_scored(make_run: Make) -> None:
    folder = make_run("a")
    lines = (folder / "truth.csv").read_text().splitlines(keepends=True)
    (folder / "truth.csv").write_text("".join(lines[:-1]))
    with pytest.raises(LociscopeError, match="no label of 'v0-059'"):
        read_candidate(folder, "a")
    with pytest.raises(LociscopeError, match=r"1 validation field\(s\)"):
        read_candidate(make_run("b", fields=1), "b")
    (folder / "history.csv").write_text("epoch,loss,val_loss,learning_rate,seconds\n")
    (folder / "truth.csv").write_text("".join(lines))
    with pytest.raises(LociscopeError, match="history without an epoch"):
        read_candidate(folder, "a")
    damaged = make_run("c")
    (damaged / "predictions.parquet").write_bytes(b"PAR1")
    with pytest.raises(LociscopeError, match=r"predictions\.parquet"):
        read_candidate(damaged, "c")


def test_names_distinguish_folders() -> None:
    assert unique_names([Path("/r/a"), Path("/r/b")]) == ["a", "b"]
    assert unique_names([Path("/r/x/run"), Path("/r/y/run"), Path("/r/other")]) == ["x/run", "y/run", "other"]


@given(st.lists(st.lists(st.sampled_from("ab"), min_size=1, max_size=4), unique_by=tuple, min_size=1, max_size=6))
def test_names_are_never_the_same(folders: list[list[str]]) -> None:
    names = unique_names([Path("/", *each) for each in folders])
    assert len(set(names)) == len(folders)


def test_differences_are_reported_by_dotted_key() -> None:
    stages = [{"unfreeze_from": "head", "epochs": 2, "learning_rate": 0.001}]
    before = Recipe.from_dict({"note": "one", "network": {"name": "lenet5"}}, "before")
    after = Recipe.from_dict(
        {"note": "two", "network": {"name": "lenet5", "width": 2.0}, "train": {"loss": "focal"}, "stages": stages},
        "after",
    )
    found = {key: (then, now) for key, then, now in diff_recipes(after, before)}
    assert found["train.loss"] == ("bce", "focal")
    assert found["network.width"] == ("–", "2")
    assert found["stages.1.unfreeze_from"] == ("–", "head")
    assert found["stages.1.learning_rate"] == ("–", "0.001")
    assert set(found) == {
        "train.loss",
        "network.width",
        "stages.1.unfreeze_from",
        "stages.1.epochs",
        "stages.1.learning_rate",
    }
    assert diff_recipes(before, before) == []
    assert describe_changes([("train.loss", "bce", "focal"), ("a.b", "–", "2")]) == "train.loss bce → focal, a.b – → 2"


def test_a_key_that_is_gone_differs_too() -> None:
    before = Recipe.read("lenet5", {"network.width": 2.0})
    assert diff_recipes(Recipe.read("lenet5", {}), before) == [("network.width", "2", "–")]


def test_nested_values_become_flat() -> None:
    assert flatten({"a": {"b": 1, "c": [5, {"d": 6}]}, "e": True}) == {"a.b": 1, "a.c.1": 5, "a.c.2.d": 6, "e": True}
