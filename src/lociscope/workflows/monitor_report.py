"""Drift over time: split a log into windows, compare each with a reference, and show the fields that tell most."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from lociscope.artifacts.bundle import read_bundle
from lociscope.artifacts.catalog import Catalog
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.io.read import read_field
from lociscope.images.render import render_composite
from lociscope.monitor.drift import LEVEL
from lociscope.monitor.samples import Sample
from lociscope.monitor.timeline import Slice, Timeline, compare_windows
from lociscope.predict.summaries import PROPERTIES, find_keys
from lociscope.prediction_log.log import open_log
from lociscope.report.page import jpeg_uri
from lociscope.storage.paths import as_path
from lociscope.workflows.monitor import compile_group, find_reference, parse_time
from lociscope.workflows.report import open_fields

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lociscope.prediction_log.log import PredictionLog
    from lociscope.prediction_log.rows import Window
    from lociscope.storage.paths import AnyPath
    from lociscope.workflows.monitor import Time

MAX_WINDOWS = 200
"""Most windows of a report."""

WANTED_WINDOWS = 31
"""By default the windows are as short as gives at most this many."""

WANTED_FIELDS = 20
"""Fields of a window on average, from which the default is chosen."""

MAX_ROWS = 50_000
"""Most rows that are read at once; of a larger part of the log every second, third … row is read."""

DURATIONS = ("1h", "6h", "1d", "1w", "4w", "26w", "104w")
"""Durations of which the default is chosen."""

PARTITIONS = (*PROPERTIES, "source")
"""Properties of fields that can separate windows."""

PICTURE_SIZE = 240
_EVERY = re.compile(r"([1-9]\d{0,4})([hdw]?)")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True, slots=True)
class Picture:
    """A telling field: its id, its window, and its composite as the source of an `<img>`."""

    id: str
    window: str
    uri: str


def monitor_over_time(
    log: str,
    *,
    every: str | int | None = None,
    by: str | None = None,
    catalog: AnyPath | None = None,
    since: Time = None,
    until: Time = None,
    reference: Path | str | None = None,
    reference_since: Time = None,
    reference_until: Time = None,
    bundle: AnyPath | None = None,
    registry: AnyPath | None = None,
    group: str | None = None,
    level: float = LEVEL,
) -> Timeline:
    """Compare the windows of a log with a reference.

    Args:
        log: The log: a path (SQLite), or an SQLAlchemy URL.
        every: How long a window is (`6h`, `1d`, `2w`), or of how many fields; by default chosen by the log's span.
        by: Separate the windows by one of `PARTITIONS` instead, such as `plate`.
        catalog: The Catalog of the fields, which gives the property.
        since: Use rows from then on.
        until: Use rows before then.
        reference: What to compare with; by default the reference of the bundle that predicted.
        reference_since: Use rows of the reference log from then on.
        reference_until: Use rows of the reference log before then.
        bundle: The bundle that predicted. Rows of other bundles are left out.
        registry: The registry that contains the bundle that predicted.
        group: As for `check_drift`.
        level: The chance of any alarm in all windows together, if nothing has changed.

    Raises:
        UsageError: `every` or `by` is not understood.
        LociscopeError: The log cannot be read, has no rows, or no window can be compared.
    """
    if every is not None and by is not None:
        raise UsageError("`every` and `by` exclude each other. Pass one of them.", code=Code.INVALID_VALUE)
    pattern = compile_group(group)
    bundle, catalog = as_path(bundle), as_path(catalog)
    with open_log(log, create=False) as opened:
        source = LogSource.find(opened, since, until, None if bundle is None else read_bundle(bundle).sha256)
        against = find_reference(
            source.bundle, reference, since=reference_since, until=reference_until, bundle=bundle,
            registry=as_path(registry),
        )  # fmt: skip
        if by is not None:
            slices, name, count = source.split_by_property(by, None if catalog is None else Catalog.read(catalog))
        else:
            slices, name, count = source.split(every)
        found = compare_windows(slices, against, by=name, ordered=by is None, count=count, level=level, group=pattern)
        return found.model_copy(update={"backward": opened.count_backward(source.since, source.until)})


def read_pictures(timeline: Timeline, images: AnyPath) -> list[Picture]:
    """Render the telling fields of a timeline that have images.

    Args:
        timeline: The timeline.
        images: A Catalog, a folder or an archive of the fields.

    Raises:
        LociscopeError: They cannot be read, or none of the fields of the timeline is among them.
    """
    wanted = [(name, window.name) for window in timeline.windows for name in window.telling]
    if not wanted:
        return []
    _, sources = open_fields(as_path(images), [name for name, _ in wanted])
    source_of = {source.id: source for source in sources}
    pictures = []
    for name, window in wanted:
        if name in source_of:
            composite = render_composite(read_field(source_of[name]).pixels, PICTURE_SIZE)
            pictures.append(Picture(name, window, jpeg_uri(composite)))
    return pictures


@dataclass(frozen=True, slots=True)
class LogSource:
    """The rows of one bundle in a part of a log.

    Attributes:
        log: The log.
        since: Its part begins here; None for its first row.
        until: Its part ends here; None for its last row.
        first: Time of the first row.
        last: Time of the last row.
        bundle: sha256 of the bundle.
        rows: Number of rows.
    """

    log: PredictionLog
    since: datetime | None
    until: datetime | None
    first: datetime
    last: datetime
    bundle: str
    rows: int

    @classmethod
    def find(cls, log: PredictionLog, since: Time, until: Time, bundle: str | None) -> LogSource:
        """Return the rows of a bundle, by default of the one that predicted last.

        Raises:
            LociscopeError: There are none.
        """
        times = parse_time(since, "since"), parse_time(until, "until")
        bundles, span = log.bundles(*times), log.span(*times)
        if span is None or not bundles or (bundle is not None and bundle not in bundles):
            whose = " by that bundle" if bundle is not None and bundles else ""
            raise LociscopeError(
                f"Log '{log.name}' has no row of that time{whose}. Change `since` or `until`, or predict with a log.",
                code=Code.NOTHING_FOUND,
            )
        chosen = bundle or list(bundles)[-1]
        first, last = (datetime.fromisoformat(each) for each in span)
        return cls(log, *times, first, last, chosen, bundles[chosen])

    def split(self, every: str | int | None) -> tuple[Iterator[Slice], str, int]:
        """Return the windows of a duration or a number of fields, what separates them, and how many there are.

        Raises:
            UsageError: `every` is not understood, or gives too many windows.
        """
        wanted = str(every or self.choose_duration())
        return self.split_by_count(_parse_every(wanted)[0]) if wanted.isdecimal() else self.split_by_time(wanted)

    def choose_duration(self) -> str:
        """Return the shortest duration that gives at most `WANTED_WINDOWS` windows, of `WANTED_FIELDS` on average."""
        most = min(WANTED_WINDOWS, self.rows / WANTED_FIELDS)
        span = self.last - self.first
        return next((each for each in DURATIONS if span / _parse_duration(each) < most), DURATIONS[-1])

    def split_by_time(self, every: str) -> tuple[Iterator[Slice], str, int]:
        """Return the windows of a duration, which begin at midnight (days, weeks) or at full hours."""
        step = _parse_duration(every)
        start = self.first.replace(minute=0, second=0, microsecond=0)
        if step >= timedelta(days=1):
            start = start.replace(hour=0)
        count = (self.last - start) // step + 1
        if count > MAX_WINDOWS:
            raise UsageError(
                f"`every={every}` gives {count} windows, expected {MAX_WINDOWS} or fewer. Pass a longer duration, or a "
                "later `since`.",
                code=Code.INVALID_VALUE,
            )
        pattern = "%Y-%m-%d" if step >= timedelta(days=1) else "%Y-%m-%d %H:%M"

        def read() -> Iterator[Slice]:
            for number in range(count):
                here = start + number * step
                begin, end = max(here, self.first), min(here + step, self.last + timedelta(microseconds=1))
                rows = self.log.bundles(begin, end).get(self.bundle, 0)
                if rows:
                    window = self.log.read(begin, end, self.bundle, _thin(rows))
                    yield Slice(here.strftime(pattern), Sample.from_log(window, here.strftime(pattern)))

        return read(), every, count

    def split_by_count(self, size: int) -> tuple[Iterator[Slice], str, int]:
        """Return windows of as many fields, in the order of the log."""
        window = self._read_all()
        starts = range(0, len(window), size)
        if len(starts) > MAX_WINDOWS:
            raise UsageError(
                f"`every={size}` gives {len(starts)} windows, expected {MAX_WINDOWS} or fewer. Pass a larger number.",
                code=Code.INVALID_VALUE,
            )
        slices = ([*range(start, min(start + size, len(window)))] for start in starts)
        named = (
            (f"{window.times[rows[0]][:16].replace('T', ' ')} ({rows[0] + 1}–{rows[-1] + 1})", rows) for rows in slices
        )
        return (self._slice(window, *each) for each in named), f"{size} fields", len(starts)

    def split_by_property(self, by: str, catalog: Catalog | None) -> tuple[Iterator[Slice], str, int]:
        """Return the fields of each plate, cell line or another property."""
        window = self._read_all()
        _, keys = find_keys(window.predictions, by, catalog, PARTITIONS)
        rows: dict[str, list[int]] = {}
        for row, key in enumerate(keys):
            rows.setdefault(" ".join(key) if key[-1] else "unknown", []).append(row)
        if len(rows) > MAX_WINDOWS:
            raise UsageError(
                f"`by={by}` gives {len(rows)} windows, expected {MAX_WINDOWS} or fewer. Group by one of "
                f"{', '.join(each for each in PARTITIONS if each != by)}, or pass a later `since`.",
                code=Code.INVALID_VALUE,
            )
        return (self._slice(window, *each) for each in sorted(rows.items())), by, len(rows)

    def _read_all(self) -> Window:
        return self.log.read(self.since, self.until, self.bundle, _thin(self.rows))

    @staticmethod
    def _slice(window: Window, name: str, rows: list[int]) -> Slice:
        return Slice(name, Sample.from_log(window.take(rows), name))


def _thin(rows: int) -> int:
    """Return the step at which rows are read: 1 for all of them."""
    return -(-rows // MAX_ROWS)


def _parse_every(every: str) -> tuple[int, str]:
    match = _EVERY.fullmatch(every)
    if match is None:
        raise UsageError(
            f"`every` is neither a duration nor a number of fields: {every!r}. Write 6h, 1d, 2w, or 200.",
            code=Code.INVALID_VALUE,
        )
    return int(match[1]), match[2]


def _parse_duration(every: str) -> timedelta:
    number, unit = _parse_every(every)
    return number * _UNITS[unit]
