"""The database of a hyperparameter search: an Optuna study, open in one process at a time."""

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
"""Name of the study in the database, and of its attribute that holds the `Subject`."""
STUDY_FILES = ("study.db", "study.db-journal", "fields")
"""Files that a study may leave when it is killed at its beginning."""
WAIT_SECONDS = 30


class Subject(BaseModel):
    """Recipe, search space and fields of a study; trials of another subject cannot be compared with its trials."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: int = Field(SCHEMA, alias="schema")
    recipe: dict[str, Any]
    space: Space
    fields: str = Field(description="`simulated`, or the sha256 of the Catalog.")

    @classmethod
    def from_recipe(cls, recipe: Recipe, space: Space, fields: str) -> Subject:
        """Return the subject; the recipe's note is not part of it."""
        values = recipe.model_dump(mode="json", by_alias=True, exclude={"note"})
        return cls(schema=SCHEMA, recipe=values, space=space, fields=fields)


def import_optuna() -> None:
    """Check that Optuna is installed, and silence its log.

    Raises:
        MissingExtraError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("Tuning", "tune") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@contextmanager
def open_study(results: Study, subject: Subject) -> Iterator[optuna.Study]:
    """Open or create the study of a folder, exclusively for this process.

    Args:
        results: The study's folder.
        subject: Recipe, search space and fields.

    Yields:
        The study, which maximises its values.

    Raises:
        LociscopeError: Another process has it open, it has another subject, or the database is damaged or of another
            program.
        MissingExtraError: Optuna is not installed.
    """
    import_optuna()
    _check_folder(results)
    # Two processes would compete for the machine, and the order of trials would be random.
    in_use = f"Another process tunes in '{results.folder}'. Wait until it ends, or name another folder with `output`."
    with exclusive_lock(results.folder, in_use), _explain_errors(results), ExitStack() as stack:
        with _explain_errors(results, *CORRUPT_FILE_ERRORS, LookupError):
            _check_database(results.database)
            study = _load_study(stack.enter_context(_open_storage(results.database)))
            _check_subject(study, subject, results)
        yield study


def _check_folder(results: Study) -> None:
    """Raise an error for a folder with other files."""
    path = results.folder
    if path.is_dir() and not results.database.exists():
        others = [each.name for each in path.iterdir() if each.name[0] != "." and each.name not in STUDY_FILES]
        if others:
            raise LociscopeError(
                f"'{path}' exists and is not a study. Name another folder with `output`.", code=Code.CONFLICT
            )


def _check_database(path: Path) -> None:
    """Raise an error for a damaged file or another kind of database, before Optuna writes into it.

    Raises:
        sqlite3.Error: It is not a database.
        LociscopeError: It is not the database of a study.
    """
    if not path.exists():
        return
    with _connect_read_only(path) as connection:
        status = connection.execute("PRAGMA quick_check").fetchone()[0]
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if status != "ok":
        raise sqlite3.DatabaseError(status.splitlines()[0])
    if names and "studies" not in names:
        raise LociscopeError(
            f"'{path}' is not a study of Optuna's. Name another folder with `output`.", code=Code.WRONG_FILE
        )


@contextmanager
def _connect_read_only(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _open_storage(path: Path) -> Iterator[optuna.storages.RDBStorage]:
    import optuna
    from sqlalchemy.pool import NullPool

    def connect() -> sqlite3.Connection:  # a URL cannot name every path
        return sqlite3.connect(path, timeout=WAIT_SECONDS)

    storage = optuna.storages.RDBStorage("sqlite://", {"creator": connect, "poolclass": NullPool})
    try:
        yield storage
    finally:
        with suppress(Exception):  # so that the error that led here is raised
            storage.remove_session()
        storage.engine.dispose()


def _load_study(storage: optuna.storages.RDBStorage) -> optuna.Study:
    import optuna

    study = optuna.create_study(storage=storage, study_name=NAME, direction="maximize", load_if_exists=True)
    study.get_trials(deepcopy=False)  # an unreadable trial raises its error here
    return study


def _check_subject(study: optuna.Study, subject: Subject, results: Study) -> None:
    found = study.user_attrs.get(NAME)
    if found is None:
        if study.get_trials(deepcopy=False):
            raise LociscopeError(
                f"'{results.folder}' holds a study that lociscope did not create. Name another folder with `output`.",
                code=Code.CONFLICT,
            )
        study.set_user_attr(NAME, subject.model_dump(mode="json", by_alias=True))
        return
    check_schema(found.get("schema"), SCHEMA, f"Study '{results.folder}'")
    before = Subject.model_validate(found)
    difference = _describe_difference(before, subject)
    if difference:
        raise LociscopeError(
            f"'{results.folder}' is a study of {difference}. Name another folder with `output`.", code=Code.CONFLICT
        )


def _describe_difference(before: Subject, now: Subject) -> str:
    """Return what differs between two subjects as text; empty if they are the same."""
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
def _explain_errors(results: Study, *damaged: type[Exception]) -> Iterator[None]:
    """Replace errors of the database, and of parsing its contents, by one error message."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    database_errors: tuple[type[Exception], ...] = (
        SQLAlchemyError,
        sqlite3.Error,
        optuna.exceptions.StorageInternalError,
    )
    try:
        yield
    except (*database_errors, *damaged) as error:
        reason = str(getattr(error.__cause__, "orig", None) or getattr(error, "orig", None) or error)
        remedy, code = "Restore it from a copy, or name another folder with `output`", Code.CORRUPT
        if "locked" in reason:
            remedy, code = "Another program has it open: close that, and repeat the command", Code.UNAVAILABLE
        raise LociscopeError(
            f"'{results.database}' cannot be used ({reason.splitlines()[0]}). {remedy}.", code=code
        ) from error
