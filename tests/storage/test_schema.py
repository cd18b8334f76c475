"""Schemas, values and ids are checked before use."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from lociscope.errors import LociscopeError
from lociscope.storage.schema import check_ids, check_schema, parse_model

# === check_schema ===


@pytest.mark.parametrize("found", [1, 2, "2", b"1"])
def test_known_schemas(found: object) -> None:
    check_schema(found, 2, "It")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (3, "It has schema 3, newer than 2, the newest this lociscope reads. Update lociscope."),
        (0, "It has schema 0; expected 1 to 2."),
        (-1, "It has schema -1; expected 1 to 2."),
        (None, "It states no schema (received None)."),
        ("x", "It states no schema (received 'x')."),
        (float("inf"), "It states no schema (received inf)."),
        ([1], "It states no schema (received [1])."),
    ],
)
def test_other_schemas(found: object, message: str) -> None:
    with pytest.raises(LociscopeError) as caught:
        check_schema(found, 2, "It")
    assert str(caught.value).startswith(message)


# === JSON ===


class Thing(BaseModel):
    schema_: int = Field(alias="schema")
    size: int = Field(ge=1)


def test_an_object_comes_back() -> None:
    assert parse_model(b'{"schema": 1, "size": 2}', Thing, 1, "It").size == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "It is damaged"),
        (b"[]", "It is damaged (a JSON list where an object should be)"),
        (b"\xff\xfe\xfa", "It is damaged"),
        (b'{"schema": 1, "size": 0}', "It is damaged (size: Input should be greater than or equal to 1)"),
        (b'{"schema": 1}', "It is damaged (size: Field required)"),
        (b'{"schema": 9, "size": 0}', "It has schema 9, newer than 1"),
        (b'{"schema": Infinity}', "It states no schema"),
        (b'{"size": 1}', "It states no schema"),
        (b'{"schema": ' + b"[" * 200_000, "It is damaged"),
        (b'{"schema": ' + b"9" * 5000 + b"}", "It is damaged"),
    ],
)
def test_wrong_objects(data: bytes, message: str) -> None:
    with pytest.raises(LociscopeError) as caught:
        parse_model(data, Thing, 1, "It")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_refused_with_a_message(data: bytes) -> None:
    with pytest.raises(LociscopeError, match=r"^It "):
        parse_model(data, Thing, 1, "It")


# === Ids ===


@given(st.lists(st.sampled_from(["a", "b", "c", "", None])))
def test_ids_are_taken_only_when_each_is_there_once(ids: list[Any]) -> None:
    if len(set(ids)) == len(ids) and not {"", None} & set(ids):
        check_ids(iter(ids), "It")
    else:
        with pytest.raises(LociscopeError, match=r"It (names the id '.' twice|holds a row without an id)"):
            check_ids(iter(ids), "It")
