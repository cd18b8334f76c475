"""TOML files that become pydantic models: recipes and plans, each with one sentence for each mistake."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from lociscope.errors import Code, UsageError, suggest

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError


def read_toml(name: str, shipped: Path, kind: str) -> dict[str, Any]:
    """Reads a shipped file by its name, or any by its path.

    Args:
        name: A name without suffix, or a path that ends in `.toml`.
        shipped: The folder of the shipped ones.
        kind: What the file is called in sentences: `recipe`.

    Returns:
        Its nested values.

    Raises:
        UsageError: There is no such file, or it is no TOML.
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
            f"{kind.capitalize()} '{path}' is no TOML: {error}. Mend that line.", code=Code.CORRUPT
        ) from error


def describe_error(error: ValidationError, what: str, model: type[BaseModel], missing: str = "") -> str:
    """One sentence for the first mistake that pydantic found.

    Args:
        error: What it found.
        what: What the values are of: `Recipe 'lenet5'`.
        model: The model that the values did not fit.
        missing: The remedy where a key is missing.
    """
    errors = error.errors()  # a misspelt key also lacks its right name: the spelling is the cause
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    key = ".".join(str(part + 1 if isinstance(part, int) else part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        *tables, name = first["loc"]
        names = [field.alias or key for key, field in find_model(model, tables).model_fields.items()]
        return f"{what} has the unknown key {key!r}.{suggest(str(name), names)}"
    if first["type"] == "missing":
        return f"{what} lacks the key {key!r}. {missing}"
    received = "" if first["type"] == "value_error" else f", received {first['input']!r}"
    said = first["msg"].removeprefix("Value error, ").replace("a valid tuple", "an array")
    return f"{what}: {key or 'the file'}: {said}{received}. Mend the value."


def find_model(model: type[BaseModel], tables: list[Any] | tuple[Any, ...]) -> type[BaseModel]:
    """The model of a table, by the keys that lead to it; numbers of arrays are passed over."""
    found: Any = model
    for table in tables:
        if not isinstance(table, int):
            annotation: Any = found.model_fields[str(table)].annotation
            found = next((each for each in get_args(annotation) if hasattr(each, "model_fields")), annotation)
    made: type[BaseModel] = found
    return made
