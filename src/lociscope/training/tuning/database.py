"""The database of a tuning: an Optuna study of one subject, on which one process at a time works."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from lociscope.artifacts.recipe import Recipe
from lociscope.errors import Code, LociscopeError, MissingExtraError
from lociscope.storage.locks import exclusive_lock
from lociscope.storage.schema import CORRUPT_FILE_ERRORS, check_schema
from lociscope.training.tuning.space import Space, get_value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import optuna

    from lociscope.artifacts.study import Study

SCHEMA = 1
NAME = "lociscope"
"""The study's name in the database, and of the attribute that says what it is a study of."""
OURS = ("study.db", "study.db-journal", "fields")
"""What a study that was killed at its very beginning may have left."""
WAIT_SECONDS = 30


class Subject(BaseModel):
    """What a study is a study of; trials of another subject cannot be compared with its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: int = Field(SCHEMA, alias="schema")
    recipe: dict[str, Any]
    space: Space
    fields: str = Field(description="`simulated`, or the sha256 of the Catalog.")

    @classmethod
    def of(cls, recipe: Recipe, space: Space, fields: str) -> Subject:
        """States the subject; the recipe's note is no part of it."""
        values = recipe.model_dump(mode="json", by_alias=True, exclude={"note"})
        return cls(schema=SCHEMA, recipe=values, space=space, fields=fields)


def import_optuna() -> None:
    """Makes sure that Optuna is there, and that it says nothing of its own accord.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("Tuning", "tune") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@contextmanager
def open_study(place: Study, subject: Subject) -> Iterator[optuna.Study]:
    """Opens or begins the study of a folder, for this process alone.

    Args:
        place: Where it lies.
        subject: What it is of.

    Yields:
        The study, whose values are to be maximised.

    Raises:
        LociscopeError: Another process works on it, it is of another subject, or the database is damaged or foreign.
        MissingExtraError: Optuna is not installed.
    """
    import_optuna()
    _check_folder(place)
    # Two processes would share the machine, and the order of trials would be chance.
    taken = f"Another process tunes in '{place.folder}'. Wait until it is done, or name another with -o."
    with exclusive_lock(place.folder, taken), _told(place), ExitStack() as held:
        with _told(place, *CORRUPT_FILE_ERRORS, LookupError):
            _check_database(place.database)
            study = _loaded(held.enter_context(_stored(place.database)))
            _check_subject(study, subject, place)
        yield study


def _check_folder(place: Study) -> None:
    """Refuses a folder of something else."""
    path = place.folder
    if path.is_dir() and not place.database.exists():
        others = [each.name for each in path.iterdir() if each.name[0] != "." and each.name not in OURS]
        if others:
            raise LociscopeError(f"'{path}' exists and is no study. Name another folder with -o.", code=Code.CONFLICT)


def _check_database(path: Path) -> None:
    """Refuses a file that is damaged, or a database of another kind, before Optuna writes into it.

    Raises:
        sqlite3.Error: It is no database.
        LociscopeError: It is no study's.
    """
    if not path.exists():
        return
    with _connected(path) as connection:
        said = connection.execute("PRAGMA quick_check").fetchone()[0]
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if said != "ok":
        raise sqlite3.DatabaseError(said.splitlines()[0])
    if names and "studies" not in names:
        raise LociscopeError(f"'{path}' is no study of Optuna's. Name another folder with -o.", code=Code.WRONG_FILE)


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _stored(path: Path) -> Iterator[optuna.storages.RDBStorage]:
    import optuna
    from sqlalchemy.pool import NullPool

    def connect() -> sqlite3.Connection:  # a URL cannot name every path
        return sqlite3.connect(path, timeout=WAIT_SECONDS)

    storage = optuna.storages.RDBStorage("sqlite://", {"creator": connect, "poolclass": NullPool})
    try:
        yield storage
    finally:
        with suppress(Exception):  # the error that led here is the one to tell
            storage.remove_session()
        storage.engine.dispose()


def _loaded(storage: optuna.storages.RDBStorage) -> optuna.Study:
    import optuna

    study = optuna.create_study(storage=storage, study_name=NAME, direction="maximize", load_if_exists=True)
    study.get_trials(deepcopy=False)  # what cannot be read is told now
    return study


def _check_subject(study: optuna.Study, subject: Subject, place: Study) -> None:
    found = study.user_attrs.get(NAME)
    if found is None:
        if study.get_trials(deepcopy=False):
            raise LociscopeError(
                f"'{place.folder}' holds a study that lociscope did not make. Name another with -o.", code=Code.CONFLICT
            )
        study.set_user_attr(NAME, subject.model_dump(mode="json", by_alias=True))
        return
    check_schema(found.get("schema"), SCHEMA, f"Study '{place.folder}'")
    before = Subject.model_validate(found)
    difference = _difference(before, subject)
    if difference:
        raise LociscopeError(
            f"'{place.folder}' is a study of {difference}. Name another folder with -o.", code=Code.CONFLICT
        )


def _difference(before: Subject, now: Subject) -> str:
    """What a study was made of that is something else now; nothing where all is the same."""
    then, wanted = (Recipe.from_dict(each.recipe, "The study's recipe") for each in (before, now))
    if then != wanted:
        keys = [
            f"{name}.{key}" for name, table in wanted.model_dump().items() if isinstance(table, dict) for key in table
        ]
        key = next((key for key in keys if get_value(then, key) != get_value(wanted, key)), None)
        return "another recipe" + (
            f" ({key} is {get_value(then, key)} there, {get_value(wanted, key)} here)" if key else ""
        )
    if before.fields != now.fields:
        return "other fields"
    if before.space != now.space:
        keys = sorted(before.space.keys() | now.space.keys())
        key = next(key for key in keys if before.space.get(key) != now.space.get(key))
        was, wants = (str(each.space.get(key, "not searched")) for each in (before, now))
        return f"another search space ({key} is {was} there, {wants} here)"
    return ""


@contextmanager
def _told(place: Study, *damaged: type[Exception]) -> Iterator[None]:
    """Lets whatever the database complains of, and what parsing its contents raises, become one sentence."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    complaints: tuple[type[Exception], ...] = (SQLAlchemyError, sqlite3.Error, optuna.exceptions.StorageInternalError)
    try:
        yield
    except (*complaints, *damaged) as error:
        reason = str(getattr(error.__cause__, "orig", None) or getattr(error, "orig", None) or error)
        remedy = "Restore it from a copy, or name another folder with -o"
        if "locked" in reason:
            remedy = "Another program has it open: close that, and give the command again"
        raise LociscopeError(
            f"'{place.database}' cannot be used ({reason.splitlines()[0]}). {remedy}.", code=Code.UNAVAILABLE
        ) from error
