"""Writing files whole or not at all, and reading only what a known schema wrote."""

import os
import shutil
import struct
import sys
import zipfile
import zlib
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias, TypeVar

from lociscope.errors import LociscopeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa
    from pydantic import BaseModel

    Model = TypeVar("Model", bound=BaseModel)

DAMAGED = (
    *(ValueError, TypeError, KeyError, EOFError, OSError, struct.error, zlib.error, zipfile.BadZipFile),
    *(RuntimeError, MemoryError, OverflowError),  # nested too deep, encrypted, unheard-of compression, absurd sizes
)
"""What the standard library and numpy raise while they parse bytes that are not what they should be."""


AnyPath: TypeAlias = str | os.PathLike[str]
"""A path as a user of the Python interface gives it."""

LOCK = ".lock"
"""In a folder on which one process at a time works."""


@contextmanager
def replacing(path: Path) -> "Iterator[Path]":
    """Gives a temporary path beside `path` and, when all went well, renames it into place.

    Works for a file and for a folder (the block makes whichever it wants); an older file of that name is
    replaced, an older folder too. After an error nothing is left under either name that was not there before.

    Args:
        path: The final name.

    Yields:
        The path to write to, in the same folder.

    Raises:
        LociscopeError: The place cannot be written: no permission, no space, no such folder.
    """
    if not path.name:  # `.` or `/`
        raise LociscopeError(f"'{path}' is a folder that cannot be replaced. Name a file or a folder inside it.")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(part)
        yield part
        if part.is_dir() and path.is_dir():
            _swap(part, path)
        else:
            part.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):  # what forbade writing may forbid looking, too
            _remove(part)


def unwritable(path: Path, error: OSError, option: str = "-o") -> LociscopeError:
    """The sentence for a file that cannot be written, where the option names its place."""
    reason = error.strerror or str(error)
    return LociscopeError(f"Cannot write '{path}': {reason}. Mend that, or name another place with {option}.")


def check_schema(found: object, known: int, what: str) -> None:
    """Refuses files of a schema that this version does not know.

    Args:
        found: What the file says; None where it says nothing.
        known: The newest schema that can be read.
        what: The file, as the sentence shall call it.

    Raises:
        LociscopeError: The schema is newer, or is no number.
    """
    try:
        number = int(found)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        raise LociscopeError(f"{what} states no schema (received {found!r}). Make it again with lociscope.") from None
    if number > known:
        raise LociscopeError(
            f"{what} has schema {number}, newer than {known}, the newest this lociscope reads. Update lociscope."
        )
    if number < 1:
        right = "1" if known == 1 else f"1 to {known}"
        raise LociscopeError(f"{what} has schema {number}; expected {right}. Make it again with lociscope.")


def read_parquet(path: Path, what: str, kind: str, schema: int, *, foreign: bool = False) -> "pa.Table":
    """Reads a Parquet file.

    Args:
        path: The file.
        what: Its noun, for the sentence of an error: `Catalog`, `Predictions`.
        kind: The value that its metadata must carry under `kind`.
        schema: The newest schema that can be read.
        foreign: Whether a file that states no kind, which others wrote, is read, too.

    Returns:
        The table.

    Raises:
        LociscopeError: The file is missing, is no Parquet, is of another kind or of a newer schema.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # One plain file, no dataset discovery: a path is never read as a pattern or a partition.
        with path.open("rb") as file:
            table = pq.ParquetFile(file).read()
        table.validate(full=True)  # bytes that are no text, found by fuzzing
    except OSError as error:
        if error.errno is None:  # pyarrow's own complaint about damaged contents
            raise LociscopeError(f"'{path}' is damaged or cut short ({error}). Make it again.") from error
        raise LociscopeError(f"Cannot read {what} '{path}': {error.strerror}. Check the path.") from error
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise LociscopeError(
            f"'{path}' is no {what}: it is no Parquet file. Name a file that lociscope wrote."
        ) from error
    metadata = table.schema.metadata or {}
    found = metadata.get(b"kind", b"").decode(errors="replace")
    if foreign and not found:
        return table
    if found != kind:
        raise LociscopeError(f"'{path}' is no {what} (its kind is {found!r}). Name a file that lociscope wrote as one.")
    check_schema(metadata.get(b"schema"), schema, f"{what} '{path}'")
    return table


def cast_column(table: "pa.Table", name: str, kind: "pa.DataType", what: str) -> "pa.ChunkedArray":
    """A column as the type that it should have; strings and lists of other layouts are accepted.

    Raises:
        LociscopeError: The column holds something else.
    """
    import re

    import pyarrow as pa

    try:
        return table[name].cast(kind)
    except pa.ArrowException as error:
        value = re.search(r"'(.{0,40}).*' as a scalar", str(error), re.DOTALL)
        held = f"{value[1]!r}" if value else str(table[name].type)
        raise LociscopeError(f"{what}: column {name!r} holds {held}, expected {kind}. Correct that column.") from error


def parse_model(data: bytes, model: "type[Model]", schema: int, what: str) -> "Model":
    """Reads a JSON object that lociscope wrote.

    Args:
        data: The file's contents.
        model: What it must be.
        schema: The newest schema that can be read.
        what: The file, as the sentence of an error shall call it.

    Returns:
        The checked object.

    Raises:
        LociscopeError: The bytes are no JSON object, are of a newer schema, or lack or garble a value.
    """
    import json

    from pydantic import ValidationError

    try:
        values: Any = json.loads(data)
        if not isinstance(values, dict):
            raise TypeError(f"a JSON {type(values).__name__} where an object should be")
        check_schema(values.get("schema"), schema, what)
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = f"{where}: {first['msg']}" if where else first["msg"].removeprefix("Value error, ")
        raise LociscopeError(f"{what} is damaged ({reason}). Make it again.") from error
    except DAMAGED as error:
        raise LociscopeError(f"{what} is damaged ({error}). Make it again.") from error


def check_ids(ids: "Iterable[str | None]", what: str) -> None:
    """Refuses a table in which a row has no id, or two have the same.

    Args:
        ids: The fields' names.
        what: The table, as the sentence of an error shall call it.

    Raises:
        LociscopeError: An id is missing, blank or doubled.
    """
    counts = Counter(ids)
    for nothing in (None, ""):
        if nothing in counts:
            raise LociscopeError(f"{what} holds a row without an id. Give every row its id.")
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        raise LociscopeError(f"{what} names the id {twice!r} twice. Keep one of them.")


def _swap(new: Path, old: Path) -> None:
    """Puts a folder in the place of another; the moment without either is two renames long."""
    away = old.with_name(f".{old.name}.{os.getpid()}.old")
    _remove(away)
    old.rename(away)
    new.rename(old)
    _remove(away)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def lock(file: IO[Any], *, wait: bool) -> bool:
    """Takes the lock of an open file; it ends with the file's closing, or the process.

    Args:
        file: The file, open for writing.
        wait: Whether to wait while another process holds it.

    Returns:
        Whether it is held now; False only where another process holds it and nobody waited.

    Raises:
        OSError: The file lies where there are no locks.
    """
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except PermissionError:
            if wait:
                raise
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def alone(folder: Path, taken: str, *, needed: bool = True) -> "Iterator[None]":
    """Keep other processes out of a folder, which is made where there is none; leave no trace.

    Args:
        folder: The folder; its lock is the file `.lock`.
        taken: The error message where another process holds it.
        needed: Whether a file system without locks is refused.

    Raises:
        LociscopeError: Another process holds it, or it cannot be written.
    """
    made = not folder.exists()
    try:
        file = _locked(folder / LOCK, needed=needed)
    except OSError as error:
        raise unwritable(folder, error) from error
    if file is None:
        raise LociscopeError(taken)
    with file:
        try:
            yield
        finally:
            with suppress(OSError):  # an open file stays on Windows
                (folder / LOCK).unlink()
            with suppress(OSError):  # something was made
                if made:
                    folder.rmdir()


def _locked(path: Path, *, needed: bool) -> IO[Any] | None:
    """Open and lock a file; None where another process holds it."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
        try:
            if not lock(file, wait=False):
                file.close()
                return None
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except FileNotFoundError:
            pass
        except OSError:
            if not needed:
                return file
            file.close()
            raise
        file.close()  # who held it removed the file between our opening and locking it
