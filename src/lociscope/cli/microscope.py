"""`lociscope microscope`: run a plan on a microscope that predictions steer."""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from lociscope.cli import console
from lociscope.cli.proposals import TerminalAnswers
from lociscope.cli.reading import BundlePath, LogUrl
from lociscope.cli.serve import KEY, require_modules
from lociscope.errors import Code, Exit, LociscopeError, UsageError, suggest
from lociscope.processes.signals import interrupt_on_termination

if TYPE_CHECKING:
    from lociscope.microscope.plan import Mode
    from lociscope.microscope.run_result import RunResult

app = typer.Typer(help="Drive a microscope.", no_args_is_help=True)


_LAST_LOOK_S = 1.5
"""Time in which pages receive the end of the run."""

ModeOption = Annotated[
    str | None,
    typer.Option("--mode", help="observe, propose or act, instead of the plan's: what rules may do."),
]


@app.callback()
def _group() -> None:
    """Drive a microscope."""


@app.command()
def run(
    plan: Annotated[str, typer.Argument(help="A plan (.toml), or the name of a shipped one: simulated, demo.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder to fill, instead of the plan's.")
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle", "-b", envvar="LOCISCOPE_BUNDLE", help="The bundle, instead of the plan's or the one that ships."
        ),
    ] = None,
    log: LogUrl = None,
    mode: ModeOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what the run would do, and move nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Image the fields of a plan, and image again those that its rules choose. A second run resumes the first."""
    from lociscope.microscope.plan import Plan
    from lociscope.workflows.microscope import preview_plan, run_microscope

    described = Plan.read(plan)
    chosen = check_mode(mode)
    if chosen is not None:
        described = described.model_copy(update={"mode": chosen})
    if dry_run:
        preview = preview_plan(described, bundle)
        if as_json:
            _print_json(preview.to_dict())
        else:
            print(*preview.describe(), sep="\n")
        return
    folder = output or Path(described.output)
    with interrupt_on_termination(), console.progress("imaging") as progress:
        observers = [TerminalAnswers()] if described.may_ask else []
        result = run_microscope(described, folder, bundle=bundle, log=log, observers=observers, progress=progress)
    _print_result(result, folder, as_json)
    _exit(result)


@app.command()
def serve(
    plan: Annotated[str, typer.Argument(help="A plan (.toml), or the name of a shipped one: simulated, demo.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder to fill, instead of the plan's.")
    ] = None,
    bundle: BundlePath = None,
    log: LogUrl = None,
    mode: ModeOption = None,
    host: Annotated[str, typer.Option(envvar="LOCISCOPE_HOST", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, envvar="LOCISCOPE_PORT", help="The port; 0 selects a free one.")
    ] = 8000,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(envvar="LOCISCOPE_ALLOW_HOST", help="Another accepted host name, such as a proxy's."),
    ] = None,
    stay: Annotated[bool, typer.Option("--stay", help="Show the page after the run too, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Run a plan with a live page: the plate, the last fields, proposals to accept, pause and stop."""
    require_modules("fastapi", "uvicorn", "jinja2", "python_multipart", "prometheus_client", "sqlalchemy")
    from pydantic import SecretStr

    from lociscope.microscope.board import Board
    from lociscope.microscope.plan import Plan
    from lociscope.service.microscope.app import create_microscope_app
    from lociscope.service.server import serve_beside
    from lociscope.service.settings import Settings
    from lociscope.workflows.microscope import run_microscope

    described = Plan.read(plan)
    folder = output or Path(described.output)
    chosen = bundle or (Path(described.bundle) if described.bundle else None)
    settings = Settings(
        bundle=chosen, host=host, port=port, allow_host=tuple(allow_host or ()), workers=1,
        api_key=SecretStr(os.environ[KEY]) if os.environ.get(KEY) else None,
    )  # fmt: skip
    if not console.verbose:  # pages that follow the run ask all the time
        logging.getLogger("lociscope.service.security").setLevel(logging.WARNING)
    board = Board()
    page = create_microscope_app(settings, board)
    with interrupt_on_termination(), serve_beside(page, settings) as address:
        print(address, flush=True)
        try:
            with console.progress("imaging") as progress:
                result = run_microscope(
                    described, folder, bundle=chosen, log=log, mode=check_mode(mode), observers=[board],
                    progress=progress,
                )  # fmt: skip
        except LociscopeError as error:
            board.finish(None, str(error))
            time.sleep(_LAST_LOOK_S)
            raise
        board.finish(result)
        _print_result(result, folder, as_json)
        with suppress(KeyboardInterrupt):
            time.sleep(_LAST_LOOK_S)
            while stay and not result.interrupted:
                time.sleep(3600)
    _exit(result)


@app.command()
def check(
    plan: Annotated[str, typer.Argument(help="A plan (.toml), or the name of a shipped one: simulated, demo.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The JSON file to write.")] = Path("check.json"),
    bundle: BundlePath = None,
    fit: Annotated[
        bool,
        typer.Option("--fit", help="Also fit A1, the rotation, the camera, and the offsets of each objective."),
    ] = False,
) -> None:
    """Walk through a plan on its microscope: move, turn, focus and image once; write what was found."""
    from lociscope.microscope.plan import Plan
    from lociscope.workflows.microscope import check_on_microscope

    passed = True
    with interrupt_on_termination():
        for finding in check_on_microscope(Plan.read(plan), output, bundle=bundle, fit=fit):
            print(f"{'ok  ' if finding.passed else 'FAIL'}  {finding.what}: {finding.text}", flush=True)
            passed &= finding.passed
            if "toml" in finding.values:
                print(f"\n{finding.values['toml']}", end="")
    if not passed:
        raise typer.Exit(Exit.CHECK_FAILED)


@app.command("plan")
def print_plan(
    name: Annotated[str, typer.Argument(help="simulated or demo.")] = "simulated",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file to write instead of stdout.")] = None,
) -> None:
    """Print a shipped plan, to start a new one from."""
    from lociscope.storage.atomic import atomic_write
    from lociscope.workflows.microscope import read_shipped_plan

    text = read_shipped_plan(name)
    if output is None:
        print(text, end="")
        return
    if output.exists():
        raise LociscopeError(f"'{output}' exists. Pass another file with -o.", code=Code.CONFLICT)
    with atomic_write(output) as part:
        part.write_text(text, "utf-8")


def check_mode(mode: str | None) -> Mode | None:
    """Return a mode of the command line.

    Raises:
        UsageError: The mode is unknown.
    """
    from lociscope.microscope.plan import Mode

    known: tuple[Mode, ...] = get_args(Mode)
    found = next((each for each in known if each == mode), None)
    if mode is not None and found is None:
        raise UsageError(f"Unknown mode {mode!r}.{suggest(mode, known)}", code=Code.UNKNOWN_NAME)
    return found


def _print_result(result: RunResult, folder: Path, as_json: bool) -> None:
    if as_json:
        _print_json(
            {
                "output": str(folder), "fields": result.fields, "new": result.new, "again": result.requested,
                "failed": len(result.failures), "left": len(result.skipped), "unlogged": result.unlogged,
                "error": None if result.error is None else str(result.error),
                "code": None if result.error is None else result.error.code,
            }
        )  # fmt: skip
    elif result.fields and not result.new and not result.error:
        print(f"{console.count_fields(result.fields)} in {folder}, already complete")
    elif result.fields:
        skipped = f"; {console.count_fields(len(result.skipped))} not imaged, see left.csv" if result.skipped else ""
        print(f"{console.count_fields(result.fields)} in {folder}, {result.requested} requested by rules{skipped}")
    if result.failures:
        console.report_failures(result.failures, folder / "failures.csv")
    if result.unlogged:
        console.report_unlogged(result.unlogged, result.log_error)


def _print_json(values: dict[str, Any]) -> None:
    import json

    print(json.dumps(values, ensure_ascii=False))


def _exit(result: RunResult) -> None:
    if result.error is not None:
        console.print_error(f"lociscope: {result.error}")
    if result.hung:  # the interpreter would wait for locks of the driver that hangs
        if result.interrupted:
            console.print_error(f"lociscope: {console.INTERRUPTED}")
        with suppress(OSError):  # its reader may have gone
            sys.stdout.flush()
        os._exit(_exit_code(result))
    if result.interrupted:
        raise KeyboardInterrupt
    if result.error is not None or result.failures or result.unlogged or result.left_out:
        raise typer.Exit(_exit_code(result))


def _exit_code(result: RunResult) -> Exit:
    if result.interrupted:
        return Exit.INTERRUPTED
    return Exit.SOME_FAILED if result.fields > len(result.failures) else Exit.NOTHING_DONE
