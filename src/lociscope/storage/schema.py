"""Read only what a known schema wrote."""

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
    *(RuntimeError, MemoryError, OverflowError),  # nested too deep, encrypted, unheard-of compression, absurd sizes
)
"""What the standard library and numpy raise while they parse bytes that are not what they should be."""


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
        right = "1" if known == 1 else f"1 to {known}"
        raise LociscopeError(
            f"{what} has schema {number}; expected {right}. Make it again with lociscope.",
            code=Code.UNSUPPORTED_VERSION,
        )


def parse_model(data: bytes, model: type[Model], schema: int, what: str) -> Model:
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
        raise LociscopeError(f"{what} is damaged ({reason}). Make it again.", code=Code.CORRUPT) from error
    except CORRUPT_FILE_ERRORS as error:
        raise LociscopeError(f"{what} is damaged ({error}). Make it again.", code=Code.CORRUPT) from error


def check_ids(ids: Iterable[str | None], what: str) -> None:
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
            raise LociscopeError(f"{what} holds a row without an id. Give every row its id.", code=Code.INVALID_VALUE)
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        raise LociscopeError(f"{what} names the id {twice!r} twice. Keep one of them.", code=Code.DUPLICATE)
