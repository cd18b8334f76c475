"""`lociscope watch`: predict the fields of a folder as they arrive."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.cli.reading import (
    AllowMissing,
    BundlePath,
    Channels,
    Embeddings,
    LogUrl,
    Pattern,
    PixelSize,
    Plane,
    Preset,
    Table,
    parse_rules,
)
from lociscope.errors import Exit
from lociscope.processes.signals import handle_termination

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from lociscope.artifacts.predictions import Predictions
    from lociscope.images.discovery.sources import Failure
    from lociscope.predict.batch import BatchResult

_FEW = 4
"""Most fields of one call that are named one by one."""


def watch(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", readable=False, help="The folder that the microscope writes to.")
    ],
    output: Table,
    bundle: BundlePath = None,
    embeddings: Embeddings = False,
    channels: Channels = None,
    allow_missing: AllowMissing = None,
    pixel_size: PixelSize = None,
    plane: Plane = None,
    pattern: Pattern = None,
    preset: Preset = None,
    settle: Annotated[float, typer.Option(min=0, help="Seconds for which a file must not change to be read.")] = 2.0,
    every: Annotated[float, typer.Option(min=0.05, help="Seconds between two polls of the folder.")] = 0.5,
    incomplete_after: Annotated[
        float, typer.Option(min=0, help="Seconds after which a field is reported that lacks a file or cannot be read.")
    ] = 60.0,
    until_idle: Annotated[
        float | None, typer.Option(min=0, help="End after so many seconds without a new file.")
    ] = None,
    log: LogUrl = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads that read fields.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for every event.")] = False,
) -> None:
    """Predict fields as a microscope writes them, until Ctrl-C. The same command resumes."""
    rules = parse_rules(channels, allow_missing, pixel_size, plane, pattern, preset)

    from lociscope.watch.watcher import WatchTiming
    from lociscope.workflows.watch import watch_folder

    report = _JsonReport() if as_json else _TextReport()
    timing = WatchTiming(every, settle, incomplete_after, until_idle)
    with _stop_on_signals() as stop:
        result = watch_folder(
            folder, output, callback=report, stop=stop, bundle=bundle, rules=rules, embeddings=embeddings,
            timing=timing, log=log, workers=workers,
        )  # fmt: skip
    report.finish(result, output)
    if result.failures or result.unlogged:
        raise typer.Exit(Exit.SOME_FAILED if result.rows else Exit.NOTHING_DONE)


@contextmanager
def _stop_on_signals() -> Iterator[Event]:
    """Let Ctrl-C, SIGTERM and SIGHUP end the watch in order, and a second signal end it at once."""
    stop = _Stop()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    with handle_termination(ask, signal.SIGINT):
        yield stop


class _Stop(Event):
    """An event that a signal handler may set.

    The lock of `threading.Event` may belong to a wait that the signal interrupts; setting it would then block forever.
    """

    def __init__(self) -> None:
        super().__init__()
        self._stopped = False

    def set(self) -> None:
        """End the current wait when its time is over, and later ones at once."""
        self._stopped = True

    def is_set(self) -> bool:
        """Return whether the event was set."""
        return self._stopped

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep for `timeout` seconds, unless the event was set before."""
        if not self._stopped:
            time.sleep(timeout or 0)
        return self._stopped


class _TextReport:
    """Reports events as text on stderr, and the result on stdout."""

    def on_predicted(self, predictions: Predictions, completed: list[str]) -> None:
        """Name a few fields with their locations, most probable first, and count many."""
        from lociscope.labels import LABELS

        for name in completed:
            console.note(f"{name} is complete now")
        if len(predictions) > _FEW:
            console.note(
                f"{console.count_fields(len(predictions))} predicted, {predictions.ids[0]} to {predictions.ids[-1]}"
            )
            return
        for row, name in enumerate(predictions.ids):
            probability = predictions.probability[row]
            numbers = sorted(predictions.predicted[row], key=probability.__getitem__, reverse=True)
            console.note(f"{name}: {', '.join(LABELS[number] for number in numbers) or predictions.status[row]}")

    def on_overdue(self, failure: Failure) -> None:
        """Print what a field lacks."""
        console.print_error(f"lociscope: {failure.id}: {failure.reason}")

    def on_problem(self, message: str) -> None:
        """Print the message."""
        console.print_error(f"lociscope: {message}")

    def finish(self, result: BatchResult, output: Path) -> None:
        """Print how many fields the table has."""
        print(f"{console.count_fields(result.rows)} in {output}, {result.new} new")
        console.report_unpredicted(result, output)


class _JsonReport:
    """Reports events as lines of JSON on stdout."""

    def _print_event(self, event: str, **more: object) -> None:
        import json

        print(json.dumps({"event": event, "time": round(time.time(), 3), **more}), flush=True)

    def on_predicted(self, predictions: Predictions, completed: list[str]) -> None:
        """Print a line for each field."""
        from lociscope.labels import to_nullable

        for row, name in enumerate(predictions.ids):
            self._print_event(
                "predicted",
                id=name,
                predicted=list(predictions.predicted[row]),
                probability=to_nullable(predictions.probability[row], 6),
                status=predictions.status[row],
                warnings=[str(warning) for warning in predictions.warnings[row]],
                completed=name in completed,
            )

    def on_overdue(self, failure: Failure) -> None:
        """Print a line."""
        self._print_event("incomplete", **failure._replace(reason=console.with_flags(failure.reason))._asdict())

    def on_problem(self, message: str) -> None:
        """Print a line."""
        self._print_event("trouble", reason=message)

    def finish(self, result: BatchResult, output: Path) -> None:
        """Print the last line."""
        failed = len(result.failures)
        self._print_event(
            "ended", output=str(output), rows=result.rows, new=result.new, failed=failed, unlogged=result.unlogged
        )
