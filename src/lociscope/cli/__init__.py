"""The command line: one command for each arrow of the data flow."""

from __future__ import annotations

import inspect
import logging
import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from lociscope.cli import (
    bundle,
    card,
    compare,
    demo,
    ensemble,
    evaluate,
    explore,
    export,
    importing,
    keys,
    map,
    microscope,
    models,
    monitor,
    ood,
    predict,
    recipes,
    report,
    review,
    serve,
    share,
    similar,
    simulate,
    split,
    train,
    tune,
    watch,
)
from lociscope.errors import Exit, LociscopeError

if TYPE_CHECKING:
    from typer.core import TyperGroup

OWN_SIGNALS = ("serve", "watch", "microscope")
"""Commands that answer signals themselves: they finish requests, tables and a shutter first."""

app = typer.Typer(
    name="lociscope",
    help="Says where in the cell a protein is, from four-channel fluorescence fields.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: no column cuts a word, and what is shown can be copied
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.add_typer(simulate.app, name="simulate")
app.add_typer(importing.app, name="import")
app.command("explore")(explore.explore)
app.add_typer(ensemble.app, name="ensemble")
app.command("split")(split.split)
app.add_typer(recipes.app, name="recipes")
app.command("train")(train.train)
app.command("tune")(tune.tune)
app.command("compare")(compare.compare)
app.command("evaluate")(evaluate.evaluate)
app.command("card")(card.card)
app.command("export")(export.export)
app.add_typer(bundle.app, name="bundle")
app.command("ood")(ood.ood)
app.command("predict")(predict.predict)
app.command("report")(report.report)
app.command("summarize")(share.summarize)
app.command("convert")(share.convert)
app.command("map")(map.map_fields)
app.command("similar")(similar.similar)
app.command("serve")(serve.serve)
app.add_typer(keys.app, name="keys")
app.command("watch")(watch.watch)
app.add_typer(microscope.app, name="microscope")
app.add_typer(monitor.app, name="monitor")
app.add_typer(review.app, name="review")
app.add_typer(models.app, name="models")


def _list_first_sentences(group: typer.Typer) -> None:
    """Show the whole first sentence of each command in the help of its group, where Typer would cut it short."""
    for command in group.registered_commands:
        command.short_help = _first_sentence((command.callback and command.callback.__doc__) or "")
    for inner in group.registered_groups:
        if inner.typer_instance:
            inner.short_help = _first_sentence(inner.typer_instance.info.help or "")
            _list_first_sentences(inner.typer_instance)


def _first_sentence(text: str) -> str:
    paragraph = inspect.cleandoc(text).split("\n\n")[0]
    return " ".join(paragraph.split(". ")[0].split()).rstrip(".") + "."


_list_first_sentences(app)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"lociscope {version('lociscope')}")
        raise typer.Exit


@app.callback()
def settings(
    context: typer.Context,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only errors, and show no progress.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Says where in the cell a protein is, from four-channel fluorescence fields."""
    from lociscope.cli import console, streams

    handler = console.LogHandler()
    handler.addFilter(_ours_or_serious)
    level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING
    logging.basicConfig(level=level, format="lociscope: %(message)s", handlers=[handler])
    console.quiet, console.verbose, console.context = quiet, verbose, context
    if context.invoked_subcommand not in OWN_SIGNALS:
        context.with_resource(streams.ending_on_signals())


def _ours_or_serious(record: logging.LogRecord) -> bool:
    """Leaves out what Pillow and others have to say of every chunk of a file."""
    return record.name.startswith("lociscope") or record.levelno >= logging.WARNING


@cache
def _parser() -> TyperGroup:
    """Return the parser of all commands, which is built once in a process: it takes a tenth of a second."""
    return typer.main.get_group(app)


def main() -> None:
    """Run the command line: errors become one message on stderr and an exit code."""
    from lociscope.cli.streams import open_streams

    open_streams()
    try:
        try:
            _parser()()
        finally:
            sys.stdout.flush()  # now, while what goes wrong with it can still be reported
    except LociscopeError as error:
        _leave(str(error), error.exit_code)
    except KeyboardInterrupt:
        _leave_interrupted()
    except SystemExit as left:  # typer makes one of an interrupt, and one of a broken pipe
        if isinstance(left.__context__, BrokenPipeError):
            sys.exit(Exit.DONE)
        if left.code != Exit.INTERRUPTED:
            raise
        _leave_interrupted()
    except MemoryError:
        _leave("out of memory. Try fewer --workers, or a larger machine.", Exit.NOTHING_DONE)
    except OSError as error:
        if error.filename is None:  # stdout: nothing of it is tried again at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # its reader has gone, as after `| head`
            ending = error.__context__
            sys.exit(ending.code if isinstance(ending, SystemExit) else Exit.DONE)
        logging.getLogger(__name__).debug("where it came from:", exc_info=True)
        where = f"'{error.filename}'" if error.filename else "the output"
        reason = error.strerror or str(error)
        _leave(f"Cannot use {where}: {reason}. Check the path, its permissions and the space.", Exit.NOTHING_DONE)


def _leave_interrupted() -> NoReturn:
    from lociscope.cli import console

    _leave(console.INTERRUPTED, Exit.INTERRUPTED)


def _leave(message: str, code: Exit) -> NoReturn:
    from lociscope.cli import console

    console.print_error(f"lociscope: {message}")
    sys.exit(code)
