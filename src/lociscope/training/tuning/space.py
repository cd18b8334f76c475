"""The search space: which keys of a recipe are searched, and their ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lociscope.artifacts.recipe import SHIPPED, TUNE, Recipe
from lociscope.artifacts.recipe_upgrade import upgrade_key
from lociscope.errors import Code, UsageError, suggest
from lociscope.storage.toml_files import read_toml, to_usage_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Scalar = bool | int | float | str
SCORES_OTHER_FIELDS = "would score the trials on different fields"
NOT_SEARCHED = {
    "schema": "is not a hyperparameter",
    "note": "is not a hyperparameter",
    "train.seed": "is chance, not a hyperparameter",
    "train.checkpoint_steps": "changes nothing that is measured",
    "train.devices": "changes nothing that is measured",
    "decide.policy": "changes nothing that is measured",
    **dict.fromkeys(
        [f"data.{key}" for key in ("fields", "simulated_size", "seed", "balance", "valid", "online")],
        SCORES_OTHER_FIELDS,
    ),
}
"""Keys that are not searched, and the reason."""


class Range(BaseModel):
    """All numbers from `low` to `high`; integers if the key takes only integers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    low: int | float = Field(allow_inf_nan=False)
    high: int | float = Field(allow_inf_nan=False)
    log: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError(f"low must be above 0 where log = true, received {self.low}")
        return self

    @classmethod
    def around(cls, value: float, low: float, high: float, *, log: bool = False) -> Self:
        """Return the range from `low` to `high`, widened where `value` is outside."""
        return cls(low=min(low, value), high=max(high, value), log=log)

    @property
    def ends(self) -> tuple[Scalar, ...]:
        """Both ends."""
        return self.low, self.high

    @property
    def is_integer(self) -> bool:
        """Whether the range contains integers only."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g}–{self.high:g}{' (log)' if self.log else ''}"


class Choice(BaseModel):
    """One of several values."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    values: tuple[Scalar, ...] = Field(strict=False)

    @property
    def ends(self) -> tuple[Scalar, ...]:
        """All values."""
        return self.values

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return ", ".join(str(each).lower() if isinstance(each, bool) else str(each) for each in self.values)


Space = dict[str, Range | Choice]
"""Ranges and choices by dotted key."""


def read_space(name: str) -> Space:
    """Return the `[tune]` table of a recipe file; empty if it has none.

    Args:
        name: A shipped recipe's name, or a path.

    Returns:
        The space as written; `check_space` compares it with the recipe.

    Raises:
        UsageError: The file does not exist, or an entry is neither a list nor `{low, high}`.
    """
    values = read_toml(name, SHIPPED, "recipe")
    table, rename = values.get(TUNE, {}), upgrade_key if values.get("schema") == 1 else str
    if not isinstance(table, dict):
        raise UsageError(
            f"Recipe '{name}': {TUNE} is not a table. Write [{TUNE}] above its keys.", code=Code.INVALID_VALUE
        )
    return {rename(key): _dimension(value, f"Recipe '{name}': [{TUNE}] {key}") for key, value in _flat(table)}


def _flat(table: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield entries by dotted key; an unquoted dotted key is a nested table in TOML."""
    for key, value in table.items():
        if isinstance(value, dict) and value and not value.keys() & Range.model_fields.keys():
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _dimension(value: object, what: str) -> Range | Choice:
    if isinstance(value, dict) and value:
        try:
            return Range.model_validate(value)
        except ValidationError as error:
            raise to_usage_error(error, what, Range, "Give low and high.") from error
    if not isinstance(value, list) or not all(isinstance(each, Scalar) for each in value):
        raise UsageError(
            f"{what} is {value!r}; expected a list of values, or {{low = …, high = …}}. Correct the entry.",
            code=Code.INVALID_VALUE,
        )
    if len(value) < 2 or len(set(value)) < len(value):
        raise UsageError(
            f"{what} needs two values or more, all different, received {value!r}. Correct the list.",
            code=Code.INVALID_VALUE,
        )
    return Choice(values=tuple(value))


def check_space(space: Space, recipe: Recipe, what: str) -> Space:
    """Check a space against the recipe: every end and every choice must give a valid recipe.

    Args:
        space: The search space.
        recipe: The values that are not searched.
        what: Name of the space in error messages.

    Returns:
        The space, with integer ranges only for keys that take only integers.

    Raises:
        UsageError: The space is empty, a key is unknown or cannot be searched, or a value is out of its range.
    """
    if not space:
        raise UsageError(f"{what} is empty: --set fixes all of it. Leave one key to search.", code=Code.INVALID_VALUE)
    for key, dimension in space.items():
        if key in NOT_SEARCHED:
            raise UsageError(
                f"{what} cannot search {key}: it {NOT_SEARCHED[key]}. Take it out.", code=Code.INVALID_VALUE
            )
        for value in dimension.ends:
            replace_values(recipe, {key: value}, f"{what}, at {key} = {value}")
    return {key: _match_type(dimension, get_value(recipe, key)) for key, dimension in space.items()}


def _match_type(dimension: Range | Choice, value: object) -> Range | Choice:
    """Make a range such as `{low = 0, high = 1}` one of floats if the key takes floats."""
    if isinstance(dimension, Range) and isinstance(value, float):
        return dimension.model_copy(update={"low": float(dimension.low), "high": float(dimension.high)})
    return dimension


def replace_values(recipe: Recipe, values: dict[str, Any], what: str) -> Recipe:
    """Return a recipe with some of its values replaced.

    Args:
        recipe: The recipe.
        values: By dotted key; stages are counted from 1: `stages.2.learning_rate`.
        what: Name of the result in error messages.

    Raises:
        UsageError: A key is unknown or a value out of its range.
    """
    tree = recipe.model_dump(by_alias=True)
    for key, value in values.items():
        *tables, last = key.split(".")
        found = _look_up(tree, tables)
        if not isinstance(found, dict):
            remedy = " Count its parts from 1." if tables[0] in tree else suggest(tables[0], tree)
            raise UsageError(f"{what}: the recipe has no {'.'.join(tables)!r}.{remedy}", code=Code.INVALID_VALUE)
        found[last] = value
    return Recipe.from_dict(tree, what)


def get_value(recipe: Recipe, key: str) -> Any:  # noqa: ANN401
    """Return the recipe's value of a dotted key; None if it has none, such as an option that it leaves out."""
    return _look_up(recipe.model_dump(by_alias=True), key.split("."))


def _look_up(found: Any, parts: Iterable[str]) -> Any:  # noqa: ANN401 - whatever a recipe holds
    """Return the value under names of tables and numbers of arrays; None if there is none."""
    for part in parts:
        if isinstance(found, dict):
            found = found.get(part)
        elif isinstance(found, list | tuple) and part.isdecimal() and 0 < int(part) <= len(found):
            found = found[int(part) - 1]
        else:
            return None
    return found
