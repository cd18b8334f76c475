"""`lociscope watch`: a folder's fields are predicted as they come."""

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
    check_table,
    open_optional_log,
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
"""Fields of one call that are named one by one."""


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
    every: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks at the folder.")] = 0.5,
    incomplete_after: Annotated[
        float, typer.Option(min=0, help="Seconds after which it is said what a field lacks, or why it is not read.")
    ] = 60.0,
    until_idle: Annotated[
        float | None, typer.Option(min=0, help="End when nothing has come for so many seconds.")
    ] = None,
    log: LogUrl = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads that read fields.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for all that happens.")] = False,
) -> None:
    """Predict fields as a microscope writes them, until Ctrl-C. Started again, it goes on where it was."""
    check_table(output, embeddings=embeddings)
    rules = parse_rules(channels, allow_missing, pixel_size, plane, pattern, preset)
    from lociscope.predict.output import OutputOptions
    from lociscope.predict.predictor import open_bundle
    from lociscope.watch.watcher import Pace
    from lociscope.watch.watcher import watch as watch_folder

    predictor = open_bundle(bundle)
    tell = _Lines() if as_json else _Words()
    pace = Pace(every, settle, incomplete_after, until_idle)
    with open_optional_log(log) as kept, _asked_to_stop() as stop:
        outcome = watch_folder(
            predictor, folder, output, rules, OutputOptions(embeddings=embeddings), pace,
            tell=tell, stop=stop, log=kept, workers=workers,
        )  # fmt: skip
    tell.ended(outcome, output)
    if outcome.failures or outcome.unlogged:
        raise typer.Exit(Exit.SOME_FAILED if outcome.rows else Exit.NOTHING_DONE)


@contextmanager
def _asked_to_stop() -> Iterator[Event]:
    """Let Ctrl-C, SIGTERM and SIGHUP end the watch in order, and a second one at once."""
    stop = _Stop()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    with handle_termination(ask, signal.SIGINT):
        yield stop


class _Stop(Event):
    """An event that a signal's handler may set.

    Python's own has a lock, which a wait that the signal interrupts may hold: setting it would then wait for ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked = False

    def set(self) -> None:
        """Ends the next wait, at the latest when its time is over."""
        self._asked = True

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._asked

    def wait(self, timeout: float | None = None) -> bool:
        """Sleeps so many seconds, unless it was set before."""
        if not self._asked:
            time.sleep(timeout or 0)
        return self._asked


class _Words:
    """Says what happens in words: what was asked for on stdout at the end, the rest on stderr."""

    def predicted(self, predictions: Predictions, completed: list[str]) -> None:
        """Name a few fields with their locations, most probable first, and count many."""
        from lociscope.labels import LABELS

        for name in completed:
            console.note(f"{name} is complete now")
        if len(predictions) > _FEW:
            console.note(
                f"{console.counted(len(predictions))} predicted, {predictions.ids[0]} to {predictions.ids[-1]}"
            )
            return
        for row, name in enumerate(predictions.ids):
            probability = predictions.probability[row]
            numbers = sorted(predictions.predicted[row], key=probability.__getitem__, reverse=True)
            console.note(f"{name}: {', '.join(LABELS[number] for number in numbers) or predictions.status[row]}")

    def overdue(self, failure: Failure) -> None:
        """Says what a field lacks."""
        console.say(f"lociscope: {failure.id}: {failure.reason}")

    def trouble(self, sentence: str) -> None:
        """Says it."""
        console.say(f"lociscope: {sentence}")

    def ended(self, outcome: BatchResult, output: Path) -> None:
        """Says how much there is now."""
        print(f"{console.counted(outcome.rows)} in {output}, {outcome.new} new")
        if outcome.failures:
            console.tell_failures(outcome.failures, output.with_name(output.stem + ".failures.csv"))
        if outcome.unlogged:
            console.tell_unlogged(outcome.unlogged, outcome.log_error)


class _Lines:
    """Says what happens as lines of JSON on stdout."""

    def _say(self, event: str, **more: object) -> None:
        import json

        print(json.dumps({"event": event, "time": round(time.time(), 3), **more}), flush=True)

    def predicted(self, predictions: Predictions, completed: list[str]) -> None:
        """One line a field."""
        for row, name in enumerate(predictions.ids):
            self._say(
                "predicted",
                id=name,
                predicted=list(predictions.predicted[row]),
                probability=[round(float(value), 6) for value in predictions.probability[row]],
                status=predictions.status[row],
                warnings=[str(warning) for warning in predictions.warnings[row]],
                completed=name in completed,
            )

    def overdue(self, failure: Failure) -> None:
        """One line."""
        self._say("incomplete", **failure._replace(reason=console.with_flags(failure.reason))._asdict())

    def trouble(self, sentence: str) -> None:
        """One line."""
        self._say("trouble", reason=sentence)

    def ended(self, outcome: BatchResult, output: Path) -> None:
        """One line, the last."""
        failed = len(outcome.failures)
        self._say(
            "ended", output=str(output), rows=outcome.rows, new=outcome.new, failed=failed, unlogged=outcome.unlogged
        )
