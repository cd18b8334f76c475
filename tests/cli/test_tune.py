"""`lociscope tune`: a study that resumes, a best recipe that can be trained, and what is refused."""

from __future__ import annotations

import csv
import io
import re
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from lociscope.artifacts.recipe import Recipe
from lociscope.artifacts.run import Run
from lociscope.artifacts.study import Study
from lociscope.storage.locks import lock_file
from lociscope.training.tuning import search

pytest.importorskip("optuna")
PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "bad-input.md").read_text(encoding="utf-8")
SAID = dict(re.findall(r"^\| (.+?) \| `(.+?)` \| [^|]+ \|$", PAGE.partition("## Studies")[2], re.MULTILINE))
"""What the page says that the command says, by what it finds."""
Command = Callable[..., Any]

TUNE = """
[tune]
train.learning_rate = {low = 1e-4, high = 1e-1, log = true}
network.pooling = ["average", "max"]
"""


class Tuning(NamedTuple):
    """The words of a tuning but for `-n` and `-o`, and a study of two trials."""

    words: tuple[str, ...]
    study: Path
    code: int
    out: str
    err: str


def recipe_file(folder: Path, training: Any, tune: str = TUNE) -> Path:
    """The recipe of the tests of `lociscope train`, with a search space."""
    from lociscope.artifacts.recipe_changes import parse_changes

    changes = parse_changes([word for word in training.words if "=" in word])
    path = folder / "mine.toml"
    Recipe.read("lenet5", changes | {"train.epochs": 2}).write(path)
    path.write_text(path.read_text(encoding="utf-8") + tune, encoding="utf-8")
    return path


def run_tune(*words: object) -> tuple[int, str, str]:
    """Run a command in this process, as the fixture `lociscope` does for one test; return status, stdout and stderr."""
    from lociscope.cli import main

    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["lociscope", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
    return int(left.value.code or 0), out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def tuning(training: Any, tmp_path_factory: pytest.TempPathFactory) -> Tuning:
    folder = tmp_path_factory.mktemp("tuning")
    words = ("tune", str(recipe_file(folder, training)), "-c", str(training.catalog), "--workers", "1")
    return Tuning(words, folder / "study", *run_tune(*words, "-n", "2", "-o", folder / "study"))


def without_progress(text: str) -> list[str]:
    """The lines of stderr, without the progress that slow machines show."""
    return [line for line in text.splitlines() if not line.startswith(("training: ", "preparing fields: "))]


def table(study: Path) -> list[dict[str, str]]:
    with Study(study).table_file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# === One study ===


def test_what_a_study_leaves(tuning: Tuning) -> None:
    place = Study(tuning.study)
    assert (tuning.code, tuning.out) == (3, f"{place.best_file}\n"), tuning.err
    said = without_progress(tuning.err)
    assert [line.partition(":")[0] for line in said[:2]] == ["trial 0", "trial 1"]
    assert said[2].startswith("Best of 2 trials (2 complete): trial ")
    assert [line.split()[0] for line in said[3:-1]] == ["LRAP", "macro-AP", "val_loss"]
    assert said[-1].startswith(f"lociscope: 1 field failed, listed in {tuning.study}/failures.csv; the first: ")
    assert {path.name for path in tuning.study.iterdir() if path.name[0] != "."} == {
        *("best.toml", "trials.csv", "study.html", "study.db", "trials", "failures.csv")
    }
    assert [(row["number"], row["state"], row["epochs"]) for row in table(tuning.study)] == [
        ("0", "complete", "2"), ("1", "complete", "2"),
    ]  # fmt: skip
    assert "<svg" in place.page_file.read_text(encoding="utf-8")


def test_only_the_best_run_keeps_its_weights(tuning: Tuning) -> None:
    best = max(table(tuning.study), key=lambda row: float(row["lrap"]))
    for number in range(2):
        run = Run.open(tuning.study / "trials" / f"{number:04d}")
        assert run.best_model.exists() == (number == int(best["number"]))
        assert not run.checkpoints.exists()
        assert len(run.read_history()) == 2


@pytest.mark.slow
def test_the_best_recipe_trains_to_the_same_predictions(
    lociscope: Command, training: Any, tuning: Tuning, tmp_path: Path
) -> None:
    head, recipe = (
        Study(tuning.study).best_file.read_text(encoding="utf-8"),
        Recipe.read(str(tuning.study / "best.toml")),
    )
    best = max(table(tuning.study), key=lambda row: float(row["lrap"]))
    assert head.startswith(f"# Trial {best['number']} of the study 'study', the best of 2: LRAP ")
    assert repr(recipe.train.learning_rate) == best["train.learning_rate"]
    assert recipe.network.options["pooling"] == best["network.pooling"]
    said = lociscope("train", tuning.study / "best.toml", "-c", training.catalog, "-o", "again", "--workers", "1")
    assert said.code == 3, said.err
    expected = Run.open(tuning.study / "trials" / f"{int(best['number']):04d}").read_predictions()
    np.testing.assert_array_equal(Run.open(tmp_path / "again").read_predictions().probability, expected.probability)


def test_a_study_that_is_done_changes_nothing(lociscope: Command, tuning: Tuning, tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(tuning.study, study)
    before = {name: data for name, data in contents(study).items() if name != "study.db"}
    code, out, err = lociscope(*tuning.words, "-n", "2", "-o", study)
    assert (code, out) == (0, f"{study}/best.toml\n"), err
    assert {name: data for name, data in contents(study).items() if name != "study.db"} == before


@pytest.fixture(scope="module")
def longer(tuning: Tuning, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    """A copy of the study with a third trial and a store beside it, the exit status, and the output."""
    folder = tmp_path_factory.mktemp("longer")
    shutil.copytree(tuning.study, folder / "study")
    return folder, *run_tune(*tuning.words, "-n", "3", "-o", folder / "study", "--store", folder / "store")[::2]


@pytest.mark.slow
def test_more_trials_are_added_to_a_study(tuning: Tuning, longer: tuple[Path, int, str]) -> None:
    folder, code, err = longer
    assert code == 3, err
    assert table(folder / "study")[:2] == table(tuning.study)
    assert len(table(folder / "study")) == 3
    assert [path.is_dir() for path in (folder / "store").iterdir() if path.name[0] != "."] == [True]
    assert not (folder / "study" / "fields").exists()


@pytest.mark.slow
def test_an_interrupted_trial_is_resumed(
    lociscope: Command,
    tuning: Tuning,
    longer: tuple[Path, int, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from lociscope.workflows import tune
    from lociscope.workflows.train import fit_run

    epochs = [0]

    def cut(recipe: Any, catalog: Any, folder: Any, *, on_epoch: Any, **options: Any) -> Any:
        def counted(row: dict[str, float]) -> None:
            on_epoch(row)
            epochs[0] += 1
            if epochs[0] == 1:  # in the middle of the third trial
                raise KeyboardInterrupt

        return fit_run(recipe, catalog, folder, on_epoch=counted, **options)

    monkeypatch.setattr(tune, "fit_run", cut)
    study = tmp_path / "study"
    shutil.copytree(tuning.study, study)
    code, out, err = lociscope(*tuning.words, "-n", "3", "-o", study)
    assert (code, out) == (130, "")
    assert err.endswith("lociscope: interrupted. Give the same command again to resume.\n")
    assert table(study) == table(tuning.study)
    assert (study / "best.toml").exists()
    code, out, err = lociscope(*tuning.words, "-n", "3", "-o", study)
    assert (code, epochs[0]) == (3, 2), err
    same = [{key: value for key, value in row.items() if key != "minutes"} for row in table(study)]
    assert same == [
        {key: value for key, value in row.items() if key != "minutes"} for row in table(longer[0] / "study")
    ]


@pytest.mark.slow
def test_time_that_is_over(lociscope: Command, tuning: Tuning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = tmp_path / "study"
    first_epoch = study / "trials" / "0000" / "history.csv"
    clock = SimpleNamespace(monotonic=lambda: float(first_epoch.exists()))  # on any machine 1 s after it
    monkeypatch.setattr(search, "time", clock)
    code, out, err = lociscope(*tuning.words, "-n", "1", "-o", study, "--timeout", "0.01")
    assert (code, out) == (1, "")
    assert without_progress(err) == [
        "The 0.01 minutes are over. The same command continues.",
        f"lociscope: No trial in '{study}' has a score: none is over yet. Allow more time.",
    ]
    assert len(Run(study / "trials" / "0000").read_history()) == 1
    assert (study / "fields").is_dir()


# === What the page of bad input says ===

MakeRow = Callable[[Command, Tuning, Any, Path, pytest.MonkeyPatch], Any]


def with_space(space: str) -> MakeRow:
    """A new study over a search space."""

    def make(lociscope: Command, tuning: Tuning, training: Any, tmp_path: Path, patch: pytest.MonkeyPatch) -> Any:
        path = recipe_file(tmp_path, training, f"\n[tune]\n{space}\n")
        return lociscope("tune", path, "-n", "2", "-c", training.catalog, "-o", "study")

    return make


def with_words(*changes: str) -> MakeRow:
    """A third trial of the study, with something changed."""

    def make(lociscope: Command, tuning: Tuning, training: Any, tmp_path: Path, patch: pytest.MonkeyPatch) -> Any:
        shutil.copy(training.catalog, tmp_path / "other.parquet")
        with (tmp_path / "other.parquet").open("ab") as file:
            file.write(b"other")
        return lociscope(*tuning.words, "-n", "3", "-o", tuning.study, *changes)

    return make


def with_folder(prepare: Callable[[Path], object]) -> MakeRow:
    """A third trial of a copy of the study to which something has happened."""

    def make(lociscope: Command, tuning: Tuning, training: Any, tmp_path: Path, patch: pytest.MonkeyPatch) -> Any:
        shutil.copytree(tuning.study, tmp_path / "study")
        prepare(tmp_path / "study")
        before = contents(tmp_path / "study")
        said = lociscope(*tuning.words, "-n", "3", "-o", "study")
        assert contents(tmp_path / "study") == before, "it is left as it is"
        return said

    return make


def foreign(study: Path) -> None:
    (study / "study.db").unlink()
    with sqlite3.connect(study / "study.db") as connection:
        connection.execute("CREATE TABLE photos (name TEXT)")
    connection.close()


def while_another_works(
    lociscope: Command, tuning: Tuning, training: Any, tmp_path: Path, patch: pytest.MonkeyPatch
) -> Any:
    (tmp_path / "study").mkdir()
    with (tmp_path / "study" / ".lock").open("a") as held:
        assert lock_file(held, wait=False)
        return lociscope(*tuning.words, "-n", "3", "-o", "study")


def without_optuna(lociscope: Command, tuning: Tuning, training: Any, tmp_path: Path, patch: pytest.MonkeyPatch) -> Any:
    patch.setitem(sys.modules, "optuna", None)
    return lociscope("tune", "lenet5", "-n", "3", "-o", "study")


def interrupted(lociscope: Command, tuning: Tuning, training: Any, tmp_path: Path, patch: pytest.MonkeyPatch) -> Any:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    patch.setattr("lociscope.workflows.tune.fit_run", stop)
    return lociscope(*tuning.words, "-n", "3", "-o", "study")


BOTH = "augment.mixup = {low = 0.6, high = 1}\naugment.cutmix = {low = 0.6, high = 1}"
ROWS: dict[str, tuple[int, MakeRow]] = {
    "a misspelt key in `[tune]`": (2, with_space("train.learning_rat = [0.1, 0.2]")),
    "a range whose end no recipe may have": (2, with_space("train.epochs = {low = 0, high = 3}")),
    "a range without its other end": (2, with_space("train.epochs = {low = 1}")),
    "a choice that the network does not know": (2, with_space("network.pooling = ['average', 'maxx']")),
    "a key that decides which fields are scored": (2, with_space("data.valid = [0.1, 0.2]")),
    "a space of which `--set` leaves nothing": (
        2,
        with_words("-s", "train.learning_rate=0.1", "-s", "network.pooling=max"),
    ),
    "`--trials 0`": (2, with_words("-n", "0")),
    "a study of another recipe": (1, with_words("-s", "train.epochs=3")),
    "a study of other fields": (1, with_words("-c", "other.parquet")),
    "another process at work on the study": (1, while_another_works),
    "a damaged `study.db`": (1, with_folder(lambda study: (study / "study.db").write_bytes(b"none" * 1000))),
    "a `study.db` of another program": (1, with_folder(foreign)),
    "a folder of something else under `-o`": (1, with_folder(lambda study: (study / "study.db").unlink())),
    "values that no recipe may have together": (1, with_space(BOTH)),
    "no trial that came to its end": (1, with_space(BOTH)),
    "an interrupt, or a power cut": (130, interrupted),
    "Optuna not installed": (1, without_optuna),
}


def test_the_page_and_the_rows_name_the_same_errors() -> None:
    assert list(SAID) == list(ROWS)


@pytest.mark.parametrize("kind", ROWS)
def test_what_the_page_says_is_what_happens(
    lociscope: Command, tuning: Tuning, training: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    code, make = ROWS[kind]
    before = contents(tuning.study)
    said = make(lociscope, tuning, training, tmp_path, monkeypatch)
    assert (said.code, said.out) == (code, "")
    assert SAID[kind] in said.err
    assert contents(tuning.study) == before
    assert code != 2 or not (tmp_path / "study").exists()


def test_a_search_space_that_was_changed(lociscope: Command, tuning: Tuning, training: Any, tmp_path: Path) -> None:
    words = list(tuning.words)
    words[1] = str(recipe_file(tmp_path, training, TUNE.replace("1e-1", "1e-2")))
    code, _, err = lociscope(*words, "-n", "3", "-o", tuning.study)
    assert code == 1
    assert (
        "a study of another search space (train.learning_rate is 0.0001–0.1 (log) there, 0.0001–0.01 (log) here)" in err
    )


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("lenet55", "-n", "3"), 2, "No recipe 'lenet55'"),
        (("lenet5",), 2, "Missing option '--trials'"),
        (("lenet5", "-n", "3", "--timeout", "0"), 2, "is not in the range"),
        (("lenet5", "-n", "3", "-c", "none.parquet"), 1, "Cannot read Catalog 'none.parquet': No such file"),
        (("lenet5", "-n", "3", "-s", "network.poling=max"), 2, "no option 'poling'. Did you mean 'pooling'?"),
    ],
)
def test_what_the_command_refuses(
    lociscope: Command, tmp_path: Path, words: tuple[str, ...], code: int, sentence: str
) -> None:
    said = lociscope("tune", *words, "-o", "study")
    assert (said.code, said.out) == (code, "")
    assert sentence in said.err
    assert not (tmp_path / "study").exists()


def test_trials_that_all_fail_are_listed(lociscope: Command, training: Any, tmp_path: Path) -> None:
    path = recipe_file(tmp_path, training, f"\n[tune]\n{BOTH}\n")
    _, _, err = lociscope("tune", path, "-n", "2", "-c", training.catalog, "-o", "study")
    assert err.endswith("Correct the recipe, or narrow the search space, and name another folder with --output.\n")
    assert [row["state"] for row in table(tmp_path / "study")] == ["failed", "failed"]
    assert all("must not exceed 1" in row["why"] for row in table(tmp_path / "study"))


def test_the_usual_space_of_every_network() -> None:
    from lociscope.training.trainer import get_trainer
    from lociscope.training.tuning.search import check_models, get_recipe_values
    from lociscope.training.tuning.space import check_space

    for name, keys in (
        ("lenet5-1998", {"train.learning_rate", "train.weight_decay", "augment.gain", "augment.noise"}),
        ("small", {"train.learning_rate", "network.pooling", "network.dropout"}),
        ("features", {"network.strength", "network.rate", "network.leaves"}),
    ):
        recipe = Recipe.from_dict({"network": {"name": name}, "data": {"size": 32}}, name)
        space = check_space(get_trainer(recipe).get_default_space(recipe), recipe, name)
        assert keys <= space.keys()
        own = get_recipe_values(space, recipe)
        assert own is not None, "the recipe as it stands is the first trial"
        assert own.keys() == space.keys()
        if name != "small":  # for which all six poolings would be built
            check_models(space, recipe)
