"""`lociscope microscope`: a microscope that looks again where the predictions say so."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lociscope.cli import console
from lociscope.cli.reading import LogUrl, opened
from lociscope.errors import Code, Exit, LociscopeError, UsageError
from lociscope.processes.signals import ended_as_interrupted

if TYPE_CHECKING:
    from lociscope.microscope.acquire import Outcome

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
    """Image the fields of a plan, and look again where its rules say. A second run goes on where this one stops."""
    from lociscope.microscope.acquire import check_plan, run_plan
    from lociscope.microscope.configuration import check_bundle
    from lociscope.microscope.describe import as_json as plan_as_json
    from lociscope.microscope.describe import describe
    from lociscope.microscope.plan import Plan
    from lociscope.predict.predictor import open_bundle

    read = Plan.read(plan)
    scale, stops = check_plan(read)
    predictor = open_bundle(bundle or read.bundle)
    notes = check_bundle(read, scale, predictor.bundle)
    if dry_run:
        if as_json:
            _print_json(plan_as_json(read, scale, stops, notes))
        else:
            print(*describe(read, scale, stops, notes), sep="\n")
        return
    folder = output or Path(read.output)
    with ended_as_interrupted(), opened(log or read.log) as kept, console.progress("imaging") as tell:
        outcome = run_plan(read, predictor, folder, log=kept, progress=lambda number: tell(number, len(stops)))
    _say(outcome, folder, as_json)
    _leave(outcome)


@app.command("plan")
def print_plan(
    name: Annotated[str, typer.Argument(help="simulated or demo.")] = "simulated",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file to write in place of stdout.")] = None,
) -> None:
    """Print a shipped plan, to begin one's own with."""
    from lociscope.errors import nearest
    from lociscope.microscope.plan import SHIPPED
    from lociscope.storage.atomic import atomic_write

    known = {path.stem: path for path in SHIPPED.glob("*.toml")}
    if name not in known:
        raise UsageError(f"No plan '{name}' is shipped.{nearest(name, known)}", code=Code.UNKNOWN_NAME)
    text = known[name].read_text("utf-8")
    if output is None:
        print(text, end="")
        return
    if output.exists():
        raise LociscopeError(f"'{output}' exists. Name another file with -o.", code=Code.CONFLICT)
    with atomic_write(output) as part:
        part.write_text(text, "utf-8")


def _say(outcome: Outcome, folder: Path, as_json: bool) -> None:
    if as_json:
        _print_json(
            {
                "output": str(folder), "fields": outcome.fields, "new": outcome.new, "again": outcome.again,
                "failed": len(outcome.failures), "left": len(outcome.left), "unlogged": outcome.unlogged,
                "error": outcome.error,
            }
        )  # fmt: skip
    elif outcome.fields and not outcome.new and not outcome.error:
        print(f"{console.counted(outcome.fields)} in {folder}, complete already")
    elif outcome.fields:
        left = f"; {console.counted(len(outcome.left))} not imaged, see left.csv" if outcome.left else ""
        print(f"{console.counted(outcome.fields)} in {folder}, {outcome.again} because of rules{left}")
    if outcome.failures:
        console.tell_failures(outcome.failures, folder / "failures.csv")
    if outcome.unlogged:
        console.tell_unlogged(outcome.unlogged, outcome.trouble)


def _print_json(values: dict[str, Any]) -> None:
    import json

    print(json.dumps(values, ensure_ascii=False))


def _leave(outcome: Outcome) -> None:
    if outcome.error is not None:
        print(f"lociscope: {outcome.error}", file=sys.stderr, flush=True)
    if outcome.hung:  # a driver that hangs holds locks for which the interpreter would wait
        if outcome.interrupted:
            console.say(f"lociscope: {console.INTERRUPTED}")
        sys.stdout.flush()
        os._exit(_code(outcome))
    if outcome.interrupted:
        raise KeyboardInterrupt
    if outcome.error is not None or outcome.failures or outcome.unlogged:
        raise typer.Exit(_code(outcome))


def _code(outcome: Outcome) -> Exit:
    if outcome.interrupted:
        return Exit.INTERRUPTED
    return Exit.SOME_FAILED if outcome.fields > len(outcome.failures) else Exit.NOTHING_DONE
