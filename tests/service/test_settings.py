"""Settings that contradict each other, or would let anyone in, are refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from lociscope.errors import Exit, UsageError
from lociscope.service.settings import Settings


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"host": "localhost"},
        {"host": "::1"},
        {"host": "0.0.0.0", "public": True},
        {"host": "10.0.0.7", "api_key": SecretStr("x" * 16)},
        {"registry": Path("r")},
    ],
)
def test_what_may_be_served(given: dict[str, Any]) -> None:
    assert Settings(**given).check() == Settings(**given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"host": "0.0.0.0"}, "`host=0.0.0.0` lets others reach this service, and no key protects it."),
        ({"host": "", "api_key": SecretStr("")}, "Set LOCISCOPE_API_KEY, make keys with"),
        ({"api_key": SecretStr("short")}, "LOCISCOPE_API_KEY has 5 characters; expected at least 16."),
        ({"bundle": Path("b"), "registry": Path("r")}, "Both `bundle` and `registry` name a model to serve."),
    ],
)
def test_what_may_not(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)) as error:
        Settings(**given).check()
    assert error.value.exit_code == Exit.USAGE


def test_values_that_cannot_be() -> None:
    for given in ({"port": 70_000}, {"workers": 0}, {"max_in_flight": 0}, {"colour": 1}):
        with pytest.raises(ValidationError):
            Settings.model_validate(given)


def test_the_key_is_not_printed() -> None:
    assert "secret-secret-secret" not in repr(Settings(api_key=SecretStr("secret-secret-secret")))


def test_names_by_which_it_may_be_called() -> None:
    assert Settings().hosts == frozenset({"localhost", "127.0.0.1", "::1"})
    assert Settings(host="0.0.0.0").hosts is None
    assert Settings(host="10.0.0.7", allow_host=("A.b",)).hosts == frozenset({"10.0.0.7", "a.b"})
