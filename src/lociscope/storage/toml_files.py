"""TOML files that become pydantic models: recipes and plans."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from lociscope.errors import Code, UsageError, suggest

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError


def read_toml(name: str, shipped: Path, kind: str) -> dict[str, Any]:
    """Read a shipped file by its name, or any file by its path.

    Args:
        name: A name without suffix, or a path that ends in `.toml`.
        shipped: The folder of the shipped ones.
        kind: Its noun for error messages: `recipe`.

    Returns:
        Its nested values.

    Raises:
        UsageError: The file does not exist, or is not TOML.
    """
    path = Path(name) if name.endswith(".toml") else shipped / f"{name}.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        known = [each.stem for each in shipped.glob("*.toml")]
        raise UsageError(
            f"No {kind} '{name}' ({error.strerror}).{suggest(name, known)}", code=Code.NOT_FOUND
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{kind.capitalize()} '{path}' is not TOML: {error}. Correct that line.", code=Code.CORRUPT
        ) from error


def read_shipped(name: str, shipped: Path, kind: str) -> str:
    """Return the text of a shipped file, to start a new one from.

    Args:
        name: Its name without suffix.
        shipped: The folder of the shipped ones.
        kind: Its noun for error messages: `recipe`.

    Raises:
        UsageError: No file of that name ships; the message names the nearest.
    """
    known = {path.stem: path for path in shipped.glob("*.toml")}
    if name not in known:
        raise UsageError(f"No {kind} '{name}' ships with lociscope.{suggest(name, known)}", code=Code.UNKNOWN_NAME)
    return known[name].read_text(encoding="utf-8")


def to_usage_error(error: ValidationError, what: str, model: type[BaseModel], missing: str = "") -> UsageError:
    """Convert the first error that pydantic found.

    Args:
        error: What pydantic raised.
        what: The file, as the message calls it: `Recipe 'lenet5'`.
        model: The model that the values did not fit.
        missing: The remedy where a key is missing.
    """
    errors = error.errors()  # a misspelt key also lacks its right name: the spelling is the cause
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    key = ".".join(str(part + 1 if isinstance(part, int) else part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        *tables, name = first["loc"]
        names = [field.alias or key for key, field in find_model(model, tables).model_fields.items()]
        return UsageError(f"{what} has the unknown key {key!r}.{suggest(str(name), names)}", code=Code.UNKNOWN_NAME)
    if first["type"] == "missing":
        return UsageError(f"{what} lacks the key {key!r}. {missing}", code=Code.INCOMPLETE)
    received = "" if first["type"] == "value_error" else f", received {first['input']!r}"
    reason = first["msg"].removeprefix("Value error, ").replace("a valid tuple", "an array")
    return UsageError(f"{what}: {key or 'the file'}: {reason}{received}. Correct the value.", code=Code.INVALID_VALUE)


def find_model(model: type[BaseModel], tables: list[Any] | tuple[Any, ...]) -> type[BaseModel]:
    """Return the model of a table, by the keys that lead to it; the numbers of arrays are skipped."""
    found: Any = model
    for table in tables:
        if not isinstance(table, int):
            annotation: Any = found.model_fields[str(table)].annotation
            found = next((each for each in get_args(annotation) if hasattr(each, "model_fields")), annotation)
    nested: type[BaseModel] = found
    return nested
