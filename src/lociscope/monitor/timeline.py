"""Compare windows over time, or by plate or another property, with one reference: what moved, and since when."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lociscope.errors import Code, LociscopeError
from lociscope.images.statistics import STATISTICS
from lociscope.monitor.drift import LEVEL, MIN_FIELDS, compare_samples
from lociscope.monitor.report import DriftReport

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Sequence

    from lociscope.monitor.samples import Sample

SCHEMA = 1
TELLING = 3
"""Most telling fields of each window."""

EMBEDDINGS = "embeddings"
"""Name of the embeddings among the measures."""


class Slice(NamedTuple):
    """The fields of one window, and its name: its first day or hour, its rows, or a plate."""

    name: str
    sample: Sample


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TimelineWindow(_Frozen):
    """One window."""

    name: str
    fields: int
    report: DriftReport | None = Field(description="None if the window has too few fields to be compared.")
    telling: list[str] = Field([], description="Ids of the fields that show best what moved.")


class Move(_Frozen):
    """A measure that differs from the reference in consecutive windows."""

    measure: str = Field(description="A statistic, a location, or `embeddings`.")
    since: str = Field(description="The first of these windows.")
    until: str | None = Field(description="The last; None if it is the last window of all.")
    windows: int


class Timeline(_Frozen):
    """The result of comparing many windows, which `lociscope monitor report --json` prints."""

    schema_: int = Field(SCHEMA, alias="schema")
    by: str = Field(description="What separates the windows: a duration, a number of fields, or a property.")
    ordered: bool = Field(description="Whether the windows follow each other in time.")
    reference: str
    reference_fields: int
    level: float = Field(description="The chance of any alarm in all windows together, if nothing has changed.")
    windows: list[TimelineWindow]
    moves: list[Move]
    backward: int = Field(0, description="Rows of the log whose time is before that of the row before: a clock jumped.")


def compare_windows(
    slices: Iterable[Slice],
    reference: Sample,
    *,
    by: str,
    ordered: bool,
    count: int,
    level: float = LEVEL,
    group: re.Pattern[str] | None = None,
) -> Timeline:
    """Compare each window with the reference.

    The level is shared among the windows, so that all of them together raise an alarm with a chance of at most `level`
    if nothing has changed.

    Args:
        slices: The windows, which may be read one at a time.
        reference: The fields to compare them with.
        by: What separates the windows.
        ordered: Whether they follow each other in time.
        count: Their number.
        level: The chance of any false alarm.
        group: As `compare_samples` takes it.

    Raises:
        LociscopeError: No window has enough fields, or none can be compared.
    """
    windows = []
    for name, sample in slices:
        report = None
        if len(sample) >= MIN_FIELDS:
            try:
                report = compare_samples(sample, reference, level=level / count, group=group)
            except LociscopeError as error:
                if error.code != Code.NOT_ENOUGH_DATA or len(reference) < MIN_FIELDS:
                    raise
        telling = find_telling_fields(sample, reference, report) if report and report.drifted else []
        windows.append(TimelineWindow(name=name, fields=len(sample), report=report, telling=telling))
    if not any(window.report for window in windows):
        raise LociscopeError(
            f"No window has {MIN_FIELDS} fields or groups of them. Make the windows larger.", code=Code.NOT_ENOUGH_DATA
        )
    return Timeline(
        by=by,
        ordered=ordered,
        reference=reference.name,
        reference_fields=len(reference),
        level=level,
        windows=windows,
        moves=find_moves(windows),
    )


def find_moves(windows: Sequence[TimelineWindow]) -> list[Move]:
    """Return what differs from the reference in which consecutive windows; what lasts longest comes first.

    Windows with too few fields to be compared do not end a move.
    """
    compared = [(window.name, list_moved(window.report)) for window in windows if window.report]
    moves = []
    for measure in dict.fromkeys(name for _, moved in compared for name in moved):
        run: list[str] = []
        for name, moved in [*compared, ("", [])]:
            if measure in moved:
                run.append(name)
            elif run:
                last = run[-1] == compared[-1][0]
                moves.append(Move(measure=measure, since=run[0], until=None if last else run[-1], windows=len(run)))
                run = []
    return sorted(moves, key=lambda move: (move.until is not None, -move.windows))


def list_moved(report: DriftReport) -> list[str]:
    """Return the names of the statistics, the embeddings and the locations that moved."""
    return [
        *(each.name for each in report.statistics if each.moved),
        *([EMBEDDINGS] if report.embedding and report.embedding.moved else []),
        *(each.label for each in report.locations if each.moved),
    ]


def find_telling_fields(sample: Sample, reference: Sample, report: DriftReport, count: int = TELLING) -> list[str]:
    """Return the ids of the fields that are farthest from the reference in what moved, the farthest first.

    Args:
        sample: The fields of the window.
        reference: The fields it was compared with.
        report: The result.
        count: How many.
    """
    columns = [STATISTICS.index(each.name) for each in report.statistics if each.moved]
    if columns and sample.statistics is not None and reference.statistics is not None:
        here, there = sample.statistics[:, columns], reference.statistics[:, columns]
    elif report.embedding and sample.embedding is not None and reference.embedding is not None:
        here, there = sample.embedding, reference.embedding
    else:
        numbers = [each.number for each in report.locations if each.moved]
        here, there = sample.locations[:, numbers].astype(float), reference.locations[:, numbers].astype(float)
    middle, spread = np.median(there, axis=0), np.maximum(there.std(axis=0), 1e-3)
    # Clipped: the fields that show all that moved, rather than one that is extreme in a single measure.
    distance = np.minimum(np.abs(here - middle) / spread, 5).mean(axis=1)
    return [sample.ids[row] for row in np.argsort(-distance, kind="stable")[:count]]
