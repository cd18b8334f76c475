"""Drift check: choose the window and the reference, and compare them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.artifacts.bundle import read_bundle
from lociscope.artifacts.origin import read_origin
from lociscope.artifacts.predictions import SUFFIXES, Predictions
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.monitor.drift import LEVEL, compare_samples
from lociscope.monitor.report import Note, NoteKind
from lociscope.monitor.samples import Sample
from lociscope.prediction_log.log import open_log
from lociscope.registry.model_registry import Registry
from lociscope.storage.paths import as_path

if TYPE_CHECKING:
    from lociscope.artifacts.bundle import Bundle
    from lociscope.monitor.report import DriftReport
    from lociscope.storage.paths import AnyPath

Time = datetime | str | None
"""A time, its text in ISO 8601, or how long ago: `12h`, `7d`, `2w`."""

_AGO = re.compile(r"(\d{1,5})([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def check_drift(
    predictions: AnyPath | None = None,
    *,
    log: str | None = None,
    since: Time = None,
    until: Time = None,
    reference: Path | str | None = None,
    reference_since: Time = None,
    reference_until: Time = None,
    bundle: AnyPath | None = None,
    registry: AnyPath | None = None,
    group: str | None = None,
    level: float = LEVEL,
) -> DriftReport:
    """Compare a window of predictions with a reference.

    Args:
        predictions: Predictions to check, in place of a log.
        log: The log to check: a path (SQLite), or an SQLAlchemy URL.
        since: Check rows of the log from then on.
        until: Check rows of the log before then.
        reference: A bundle, Predictions or a log to compare with; by default the bundle that predicted the window.
        reference_since: Use rows of the reference log from then on.
        reference_until: Use rows of the reference log before then.
        bundle: The bundle that predicted the window. Rows of a log by other bundles are left out.
        registry: The registry that contains the bundle that predicted the window.
        group: Regular expression for the part that ids of one plate or specimen share; such fields count as one.
        level: The chance of an alarm if nothing has changed.

    Returns:
        The report.

    Raises:
        LociscopeError: The window or the reference does not exist, is too small, or cannot be compared.
    """
    predictions = as_path(predictions)
    bundle = as_path(bundle)
    registry = as_path(registry)
    pattern = compile_group(group)
    if predictions is not None:
        window, others = _read_predictions(predictions), 0
    elif log is not None:
        wanted = None if bundle is None else read_bundle(bundle).sha256
        window, others = _LogRows(log, since, until, "since", "until").read(wanted)
    else:
        raise UsageError(
            "There is nothing to check. Pass Predictions, or a log as `log` or LOCISCOPE_LOG.", code=Code.NOTHING_FOUND
        )
    against = find_reference(
        window.bundle, reference, since=reference_since, until=reference_until, bundle=bundle, registry=registry
    )
    report = compare_samples(window, against, level=level, group=pattern)
    notes = [Note(kind=NoteKind.OTHER_BUNDLES, count=others)] if others else []
    if report.drifted and reference is None and against.simulated:
        notes.append(Note(kind=NoteKind.SIMULATED_REFERENCE))
    if report.drifted and group is None:
        notes.append(Note(kind=NoteKind.UNGROUPED))
    return report.model_copy(update={"notes": [*notes, *report.notes]})


def delete_predictions(log: str, *, before: Time = None, matching: str | None = None) -> int:
    """Delete rows of a log: those before a time, those of a source or user, or both at once.

    Args:
        log: The log: a path (SQLite), or an SQLAlchemy URL.
        before: Only rows before then.
        matching: Only rows in whose id this regular expression is found.

    Returns:
        The number of rows that were deleted.

    Raises:
        UsageError: Neither is passed, or one is not understood.
        LociscopeError: The log cannot be read or written.
    """
    if before is None and matching is None:
        raise UsageError("Nothing says which rows to delete. Pass `before` or `matching`.", code=Code.INVALID_VALUE)
    pattern, moment = compile_group(matching, "matching"), parse_time(before, "before")
    with open_log(log, create=False) as opened:
        return opened.delete(moment, pattern)


def find_reference(
    predicted_by: str | None,
    reference: Path | str | None,
    *,
    since: Time = None,
    until: Time = None,
    bundle: Path | None = None,
    registry: Path | None = None,
) -> Sample:
    """Return the fields to compare with: those that are passed, or the reference of the bundle that predicted.

    Args:
        predicted_by: sha256 of the bundle that predicted the window, or None if nothing records it.
        reference: A bundle, Predictions or a log; None for the reference of the bundle that predicted.
        since: Use rows of the reference log from then on.
        until: Use rows of the reference log before then.
        bundle: The bundle that predicted.
        registry: The registry that contains it.

    Raises:
        LociscopeError: It does not exist, or cannot be read.
    """
    if reference is None:
        return Sample.from_bundle(read_bundle(bundle) if bundle is not None else _find_bundle(predicted_by, registry))
    return _read_reference(str(reference), since, until, predicted_by)


def parse_time(time: Time, parameter: str) -> datetime | None:
    """Return a time in UTC; a text without a time zone is UTC.

    Args:
        time: The time.
        parameter: Name of the parameter, for the error message.

    Raises:
        UsageError: It is not a time.
    """
    if time is None:
        return None
    try:
        if isinstance(time, str):
            ago = _AGO.fullmatch(time)
            if ago:
                return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            time = datetime.fromisoformat(time)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"`{parameter}` is not a time: {str(time)!r}. Write 2026-11-24, 2026-11-24T08:00, or how long ago: 12h, "
            "7d, 2w.",
            code=Code.INVALID_VALUE,
        ) from None


@dataclass(frozen=True, slots=True)
class _LogRows:
    """The rows of a log between two times, and the names of the parameters that chose them."""

    url: str
    since: Time
    until: Time
    since_name: str
    until_name: str

    def read(self, bundle: str | None) -> tuple[Sample, int]:
        """Return the rows of one bundle, and how many rows are of others.

        Args:
            bundle: sha256 of the bundle; without any row of it, the rows of the latest bundle are returned.
        """
        times = parse_time(self.since, self.since_name), parse_time(self.until, self.until_name)
        with open_log(self.url, create=False) as log:
            bundles, span = log.bundles(*times), log.span()
            if span is None:
                raise LociscopeError(f"Log '{log.name}' is empty. Predict with a log first.", code=Code.NOTHING_FOUND)
            if not bundles:
                raise LociscopeError(
                    f"Log '{log.name}' has no row of that time; its rows are from {span[0]} to {span[1]}. "
                    f"Change `{self.since_name}` or `{self.until_name}`.",
                    code=Code.NOTHING_FOUND,
                )
            window = log.read(*times, bundle=bundle if bundle in bundles else list(bundles)[-1])
            times_text = "".join(
                f", {word} {time}" for word, time in (("since", self.since), ("until", self.until)) if time
            )
            name = f"log '{log.name}'{times_text}"
        return Sample.from_log(window, name), sum(bundles.values()) - len(window)


def compile_group(group: str | None, parameter: str = "group") -> re.Pattern[str] | None:
    """Return the regular expression of a parameter.

    Args:
        group: The text.
        parameter: The name of the parameter, for the error message.

    Raises:
        UsageError: It is not a regular expression.
    """
    try:
        return None if group is None else re.compile(group)
    except re.error as error:
        raise UsageError(
            f"`{parameter}` is not a regular expression: {group!r} ({error}). Try '^[^_]+_[^_]+'.",
            code=Code.INVALID_VALUE,
        ) from error


def _read_predictions(path: Path) -> Sample:
    bundle = read_origin(path).get("bundle")
    return Sample.from_predictions(Predictions.read(path), None if bundle is None else str(bundle), f"'{path}'")


def _read_reference(reference: str, since: Time, until: Time, bundle: str | None) -> Sample:
    """Return the sample of a bundle, Predictions, or a log, preferably of rows of the window's bundle."""
    path = Path(reference)
    if path.is_dir():
        return Sample.from_bundle(read_bundle(path))
    if path.suffix in SUFFIXES:
        return _read_predictions(path)
    return _LogRows(reference, since, until, "reference_since", "reference_until").read(bundle)[0]


def _find_bundle(sha256: str | None, registry: Path | None) -> Bundle:
    """Return the bundle of that sha256: the one that ships, or one of the registry."""
    shipped = read_bundle()
    if sha256 in (None, shipped.sha256):
        return shipped
    for entry in Registry(registry).entries() if registry is not None else []:
        if entry.sha256 == sha256:
            return read_bundle(entry.folder)
    where = f"nor in registry '{registry}'" if registry is not None else "and no `registry` is passed"
    raise LociscopeError(
        f"The predictions are of bundle {(sha256 or '')[:12]}, which is not the one that ships {where}. "
        "Pass it as `bundle`, or what to compare with as `reference`.",
        code=Code.NOT_FOUND,
    )
