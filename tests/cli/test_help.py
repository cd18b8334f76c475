"""The help of every command fits 80 columns and can be copied from: nothing is cut, and no word broken."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from lociscope import cli

if TYPE_CHECKING:
    from collections.abc import Iterator


def commands_of(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands_of(inner, (*words, name))


COMMANDS = dict(commands_of(get_command(cli.app)))


def words_of(command: Any) -> set[str]:
    """What the help must show unbroken: option names, their values, environment variables, and every word."""
    words = set((command.help or "").split())
    for parameter in command.params:
        options = parameter.opts + parameter.secondary_opts if parameter.param_type_name == "option" else []
        texts = [getattr(parameter, "help", None) or "", parameter.envvar or ""]
        words |= {*options, *" ".join(texts).split(), *getattr(parameter.type, "choices", ())}
        words |= {parameter.metavar} if parameter.metavar else set()
    return words


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_help_cuts_nothing_at_80_columns(name: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli.app, [*name, "--help"], env={"COLUMNS": "80", "TERM": "dumb"}).output
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    assert not re.search(r"[a-z,;:]\.\.\.", shown), "a sentence is cut short"
    assert not [word for word in words_of(COMMANDS[name]) if word not in shown and not broken_at_hyphen(word, shown)]


def broken_at_hyphen(word: str, shown: str) -> bool:
    """Whether a plain word, not an option, is broken after one of its hyphens, as in print."""
    if word.startswith(("-", "`-")):
        return False
    parts = word.split("-")
    return any(f"{'-'.join(parts[:n])}-\n" in shown for n in range(1, len(parts)))


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["predcit"], "predict"),
        (["predict", "--outptu", "x.csv"], "--output"),
        (["simulate", "atlass"], "atlas"),
        (["microscope", "rnu"], "run"),
    ],
)
def test_a_misspelt_name_gets_the_nearest(words: list[str], nearest: str) -> None:
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 2
    assert nearest in result.stderr
