"""Prints docs/reference/commands.md as the command line has it; `python docs/_generate/commands_page.py > …` writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.main import get_command

from lociscope.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """# Commands

Results go to stdout, progress and complaints to stderr. `-v` says more and `-q` only errors; they stand before the
command, as in `lociscope -q predict …`. Exit codes: [Errors and exit codes](errors-and-exit-codes.md).
`python -m lociscope` is the same command.
"""


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - Typer's own command classes
    """Every command below a group, with its whole name."""
    if hasattr(command, "commands"):
        for word, inner in command.commands.items():
            yield from commands(inner, f"{name} {word}")
    else:
        yield name, command


def usage(name: str, command: Any) -> str:  # noqa: ANN401
    """The command's words, those that may be left out in brackets."""
    words = [name]
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            word = (parameter.metavar or parameter.name.upper()).strip("[]")
            words.append(word if parameter.required else f"[{word}]")
    return " ".join([*words, "[OPTIONS]"])


def row(option: Any) -> str:  # noqa: ANN401
    """One option as a row of the table."""
    names = ", ".join(f"`{name}`" for name in option.opts)
    default = (
        "required"
        if option.required
        else ""
        if option.default is None or option.default is False
        else f"`{option.default}`"
    )
    variable = f" Also `{option.envvar}`." if option.envvar else ""
    return f"| {names} | {default} | {option.help or ''}{variable} |"


def section(name: str, command: Any) -> str:  # noqa: ANN401
    """One command as a section of the page."""
    options = [each for each in command.params if each.param_type_name == "option" and each.name != "help"]
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    lines = [f"## `{name}`", "", command.help.strip(), "", "```text", usage(name, command), "```", ""]
    lines += [f"- `{(each.metavar or each.name.upper()).strip('[]')}`: {each.help}" for each in arguments]
    return "\n".join([*lines, "", "| option | default | meaning |", "|---|---|---|", *map(row, options), ""])


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(section(name, each) for name, each in commands(get_command(app), "lociscope"))])


if __name__ == "__main__":
    print(page(), end="")
