"""Schemas: check the version, the values and the ids of files before they are used."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel

    Model = TypeVar("Model", bound=BaseModel)

CORRUPT_FILE_ERRORS = (
    *(ValueError, TypeError, KeyError, EOFError, OSError, struct.error, zlib.error, zipfile.BadZipFile),
    *(RuntimeError, MemoryError, OverflowError),  # nested too deep, encrypted, unknown compression, absurd sizes
)
"""Exceptions that the standard library and numpy raise while they parse corrupt bytes."""


def check_schema(found: object, known: int, what: str) -> None:
    """Refuse a file of a schema that this version does not know.

    Args:
        found: The schema that the file states; None where it states none.
        known: The newest schema that can be read.
        what: The file, as the error message calls it.

    Raises:
        LociscopeError: The schema is newer, or is not a number.
    """
    try:
        number = int(found)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        raise LociscopeError(
            f"{what} states no schema (received {found!r}). Make it again with lociscope.",
            code=Code.UNSUPPORTED_VERSION,
        ) from None
    if number > known:
        raise LociscopeError(
            f"{what} has schema {number}, newer than {known}, the newest this lociscope reads. Update lociscope.",
            code=Code.UNSUPPORTED_VERSION,
        )
    if number < 1:
        expected = "1" if known == 1 else f"1 to {known}"
        raise LociscopeError(
            f"{what} has schema {number}; expected {expected}. Make it again with lociscope.",
            code=Code.UNSUPPORTED_VERSION,
        )


def parse_model(data: bytes, model: type[Model], schema: int, what: str) -> Model:
    """Parse a JSON object that lociscope wrote.

    Args:
        data: The file's contents.
        model: Its pydantic model.
        schema: The newest schema that can be read.
        what: The file, as the error message calls it.

    Returns:
        The validated object.

    Raises:
        LociscopeError: The bytes are not a JSON object, are of a newer schema, or a value is missing or wrong.
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
        raise LociscopeError(f"{what} is damaged ({reason}). Make it again.", code=Code.CORRUPT) from error
    except CORRUPT_FILE_ERRORS as error:
        raise LociscopeError(f"{what} is damaged ({error}). Make it again.", code=Code.CORRUPT) from error


def check_ids(ids: Iterable[str | None], what: str) -> None:
    """Refuse a table in which a row has no id, or two rows have the same.

    Args:
        ids: The ids, one a row.
        what: The table, as the error message calls it.

    Raises:
        LociscopeError: An id is missing, blank or duplicated.
    """
    counts = Counter(ids)
    for blank in (None, ""):
        if blank in counts:
            raise LociscopeError(f"{what} holds a row without an id. Give every row its id.", code=Code.INVALID_VALUE)
    duplicate = next((name for name, count in counts.items() if count > 1), None)
    if duplicate is not None:
        raise LociscopeError(f"{what} names the id {duplicate!r} twice. Keep one of them.", code=Code.DUPLICATE)
