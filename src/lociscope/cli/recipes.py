"""`lociscope recipes`: show and copy the recipes that ship with lociscope."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lociscope.errors import Code, LociscopeError, UsageError

app = typer.Typer(help="Show the shipped recipes, and copy them to change hyperparameters.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A shipped recipe's name, such as lenet5.")]


@app.command("list")
def list_all(
    as_json: Annotated[bool, typer.Option("--json", help="Print name, network and summary as JSON.")] = False,
) -> None:
    """List the shipped recipes, each with its network and the first sentence of its description."""
    import json

    from lociscope.artifacts.recipe import SHIPPED, Recipe

    rows = [
        {
            "name": path.stem,
            "network": Recipe.read(path.stem).network.name,
            "summary": summarize(path.read_text("utf-8")),
        }
        for path in sorted(SHIPPED.glob("*.toml"))
    ]
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(f"{row['name']:<24}{row['network']:<14}{row['summary']}")


@app.command()
def show(name: Name) -> None:
    """Print a shipped recipe, with its measured scores."""
    print(read_text(name), end="")


@app.command()
def copy(
    name: Name,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="The file to write.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; by default NAME.toml.")
    ] = None,
) -> None:
    """Copy a shipped recipe, to change it and train it by its path."""
    from lociscope.storage.atomic import atomic_write

    if file is not None and output is not None:
        raise UsageError(f"'{file}' and -o '{output}' both name the file to write. Name one.", code=Code.INVALID_VALUE)
    text, target = read_text(name), file or output or Path(f"{name}.toml")
    if target.suffix != ".toml":
        raise UsageError(
            f"'{target}' ends in {target.suffix!r}; a recipe ends in .toml. Rename it.", code=Code.UNSUPPORTED_FORMAT
        )
    if target.exists():
        raise LociscopeError(f"'{target}' exists. Name another file with -o.", code=Code.CONFLICT)
    with atomic_write(target) as part:
        part.write_text(text, encoding="utf-8")
    print(target)


def read_text(name: str) -> str:
    """Return the text of a shipped recipe.

    Raises:
        UsageError: There is none of that name; the message names the nearest.
    """
    from lociscope.artifacts.recipe import SHIPPED
    from lociscope.storage.toml_files import read_shipped

    return read_shipped(name, SHIPPED, "recipe")


def summarize(text: str) -> str:
    """Return the first sentence of the comment at the top of a recipe."""
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#") or not line.strip("# "):
            break
        lines.append(line.strip("# "))
    whole = " ".join(lines)
    return whole.partition(". ")[0].rstrip(".") + "." if whole else ""
