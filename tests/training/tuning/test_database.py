"""The database of a study: whose it is, who works on it, and what it cannot be."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.artifacts.recipe import Recipe
from lociscope.artifacts.study import Study
from lociscope.errors import LociscopeError, MissingExtraError
from lociscope.training.tuning.database import NAME, Subject, import_optuna, open_study
from lociscope.training.tuning.space import Choice, Range, Space

if TYPE_CHECKING:
    from pathlib import Path

optuna = pytest.importorskip("optuna")

SPACE: Space = {
    "train.learning_rate": Range(low=0.001, high=0.1, log=True),
    "train.loss": Choice(values=("bce", "focal")),
}
RECIPE = Recipe()
SUBJECT = Subject.from_recipe(RECIPE, SPACE, "simulated")


def begin(folder: Path, trials: int = 1) -> None:
    with open_study(Study(folder), SUBJECT) as study:
        for _ in range(trials):
            study.tell(study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}), 0.5)


def refused(folder: Path, subject: Subject = SUBJECT) -> str:
    with pytest.raises(LociscopeError) as said, open_study(Study(folder), subject):
        pass
    assert "\n" not in str(said.value)
    return str(said.value)


@pytest.mark.parametrize("name", ["study", "st?dy #1 %20 {SCHEMA_VERSION}", "Zellkörper 'ß'"])
def test_a_study_is_kept_whatever_its_folder_is_called(tmp_path: Path, name: str) -> None:
    begin(tmp_path / name)
    assert (tmp_path / name / "study.db").stat().st_size > 0
    with open_study(Study(tmp_path / name), SUBJECT) as study:
        assert [trial.value for trial in study.trials] == [0.5]
        assert study.direction.name == "MAXIMIZE"
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_the_subject_comes_back_as_it_was(tmp_path: Path) -> None:
    begin(tmp_path)
    with open_study(Study(tmp_path), SUBJECT) as study:
        assert Subject.model_validate(study.user_attrs[NAME]) == SUBJECT


def changed(table: str, **values: Any) -> Recipe:
    return Recipe().model_copy(update={table: getattr(Recipe(), table).model_copy(update=values)})


def of(recipe: Recipe = RECIPE, space: Space = SPACE, fields: str = "simulated") -> Subject:
    return Subject.from_recipe(recipe, space, fields)


@pytest.mark.parametrize(
    ("subject", "sentence"),
    [
        (of(changed("train", epochs=3)), "another recipe (train.epochs is 20 there, 3 here)"),
        (of(changed("network", width=2.0)), "another recipe (network.width is None there, 2.0"),
        (of(fields="0123"), "other fields"),
        (of(space=SPACE | {"train.batch": Range(low=1, high=2)}), "(train.batch is not searched there"),
        (
            of(space=SPACE | {"train.loss": Choice(values=("bce", "soft_f1"))}),
            "another search space (train.loss is bce, focal there, bce, soft_f1 here)",
        ),
        (of(space={"train.loss": SPACE["train.loss"]}), "train.learning_rate is 0.001–0.1 (log) there"),
    ],
)  # fmt: skip
def test_a_study_of_something_else_is_refused(tmp_path: Path, subject: Subject, sentence: str) -> None:
    begin(tmp_path)
    said = refused(tmp_path, subject)
    assert sentence in said
    assert said.endswith("Name another folder with `output`.")


def test_the_note_of_a_recipe_may_change(tmp_path: Path) -> None:
    begin(tmp_path)
    with open_study(Study(tmp_path), Subject.from_recipe(Recipe(note="why"), SPACE, "simulated")) as study:
        assert len(study.trials) == 1


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos.zip").write_text("mine")
    assert refused(tmp_path) == f"'{tmp_path}' exists and is not a study. Name another folder with `output`."
    assert [each.name for each in tmp_path.iterdir()] == ["photos.zip"]


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "study").write_text("mine")
    assert "study" in refused(tmp_path / "study")


def test_a_database_of_another_kind_is_left_as_it_is(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("CREATE TABLE photos (name TEXT)")
    connection.close()
    before = (tmp_path / "study.db").read_bytes()
    assert "is not a study of Optuna's" in refused(tmp_path)
    assert (tmp_path / "study.db").read_bytes() == before


def test_a_study_that_somebody_made_with_optuna_alone(tmp_path: Path) -> None:
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'study.db'}")
    study = optuna.create_study(storage=storage, study_name=NAME, direction="maximize")
    study.tell(study.ask(), 1.0)
    storage.remove_session()
    storage.engine.dispose()
    assert "a study that lociscope did not create" in refused(tmp_path)


@pytest.mark.parametrize("damage", ["text", "cut", "page", "schema"])
def test_a_damaged_database_gives_one_error(tmp_path: Path, damage: str) -> None:
    begin(tmp_path, 3)
    path = tmp_path / "study.db"
    data = bytearray(path.read_bytes())
    if damage == "text":
        data = bytearray(b"this was a study once, and long enough to be taken for one" * 40)
    elif damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "page":
        data[4096 * 2 : 4096 * 9] = bytes(4096 * 7)
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE study_user_attributes SET value_json = '{\"schema\": 99}'")
        connection.close()
        assert "has schema 99, newer than 1" in refused(tmp_path)
        return
    path.write_bytes(data)
    said = refused(tmp_path)
    assert said.startswith(f"'{path}' cannot be used (")
    assert said.endswith("Restore it from a copy, or name another folder with `output`.")


def test_any_bytes_may_be_wrong(tmp_path: Path) -> None:
    begin(tmp_path, 3)
    path = tmp_path / "study.db"
    data, rng, refusals = path.read_bytes(), np.random.default_rng(0), 0
    written = np.flatnonzero(np.frombuffer(data, np.uint8))
    for _ in range(60):
        damaged = bytearray(data)
        for place in rng.choice(written, 3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            with open_study(Study(tmp_path), SUBJECT) as study:
                study.get_trials()
        except LociscopeError as error:
            refusals += 1
            assert "\n" not in str(error)
    assert refusals > 10


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with open_study(Study(tmp_path), SUBJECT):
        assert refused(tmp_path) == (
            f"Another process tunes in '{tmp_path}'. Wait until it ends, or name another folder with `output`."
        )
    begin(tmp_path)


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match="Tuning needs the extra 'tune'"):
        import_optuna()


def test_nothing_is_said_by_optuna(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        begin(tmp_path, 2)
    assert capfd.readouterr() == ("", "")


def test_the_rest_of_lociscope_does_not_load_optuna() -> None:
    code = (
        "import lociscope.cli, lociscope.cli.tune, sys; assert not {'optuna', 'sqlalchemy', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
