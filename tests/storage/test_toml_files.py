"""TOML files that become models: the first error, with the nearest valid name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from lociscope.errors import Code, UsageError
from lociscope.storage.toml_files import find_model, read_toml, to_usage_error

if TYPE_CHECKING:
    from pathlib import Path


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    size: int = 1
    names: tuple[str, ...] = ()


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    inner: Inner = Inner()
    parts: tuple[Inner, ...] = ()


@pytest.mark.parametrize(
    ("values", "code", "text"),
    [
        ({"nam": "a"}, Code.UNKNOWN_NAME, "It has the unknown key 'nam'. Did you mean 'name'?"),
        (
            {"name": "a", "inner": {"sise": 2}},
            Code.UNKNOWN_NAME,
            "It has the unknown key 'inner.sise'. Did you mean 'size'?",
        ),
        (
            {"name": "a", "parts": ({"sise": 2},)},
            Code.UNKNOWN_NAME,
            "It has the unknown key 'parts.1.sise'. Did you mean 'size'?",
        ),
        ({}, Code.INCOMPLETE, "It lacks the key 'name'. Write it."),
        (
            {"name": "a", "inner": {"names": "b"}},
            Code.INVALID_VALUE,
            "It: inner.names: Input should be an array, received 'b'. Correct the value.",
        ),
    ],
)
def test_the_first_error_is_reported(values: dict[str, object], code: Code, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(values)
    error = to_usage_error(caught.value, "It", Outer, "Write it.")
    assert (error.code, str(error)) == (code, text)


def test_models_are_found_through_arrays() -> None:
    assert find_model(Outer, ["parts", 0]) is find_model(Outer, ["inner"]) is Inner
    assert find_model(Outer, []) is Outer


def test_by_name_or_by_path(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text("size = 3")
    assert read_toml("small", tmp_path, "recipe") == read_toml(str(tmp_path / "small.toml"), tmp_path, "recipe")
    with pytest.raises(UsageError, match=r"No recipe 'smal' .* Did you mean 'small'"):
        read_toml("smal", tmp_path, "recipe")
    (tmp_path / "small.toml").write_text("size = ")
    with pytest.raises(UsageError, match=r"Recipe '.*small.toml' is not TOML: .* Correct that line"):
        read_toml("small", tmp_path, "recipe")
