"""`lociscope microscope`: a microscope that looks again where the predictions say so."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lociscope.cli import console
from lociscope.cli.reading import LogUrl, open_optional_log
from lociscope.errors import Code, Exit, LociscopeError, UsageError
from lociscope.processes.signals import interrupt_on_termination

if TYPE_CHECKING:
    from lociscope.microscope.acquire import RunResult

app = typer.Typer(help="Drive a microscope.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Drive a microscope."""


@app.command()
def run(
    plan: Annotated[str, typer.Argument(help="A plan (.toml), or the name of a shipped one: simulated, demo.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder to fill, in place of the plan's.")
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle", "-b", envvar="LOCISCOPE_BUNDLE", help="In place of the plan's, or of the one shipped."
        ),
    ] = None,
    log: LogUrl = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do, and move nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Image the fields of a plan, and look again where its rules say. A second run goes on where this one stopped."""
    from lociscope.microscope.acquire import check_plan, run_plan
    from lociscope.microscope.configuration import check_bundle
    from lociscope.microscope.describe import describe_plan, summarize_plan
    from lociscope.microscope.plan import Plan
    from lociscope.predict.predictor import open_bundle

    read = Plan.read(plan)
    scale, positions = check_plan(read)
    predictor = open_bundle(bundle or read.bundle)
    notes = check_bundle(read, scale, predictor.bundle)
    if dry_run:
        if as_json:
            _print_json(summarize_plan(read, scale, positions, notes))
        else:
            print(*describe_plan(read, scale, positions, notes), sep="\n")
        return
    folder = output or Path(read.output)
    with interrupt_on_termination(), open_optional_log(log or read.log) as kept, console.progress("imaging") as tell:
        result = run_plan(read, predictor, folder, log=kept, progress=lambda number: tell(number, len(positions)))
    _say(result, folder, as_json)
    _leave(result)


@app.command("plan")
def print_plan(
    name: Annotated[str, typer.Argument(help="simulated or demo.")] = "simulated",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file to write in place of stdout.")] = None,
) -> None:
    """Print a shipped plan, to begin one's own with."""
    from lociscope.errors import suggest
    from lociscope.microscope.plan import SHIPPED
    from lociscope.storage.atomic import atomic_write

    known = {path.stem: path for path in SHIPPED.glob("*.toml")}
    if name not in known:
        raise UsageError(f"No plan '{name}' is shipped.{suggest(name, known)}", code=Code.UNKNOWN_NAME)
    text = known[name].read_text("utf-8")
    if output is None:
        print(text, end="")
        return
    if output.exists():
        raise LociscopeError(f"'{output}' exists. Name another file with -o.", code=Code.CONFLICT)
    with atomic_write(output) as part:
        part.write_text(text, "utf-8")


def _say(result: RunResult, folder: Path, as_json: bool) -> None:
    if as_json:
        _print_json(
            {
                "output": str(folder), "fields": result.fields, "new": result.new, "again": result.again,
                "failed": len(result.failures), "left": len(result.left), "unlogged": result.unlogged,
                "error": result.error,
            }
        )  # fmt: skip
    elif result.fields and not result.new and not result.error:
        print(f"{console.counted(result.fields)} in {folder}, complete already")
    elif result.fields:
        left = f"; {console.counted(len(result.left))} not imaged, see left.csv" if result.left else ""
        print(f"{console.counted(result.fields)} in {folder}, {result.again} because of rules{left}")
    if result.failures:
        console.tell_failures(result.failures, folder / "failures.csv")
    if result.unlogged:
        console.tell_unlogged(result.unlogged, result.trouble)


def _print_json(values: dict[str, Any]) -> None:
    import json

    print(json.dumps(values, ensure_ascii=False))


def _leave(result: RunResult) -> None:
    if result.error is not None:
        print(f"lociscope: {result.error}", file=sys.stderr, flush=True)
    if result.hung:  # a driver that hangs holds locks for which the interpreter would wait
        if result.interrupted:
            console.say(f"lociscope: {console.INTERRUPTED}")
        sys.stdout.flush()
        os._exit(_code(result))
    if result.interrupted:
        raise KeyboardInterrupt
    if result.error is not None or result.failures or result.unlogged:
        raise typer.Exit(_code(result))


def _code(result: RunResult) -> Exit:
    if result.interrupted:
        return Exit.INTERRUPTED
    return Exit.SOME_FAILED if result.fields > len(result.failures) else Exit.NOTHING_DONE
