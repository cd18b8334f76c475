"""`lociscope monitor`: detect drift between new predictions and a reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lociscope.cli import console
from lociscope.errors import Exit

if TYPE_CHECKING:
    from lociscope.monitor.accuracy import Accuracy
    from lociscope.monitor.report import DriftReport, Finding
    from lociscope.monitor.timeline import Timeline

app = typer.Typer(help="Monitor predictions.", no_args_is_help=True)

LogToCheck = Annotated[
    str | None, typer.Option("--log", envvar="LOCISCOPE_LOG", metavar="URL", help="The log to check.")
]
Reference = Annotated[
    str | None,
    typer.Option(
        "--reference",
        metavar="P|BUNDLE|URL",
        help="Compare with a bundle, Predictions or a log; by default the bundle that predicted.",
    ),
]
UsedBundle = Annotated[
    Path | None, typer.Option("--bundle", "-b", envvar="LOCISCOPE_BUNDLE", help="The bundle that predicted.")
]
UsedRegistry = Annotated[
    Path | None,
    typer.Option(
        "--registry", envvar="LOCISCOPE_REGISTRY", help="The registry that contains the bundle that predicted."
    ),
]
Group = Annotated[
    str | None,
    typer.Option(
        "--group",
        metavar="REGEX",
        help="What the ids of one plate or specimen share; such fields count as one.",
    ),
]


@app.callback()
def _group() -> None:
    """Monitor predictions."""


Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Rows from then on: 2026-11-24T08:00 (UTC), 12h, 7d, 2w.")
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Rows before then.")]
ReferenceSince = Annotated[
    str | None, typer.Option("--reference-since", metavar="TIME", help="Rows of a reference log from then on.")
]
ReferenceUntil = Annotated[
    str | None, typer.Option("--reference-until", metavar="TIME", help="Rows of a reference log before then.")
]


@app.command()
def check(
    predictions: Annotated[Path | None, typer.Argument(metavar="[P]", help="Predictions, instead of a log.")] = None,
    log: LogToCheck = None,
    since: Since = None,
    until: Until = None,
    reference: Reference = None,
    reference_since: ReferenceSince = None,
    reference_until: ReferenceUntil = None,
    bundle: UsedBundle = None,
    registry: UsedRegistry = None,
    group: Group = None,
    level: Annotated[
        float, typer.Option("--level", min=0.0001, max=0.5, help="Chance of an alarm if nothing has changed.")
    ] = 0.05,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write a page, .html.")] = None,
    alarm: Annotated[
        str | None,
        typer.Option("--alarm", envvar="LOCISCOPE_ALARM", metavar="URL|COMMAND", help="Where to send a drift as JSON."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
) -> None:
    """Compare a window of predictions with a reference; exit 4 if they drifted, 5 if not all could be checked."""
    from lociscope.monitor.alarm import check_target, send_alarm
    from lociscope.workflows.monitor import check_drift

    target = None if alarm is None else check_target(alarm)
    report = check_drift(
        predictions,
        log=log,
        since=since,
        until=until,
        reference=reference,
        reference_since=reference_since,
        reference_until=reference_until,
        bundle=bundle,
        registry=registry,
        group=group,
        level=level,
    )
    texts = _render(report)
    if output is not None:
        from lociscope.report.drift import write_drift

        write_drift(output, report.model_dump(by_alias=True) | texts)
    if as_json:
        print(json.dumps(report.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False))
    else:
        _print_report(report, texts, output)
    if report.drifted:
        if target is not None:
            send_alarm(target, report)
        raise typer.Exit(Exit.CHECK_FAILED)
    if report.not_checked:
        raise typer.Exit(Exit.NOT_CHECKED)


@app.command()
def report(
    log: Annotated[str, typer.Option("--log", envvar="LOCISCOPE_LOG", metavar="URL", help="The log.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write a page, .html.")] = None,
    every: Annotated[
        str | None,
        typer.Option("--every", metavar="WINDOW", help="How long a window is: 6h, 1d, 2w; or of how many fields: 200."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="PROPERTY", help="Instead: plate, well, antibody, cell_line, specimen, source."),
    ] = None,
    catalog: Annotated[
        Path | None, typer.Option("--catalog", "-c", help="The Catalog of the fields, which gives the property.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--fields", help="The fields, to show those that tell most: a folder or a Catalog.")
    ] = None,
    since: Since = None,
    until: Until = None,
    reference: Reference = None,
    reference_since: ReferenceSince = None,
    reference_until: ReferenceUntil = None,
    bundle: UsedBundle = None,
    registry: UsedRegistry = None,
    group: Group = None,
    level: Annotated[
        float, typer.Option("--level", min=0.0001, max=0.5, help="Chance of any alarm if nothing has changed.")
    ] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
) -> None:
    """Compare the windows of a log with a reference: what moved, and since when; exit 4 if the last one drifted."""
    from lociscope.workflows.monitor_report import monitor_over_time, read_pictures

    timeline = monitor_over_time(
        log, every=every, by=by, catalog=catalog, since=since, until=until, reference=reference,
        reference_since=reference_since, reference_until=reference_until, bundle=bundle, registry=registry,
        group=group, level=level,
    )  # fmt: skip
    if output is not None:
        from lociscope.report.timeline import write_timeline

        pictures = [] if images is None else read_pictures(timeline, images)
        texts = [_describe_causes(window.report) for window in timeline.windows]
        write_timeline(output, timeline.model_dump(by_alias=True) | {"texts": texts}, pictures)
    if as_json:
        print(json.dumps(timeline.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False))
    else:
        _print_timeline(timeline, output)
    compared = [window.report for window in timeline.windows if window.report]
    if compared[-1].drifted if timeline.ordered else any(each.drifted for each in compared):
        raise typer.Exit(Exit.CHECK_FAILED)


@app.command()
def accuracy(
    log: Annotated[str, typer.Option("--log", envvar="LOCISCOPE_LOG", metavar="URL", help="The log.")],
    review: Annotated[
        str | None,
        typer.Option("--review", "-r", envvar="LOCISCOPE_REVIEW", metavar="URL", help="Labels of reviewers."),
    ] = None,
    every: Annotated[
        str | None,
        typer.Option("--every", metavar="WINDOW", help="How long a window is: 6h, 1d, 2w; or of how many fields: 200."),
    ] = None,
    since: Since = None,
    until: Until = None,
    bundle: UsedBundle = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate the accuracy over time from the probabilities, and measure it with reviewers' labels."""
    from lociscope.workflows.monitor_accuracy import accuracy_over_time

    windows = accuracy_over_time(log, review=review, every=every, since=since, until=until, bundle=bundle)
    if as_json:
        print(json.dumps([window.to_json() for window in windows], indent=2))
        return
    for window in windows:
        print(f"{window.name}  {_describe_accuracy('estimated', window.estimated)}")
        if window.measured is not None:
            error = f", calibration error {window.measured.calibration_error:.3f}"
            print(f"  {_describe_accuracy('measured', window.measured)}{error}")
    console.note("note: estimates assume that the probabilities are calibrated for these fields: see `monitor check`.")


@app.command()
def delete(
    log: Annotated[str, typer.Option("--log", envvar="LOCISCOPE_LOG", metavar="URL", help="The log.")],
    before: Annotated[
        str | None, typer.Option("--before", metavar="TIME", help="Rows before then: 2026-11-24, 90d, 26w.")
    ] = None,
    matching: Annotated[
        str | None, typer.Option("--matching", metavar="REGEX", help="Rows in whose id this is found.")
    ] = None,
) -> None:
    """Delete rows of a log: those that are old, those of a source or user, or both at once."""
    from lociscope.workflows.monitor import delete_predictions

    number = delete_predictions(log, before=before, matching=matching)
    print(f"{number} {'row' if number == 1 else 'rows'} deleted")


def _describe_accuracy(kind: str, found: Accuracy) -> str:
    scores = (("macro-F1", found.macro_f1), ("precision", found.precision), ("recall", found.recall))
    texts = [f"{name} {score.value:.2f} ({score.low:.2f}–{score.high:.2f})" for name, score in scores]
    return f"{kind} on {found.fields} fields: {', '.join(texts)}"


def _describe_causes(report: DriftReport | None) -> list[str]:
    from lociscope.monitor.describe import describe_cause

    return [describe_cause(cause) for cause in report.causes] if report else []


def _print_timeline(timeline: Timeline, output: Path | None) -> None:
    from lociscope.report.timeline import name_measure

    for window in timeline.windows:
        verdict = "too few fields" if window.report is None else "drift" if window.report.drifted else "no drift"
        print(f"{window.name}  {window.fields} fields  {verdict}")
        for text in _describe_causes(window.report):
            print(f"  likely cause: {text}")
    for move in timeline.moves:
        until = "" if move.until is None else f" until {move.until}"
        print(f"moved since {move.since}{until}: {name_measure(move.measure)}")
    if timeline.backward:
        console.note(
            f"note: {timeline.backward} rows have a time more than an hour before that of the row before: a clock was "
            "set back."
        )
    if output is not None:
        print(output)


def _render(report: DriftReport) -> dict[str, Any]:
    """Return what the kinds of a report mean, as text."""
    from lociscope.monitor.describe import describe_cause, describe_findings, describe_note, describe_obstacle

    return {
        "causes": [describe_cause(cause) for cause in report.causes],
        "summary": describe_findings(report),
        "not_checked": {each.part: console.with_flags(describe_obstacle(each)) for each in report.not_checked},
        "notes": [console.with_flags(describe_note(note, report)) for note in report.notes],
    }


def _print_report(report: DriftReport, texts: dict[str, Any], output: Path | None) -> None:
    from lociscope.monitor.describe import count_fields

    fields = count_fields(report.fields, report.groups)
    verdict = "drift" if report.drifted else "no drift in what was checked" if report.not_checked else "no drift"
    like = "differs from" if report.drifted else "is similar to"
    print(f"{verdict}: {report.window} ({fields}) {like} {report.reference}, at a level of {report.level:g}")
    for line in texts["causes"]:
        print(f"  likely cause: {line}")
    for line in texts["summary"]:
        print(f"  {line}")
    print(f"  checked: {', '.join(report.checked)}")
    for part, reason in texts["not_checked"].items():
        print(f"  not checked: {part}. {reason}")
    print(f"  {_figures(report)}")
    for note in texts["notes"]:
        console.note(f"note: {note}")
    if output is not None:
        print(output)


def _figures(report: DriftReport) -> str:
    """Return the main figures: how many tests raised an alarm, and the smallest p."""
    findings: list[Finding] = [*report.statistics, *report.locations, *([report.embedding] if report.embedding else [])]
    moved, least = sum(each.moved for each in findings), min(each.p for each in findings)
    return f"{moved} of {len(findings)} figures moved; smallest corrected p {least:.2g}"
