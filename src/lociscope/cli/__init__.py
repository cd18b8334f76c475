"""The command line: one command for each arrow of the data flow."""

import logging
import os
import sys
from typing import Annotated

import typer

from lociscope.cli import demo, evaluate, export, importing, predict, simulate, train
from lociscope.errors import Exit, LociscopeError

app = typer.Typer(
    name="lociscope",
    help="Says where in the cell a protein is, from four-channel fluorescence fields.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.add_typer(simulate.app, name="simulate")
app.add_typer(importing.app, name="import")
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("export")(export.export)
app.command("predict")(predict.predict)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"lociscope {version('lociscope')}")
        raise typer.Exit


@app.callback()
def settings(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only errors, and show no progress.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Says where in the cell a protein is, from four-channel fluorescence fields."""
    from lociscope.cli import console

    level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING
    logging.basicConfig(level=level, format="lociscope: %(message)s", stream=sys.stderr)
    console.quiet = quiet


def main() -> None:
    """Runs the command line: mistakes become one sentence on stderr and an exit code."""
    try:
        app()
    except LociscopeError as error:
        print(f"lociscope: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("lociscope: interrupted. Give the same command again to go on.", file=sys.stderr)
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has gone, as after `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.DONE)
