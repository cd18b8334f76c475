"""`lociscope ensemble fit` and `apply`, on simulated networks."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.artifacts.catalog import Catalog, Entry, read_labels
from lociscope.artifacts.predictions import Predictions
from lociscope.cli.ensemble import app
from lociscope.decide.ensemble_report import EnsembleReport
from lociscope.decide.stored import read_fitted
from lociscope.errors import LociscopeError, UsageError
from lociscope.labels import format_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

N = 60
IDS = [f"f{number:03d}" for number in range(N)]


def ensemble(*words: object) -> None:
    """Runs the command in this process; its mistakes come out as they are raised."""
    app([str(word) for word in words], standalone_mode=False)


def networks(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Truth (60, 28), and what two networks say of it."""
    rng = np.random.default_rng(seed)
    truth = rng.random((N, 28)) < 0.15
    truth[:, 27] = False
    seen = np.clip(0.6 * truth + 0.4 * rng.random((2, N, 28)) ** 2, 0, 1)
    return truth, seen


def table(probability: np.ndarray, ids: list[str] = IDS) -> Predictions:
    n = len(ids)
    return Predictions(ids, probability.astype(np.float32), [()] * n, ["ok"] * n, [()] * n)


def write_files(folder: Path) -> None:
    truth, seen = networks()
    rows = [f"{name},{format_target(np.flatnonzero(row).tolist())}\n" for name, row in zip(IDS, truth, strict=True)]
    (folder / "truth.csv").write_text("Id,Target\n" + "".join(rows))
    table(seen[0]).write(folder / "a.parquet")
    table(seen[1][::-1], IDS[::-1]).write(folder / "b.csv")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`truth.csv`, `a.parquet` and `b.csv` in the current folder; the rows of b are in another order."""
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)
    return tmp_path


@pytest.fixture(scope="module", autouse=True)
def few_folds() -> Iterator[None]:
    """Few fits: `tests/decide` tests the scores."""
    from lociscope.decide import nested, selection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nested, "ONE_REPEAT_FIELDS", 0)
        patch.setattr(nested, "OUTER_FOLDS", 2)
        patch.setattr(selection, "INNER_FOLDS", 2)
        yield


@pytest.fixture(scope="module")
def once(few_folds: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Files and `DIR` fitted on them, made once, and the output."""
    import contextlib
    import io

    folder = tmp_path_factory.mktemp("once")
    write_files(folder)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        ensemble("fit", "--truth", "truth.csv", "a.parquet", "b.csv", "-o", "DIR")
    return folder, out.getvalue(), err.getvalue()


@pytest.fixture
def fitted(once: tuple[Path, str, str], files: Path) -> Path:
    """A copy of `DIR` beside the files."""
    shutil.copytree(once[0] / "DIR", files / "DIR")
    return files


def test_fit_says_what_it_kept_and_what_to_expect(once: tuple[Path, str, str]) -> None:
    folder, out, err = once
    report = EnsembleReport.model_validate_json((folder / "DIR" / "report.json").read_bytes())
    assert f"2 members, 60 fields: selected '{report.combiner}'" in out
    assert "Macro-F1 to expect on as many new fields: 0." in out
    assert "95% interval" in out
    assert "It is not recorded whether the networks were trained on them." in out
    assert report.unseen == (False, False)
    assert "No field has the classes 27" in err
    assert "Cytosol" in (folder / "DIR" / "report.html").read_text()
    assert set(report.levels) == {"28 classes", "19 classes of 2021", "3 compartments"}


def test_fit_says_what_the_records_of_runs_prove(make_run: Callable[..., Path], tmp_path: Path) -> None:
    one, two = (make_run(name, seed=seed) / "predictions.parquet" for seed, name in enumerate(("one", "two")))
    Predictions.read(two).write(tmp_path / "copy.csv")
    ensemble("fit", "--truth", one.parent / "truth.csv", one, tmp_path / "copy.csv", "-o", tmp_path / "DIR")
    assert EnsembleReport.model_validate_json((tmp_path / "DIR" / "report.json").read_bytes()).unseen == (True, False)
    assert "prove that member 1 was not trained on them" in (tmp_path / "DIR" / "report.html").read_text()


def test_apply_writes_predictions_in_the_order_of_the_first_member(fitted: Path) -> None:
    ensemble("apply", "DIR", "a.parquet", "b.csv", "-o", "out.parquet")
    made = Predictions.read(fitted / "out.parquet")
    assert made.ids == IDS
    decider = read_fitted(fitted / "DIR").to_decider()
    seen = networks()[1].astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(made.probability, decider.predict(seen), atol=1e-5)
    assert made.predicted == [tuple(np.flatnonzero(row).tolist()) for row in decider.decide(decider.predict(seen))[0]]
    assert set(made.status) <= {"ok", "unsure", "negative"}
    truth = read_labels(fitted / "truth.csv")
    assert np.mean([set(truth[name]) == set(row) for name, row in zip(made.ids, made.predicted, strict=True)]) > 0.9


def test_file_names_do_not_count_but_positions_do(fitted: Path) -> None:
    Path("a.parquet").rename("z.parquet")
    ensemble("apply", "DIR", "z.parquet", "b.csv", "-o", "out.csv")
    with pytest.raises(LociscopeError, match=r"'b\.csv' was passed as member 1 but is member 2 of 'DIR'\. Pass"):
        ensemble("apply", "DIR", "b.csv", "z.parquet", "-o", "turned.csv")
    Predictions.read("z.parquet").write("z.csv")  # the same predictions in another format and order of rows
    Predictions.read("b.csv").take(range(N)[::-1]).write("b.parquet")
    with pytest.raises(LociscopeError, match="is member 2 of"):
        ensemble("apply", "DIR", "b.parquet", "z.csv", "-o", "turned.csv")


def test_members_that_do_not_say_what_predicted_them_are_named(
    fitted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ensemble("apply", "DIR", "a.parquet", "b.csv", "-o", "out.csv")
    assert "not checked" not in capsys.readouterr().err
    rng = np.random.default_rng(1)
    for name in ("new.csv", "other.parquet"):
        table(rng.random((N, 28))).write(name)
    ensemble("apply", "DIR", "new.csv", "other.parquet", "-o", "out.csv")
    assert capsys.readouterr().err == (
        "lociscope: not checked whether these are the members of the fit in the same order: 'new.csv', "
        "'other.parquet'. They, or the ensemble, do not record which network predicted them.\n"
    )


def test_members_are_known_by_bundle_views_and_training_wherever_their_files_lie(files: Path) -> None:
    rng = np.random.default_rng(2)
    origins: dict[str, dict[str, Any]] = {
        "plain": {"bundle": "1" * 64, "views": 1, "trainings": ["t1"]},
        "turned": {"bundle": "1" * 64, "views": 8, "trainings": ["t1"]},
        "folds": {"trainings": ["t2", "t3"]},
        "old": {"bundle": "4" * 64, "views": 1},
    }
    _, seen = networks()
    for name, origin in origins.items():
        table(np.clip(seen[0] + 0.01 * rng.random((N, 28)), 0, 1)).write(f"{name}.parquet", origin)
        table(rng.random((N, 28))).write(f"new-{name}.parquet", origin)
    table(rng.random((N, 28))).write("new-fold.parquet", {"bundle": "3" * 64, "views": 1, "trainings": ["t3"]})
    ensemble("fit", "--truth", "truth.csv", *(f"{name}.parquet" for name in origins), "-o", "DIR")
    right = ["new-plain.parquet", "new-turned.parquet", "new-fold.parquet", "new-old.parquet"]
    ensemble("apply", "DIR", *right, "-o", "out.csv")
    for one, other in ((0, 1), (0, 2), (2, 3), (1, 3)):
        swapped = list(right)
        swapped[one], swapped[other] = right[other], right[one]
        with pytest.raises(LociscopeError, match=rf"is member {other + 1} of|is member {one + 1} of"):
            ensemble("apply", "DIR", *swapped, "-o", "swapped.csv")
    table(rng.random((N, 28))).write("new-fold-8.parquet", {"bundle": "3" * 64, "views": 8, "trainings": ["t3"]})
    ensemble("apply", "DIR", *right[:2], "new-fold-8.parquet", right[3], "-o", "out.csv")
    table(rng.random((N, 28))).write("retrained.parquet", {"trainings": ["t9"]})
    with pytest.raises(LociscopeError, match=r"Member 3, 'retrained\.parquet', was predicted by another training"):
        ensemble("apply", "DIR", *right[:2], "retrained.parquet", right[3], "-o", "out.csv")
    assert not (files / "swapped.csv").exists()


def test_the_networks_of_the_folds_stand_for_the_member_that_was_out_of_fold(fitted: Path) -> None:
    table(networks()[1][1] * (1 - 2e-6)).write(fitted / "fold1.parquet")
    members = ("a.parquet", "fold1.parquet", "b.csv", "b.csv")
    ensemble("apply", "DIR", *members, "--folds", "2", "-o", "out.parquet")
    made = Predictions.read(fitted / "out.parquet")
    one, two = np.clip(networks()[1].astype(np.float32).astype(np.float64), 1e-7, 1 - 1e-7)
    odds = np.sqrt(one * two / ((1 - one) * (1 - two)))
    decider = read_fitted(fitted / "DIR").to_decider()
    np.testing.assert_allclose(made.probability, decider.predict(np.stack([odds / (1 + odds), two])), atol=1e-5)
    with pytest.raises(LociscopeError, match="fitted on 2 members of 3 folds; received 4"):
        ensemble("apply", "DIR", *members, "--folds", "3", "-o", "out.csv")


def test_a_submission_has_no_blank_row(fitted: Path) -> None:
    silent = table(np.full((N, 28), 0.01))
    silent.write(fitted / "silent.parquet")
    ensemble("apply", "DIR", "silent.parquet", "silent.parquet", "-o", "sub.csv", "--kaggle")
    with (fitted / "sub.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["Id", "Predicted"]
    assert all(row["Predicted"] for row in rows)
    ensemble("apply", "DIR", "silent.parquet", "silent.parquet", "-o", "out.csv")
    assert not any(Predictions.read(fitted / "out.csv").predicted)


def test_a_sample_submission_gives_rows_and_their_order(fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    apply = ("apply", "DIR", "a.parquet", "b.csv", "-o", "sub.csv", "--kaggle")
    ids = [*IDS[:2], "new", *IDS[:1:-1]]
    (fitted / "sample_submission.csv").write_text("Id,Predicted\n" + "".join(f"{name},0\n" for name in ids))
    ensemble(*apply)
    assert "the submission lacks 1 of the 61 test ids of" in capsys.readouterr().err
    assert app([*apply, "--sample-submission", "sample_submission.csv"], standalone_mode=False) == 3
    said = capsys.readouterr()
    assert said.out == "61 fields in sub.csv\n"
    assert "1 of 61 test ids have no prediction, and got what" in said.err
    assert list(Predictions.read_submission("sub.csv").ids) == ids
    with pytest.raises(UsageError, match="Add `kaggle`"):
        ensemble("apply", "DIR", "a.parquet", "b.csv", "-o", "x.csv", "--sample-submission", "sample_submission.csv")


def test_a_catalog_gives_labels_and_groups(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = read_labels(files / "truth.csv")
    entries = [Entry(name, labels[name], antibody=f"HPA{row // 2}") for row, name in enumerate(IDS)]
    Catalog.from_entries(entries, files).write(files / "catalog.parquet")
    ensemble("fit", "--truth", "catalog.parquet", "a.parquet", "-o", "DIR", "--json", "--policy", "ratio")
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert report["expected"]["n"] == 30
    assert report["policy"] == "ratio"
    assert "One member was given" in said.err


def test_other_networks_are_refused(fitted: Path) -> None:
    with pytest.raises(LociscopeError, match="fitted on 2 members; received 1"):
        ensemble("apply", "DIR", "a.parquet", "-o", "out.csv")
    for name, bundle in (("a", "1" * 64), ("b", "2" * 64)):
        suffix = ".parquet" if name == "a" else ".csv"
        Path(f"{name}.run.json").write_text(json.dumps({"schema": 1, suffix: {"bundle": bundle}}))
    first = (fitted / "DIR" / "report.json").read_bytes()
    ensemble("fit", "--truth", "truth.csv", "a.parquet", "b.csv", "-o", "DIR")
    assert [member.bundle for member in read_fitted(fitted / "DIR").members] == ["1" * 64, "2" * 64]
    assert (fitted / "DIR" / "report.json").read_bytes() == first
    ensemble("apply", "DIR", "a.parquet", "b.csv", "-o", "out.csv")
    with pytest.raises(LociscopeError, match=r"'b\.csv' was passed as member 1 but is member 2"):
        ensemble("apply", "DIR", "b.csv", "a.parquet", "-o", "out.csv")
    Path("b.run.json").write_text(json.dumps({"schema": 1, ".csv": {"bundle": "3" * 64}}))
    table(np.zeros((N, 28))).write("b.csv")
    with pytest.raises(LociscopeError, match=r"Member 2, 'b\.csv', was predicted by bundle 333333333333…"):
        ensemble("apply", "DIR", "a.parquet", "b.csv", "-o", "out.csv")


def test_without_matplotlib_there_is_an_ensemble_but_no_report(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    ensemble("fit", "--truth", "truth.csv", "a.parquet", "-o", "DIR")
    assert "needs the extra 'report'" in capsys.readouterr().err
    (member,) = read_fitted(files / "DIR").members
    assert (member.bundle, member.trainings) == (None, ())
    assert not (files / "DIR" / "report.html").exists()


def _drop_a_row(files: Path) -> None:
    table(networks()[1][1][1:], IDS[1:]).write(files / "b.csv")


def _add_a_row(files: Path) -> None:
    table(np.zeros((N + 1, 28)), [*IDS, "more"]).write(files / "b.csv")


def _double_a_row(files: Path) -> None:
    table(np.zeros((2, 28)), ["f000", "f000"]).write(files / "b.csv")


def _exceed(files: Path) -> None:
    table(np.full((N, 28), 1.5)).write(files / "b.csv")


def _spoil(files: Path) -> None:
    table(np.full((N, 28), np.nan)).write(files / "b.csv")


def _narrow(files: Path) -> None:
    (files / "b.csv").write_text("id,p00\nf000,0.5\n")


def _unlabel(files: Path) -> None:
    (files / "truth.csv").write_text("Id,Target\nf000,1\n")


def _shorten(files: Path) -> None:
    table(networks()[1][0][:1], IDS[:1]).write(files / "a.parquet")
    table(networks()[1][0][:1], IDS[:1]).write(files / "b.csv")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_drop_a_row, "'f000' is in 'a.parquet' and not in 'b.csv'"),
        (_add_a_row, "'more' is in 'b.csv' and not in 'a.parquet'"),
        (_double_a_row, "'f000' twice"),
        (_exceed, r"hold 1\.5 as the probability"),
        (_spoil, "hold nan as the probability"),
        (_narrow, "no column 'p01'"),
        (_unlabel, "no label for 59 of 60 predicted fields, the first is 'f001'"),
        (_shorten, "30 labelled fields or more; received 1"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(files: Path, spoil: Callable[[Path], None], sentence: str) -> None:
    spoil(files)
    with pytest.raises(LociscopeError, match=sentence):
        ensemble("fit", "--truth", "truth.csv", "a.parquet", "b.csv", "-o", "DIR")
    assert not (files / "DIR").exists()


def test_wrong_options_are_refused(files: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'expected'"):
        ensemble("fit", "--truth", "truth.csv", "a.parquet", "-o", "DIR", "--policy", "expect")
    with pytest.raises(UsageError, match=r"expected \.csv or \.parquet"):
        ensemble("apply", "DIR", "a.parquet", "-o", "out.txt")
    with pytest.raises(UsageError, match="`kaggle` writes CSV"):
        ensemble("apply", "DIR", "a.parquet", "-o", "out.parquet", "--kaggle")
    with pytest.raises(LociscopeError, match="is not a fitted ensemble"):
        ensemble("apply", "DIR", "a.parquet", "-o", "out.csv")
