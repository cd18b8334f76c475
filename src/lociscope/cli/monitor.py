"""`lociscope monitor`: are the fields that come in still those that the model knows?"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.errors import Code, Exit, LociscopeError, UsageError

if TYPE_CHECKING:
    from lociscope.artifacts.bundle import Bundle
    from lociscope.monitor import Drift, Sample

app = typer.Typer(help="Watch over predictions.", no_args_is_help=True)

SIMULATED = "simulated fields"
"""Words of a bundle's card that say of which fields its reference is."""

_AGO = re.compile(r"(\d{1,5})([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


@app.callback()
def _group() -> None:
    """Watch over predictions."""


@app.command()
def check(
    predictions: Annotated[Path | None, typer.Argument(metavar="[P]", help="Predictions, in place of a log.")] = None,
    log: Annotated[
        str | None, typer.Option("--log", envvar="LOCISCOPE_LOG", metavar="URL", help="The log to check.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Rows from then on: 2026-11-24T08:00 (UTC), 12h, 7d, 2w."),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Rows before then.")] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            metavar="P|BUNDLE|URL",
            help="What to compare with: a bundle, Predictions or a log; by default the bundle that predicted.",
        ),
    ] = None,
    reference_since: Annotated[
        str | None, typer.Option("--reference-since", metavar="TIME", help="Of a log as reference: rows from then on.")
    ] = None,
    reference_until: Annotated[
        str | None, typer.Option("--reference-until", metavar="TIME", help="Of a log as reference: rows before then.")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", "-b", envvar="LOCISCOPE_BUNDLE", help="The bundle that predicted.")
    ] = None,
    registry: Annotated[
        Path | None,
        typer.Option(
            "--registry", envvar="LOCISCOPE_REGISTRY", help="The registry that holds the bundle that predicted."
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            metavar="REGEX",
            help="What fields of one plate or specimen share in their id: they count as one.",
        ),
    ] = None,
    level: Annotated[
        float, typer.Option("--level", min=0.0001, max=0.5, help="Chance of an alarm when nothing has changed.")
    ] = 0.05,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A page to write, .html.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that was found as JSON.")] = False,
) -> None:
    """Compare a window of predictions with a reference; exit 4 where they have drifted, 5 where not all was checked."""
    from lociscope.monitor import check as compare

    pattern = _pattern(group)
    notes: list[str] = []
    if predictions is not None:
        window = _of_file(predictions)
    elif log is not None:
        window, notes = _of_log(log, since, until, bundle)
    else:
        raise UsageError(
            "There is nothing to check. Name Predictions, or a log with --log or LOCISCOPE_LOG.",
            code=Code.NOTHING_FOUND,
        )
    against = (
        _bundled(window, bundle, registry)
        if reference is None
        else _named(reference, reference_since, reference_until, window.bundle)
    )
    drift = compare(window, against, level=level, group=pattern)
    if drift.drifted and reference is None and SIMULATED in against.what:
        notes.append(
            "Real fields differ from simulated ones whatever the microscope does. Compare with fields of your own that "
            "you trust: --reference LOG --reference-until TIME."
        )
    if drift.drifted and group is None:
        notes.append(
            "Fields of one plate or specimen are alike; name by --group what their ids share to count them as one."
        )
    drift = drift.model_copy(update={"notes": [*notes, *drift.notes]})
    if output is not None:
        from lociscope.report.drift import write_drift

        write_drift(output, drift.model_dump(by_alias=True))
    if as_json:
        print(drift.model_dump_json(by_alias=True, indent=2))
    else:
        _say(drift, output)
    if drift.drifted:
        raise typer.Exit(Exit.CHECK_FAILED)
    if drift.not_checked:
        raise typer.Exit(Exit.NOT_CHECKED)


def _say(drift: Drift, output: Path | None) -> None:
    fields = console.counted(drift.fields) + (f" in {drift.groups} groups" if drift.groups is not None else "")
    found = "drift" if drift.drifted else "no drift in what was checked" if drift.not_checked else "no drift"
    like = "is unlike" if drift.drifted else "is like"
    print(f"{found}: {drift.window} ({fields}) {like} {drift.reference}, at a level of {drift.level:g}")
    for sentence in drift.sentences:
        print(f"  {sentence}")
    print(f"  checked: {', '.join(drift.checked)}")
    for name, reason in drift.not_checked.items():
        print(f"  not checked: {name}. {reason}")
    for each in drift.notes:
        console.note(f"note: {each}")
    if output is not None:
        print(output)


def _pattern(group: str | None) -> re.Pattern[str] | None:
    try:
        return None if group is None else re.compile(group)
    except re.error as error:
        raise UsageError(
            f"--group {group!r} is no regular expression ({error}). Try '^[^_]+_[^_]+'.", code=Code.INVALID_VALUE
        ) from error


def _moment(text: str | None, option: str) -> datetime | None:
    """A time in ISO 8601, in UTC unless it says otherwise, or one that is so long ago."""
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    try:
        if ago:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{option} {text!r} is no time. Write 2026-11-24, 2026-11-24T08:00, or how long ago: 12h, 7d, 2w.",
            code=Code.INVALID_VALUE,
        ) from None


def _of_file(path: Path) -> Sample:
    from lociscope.artifacts.predictions import Predictions
    from lociscope.monitor import Sample

    return Sample.of_predictions(Predictions.read(path), _bundle_of(path), f"'{path}'")


def _bundle_of(path: Path) -> str | None:
    """The bundle that predicted a file, as `OUT.run.json` beside it says."""
    import json

    try:
        about = json.loads(path.with_name(path.stem + ".run.json").read_text("utf-8"))
        return str(about[path.suffix]["bundle"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _of_log(url: str, since: str | None, until: str | None, bundle: Path | None) -> tuple[Sample, list[str]]:
    """The rows of a time, of one bundle: the one named if it has any, otherwise the latest one's."""
    from lociscope.artifacts.bundle import read_bundle

    wanted = None if bundle is None else read_bundle(bundle).sha256
    sample, left = _rows(url, since, until, wanted, "--")
    return sample, [f"{console.counted(left)} of other bundles in that time left out."] if left else []


def _rows(url: str, since: str | None, until: str | None, wanted: str | None, prefix: str) -> tuple[Sample, int]:
    """The rows of a time, of the wanted bundle if there are any, and how many are of others."""
    from lociscope.monitor import Sample
    from lociscope.prediction_log.log import open_log

    times = _moment(since, f"{prefix}since"), _moment(until, f"{prefix}until")
    with open_log(url, create=False) as log:
        name = log.name
        bundles, span = log.bundles(*times), log.span()
        if span is None:
            raise LociscopeError(f"Log '{name}' is empty. Predict with --log first.", code=Code.NOTHING_FOUND)
        if not bundles:
            raise LociscopeError(
                f"Log '{name}' holds no row of that time; its rows are from {span[0]} to {span[1]}. "
                f"Change {prefix}since or {prefix}until.",
                code=Code.NOTHING_FOUND,
            )
        chosen = wanted if wanted in bundles else list(bundles)[-1]
        window = log.read(*times, bundle=chosen)
    told = "".join(f", {word} {text}" for word, text in (("since", since), ("until", until)) if text)
    return Sample.of_window(window, f"log '{name}'{told}"), sum(bundles.values()) - len(window)


def _named(text: str, since: str | None, until: str | None, bundle: str | None) -> Sample:
    """What `--reference` names: a bundle, Predictions, or a log, of which rows of the window's bundle are preferred."""
    from lociscope.artifacts.bundle import read_bundle
    from lociscope.monitor import Sample

    if Path(text).is_dir():
        return Sample.of_bundle(read_bundle(Path(text)))
    if Path(text).suffix in (".csv", ".parquet"):
        return _of_file(Path(text))
    return _rows(text, since, until, bundle, "--reference-")[0]


def _bundled(window: Sample, bundle: Path | None, registry: Path | None) -> Sample:
    """The reference of the bundle that predicted the window."""
    from lociscope.artifacts.bundle import read_bundle
    from lociscope.monitor import Sample

    return Sample.of_bundle(read_bundle(bundle) if bundle is not None else _predictor_of(window, registry))


def _predictor_of(window: Sample, registry: Path | None) -> Bundle:
    from lociscope.artifacts.bundle import read_bundle
    from lociscope.registry.model_registry import Registry

    shipped = read_bundle()
    if window.bundle in (None, shipped.sha256):
        return shipped
    for entry in Registry(registry).entries() if registry is not None else []:
        if entry.sha256 == window.bundle:
            return read_bundle(entry.folder)
    where = f"nor in registry '{registry}'" if registry is not None else "and no --registry is named"
    raise LociscopeError(
        f"The predictions are of bundle {(window.bundle or '')[:12]}, which is not the one that ships {where}. "
        "Name it with --bundle, or what to compare with by --reference.",
        code=Code.INVALID_VALUE,
    )
