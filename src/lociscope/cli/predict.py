"""`lociscope predict`: fields become Predictions."""

from __future__ import annotations

from pathlib import Path
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
from lociscope.cli.submitting import (
    Kaggle,
    SampleSubmission,
    among,
    check_submission,
    read_rows,
    tell_lacking,
)
from lociscope.errors import Exit

if TYPE_CHECKING:
    from lociscope.predict.batch import Outcome


def predict(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SRC",
            readable=False,
            help="Folders, zips, picture files, Catalogs, tables of paths.",
        ),
    ],
    output: Table,
    bundle: BundlePath = None,
    kaggle: Kaggle = False,
    sample_submission: SampleSubmission = None,
    embeddings: Embeddings = False,
    views: Annotated[
        int, typer.Option(help="Of each field: 1, or 8 for its quarter turns and mirrors, averaged; 8 times the work.")
    ] = 1,
    channels: Channels = None,
    allow_missing: AllowMissing = None,
    pixel_size: PixelSize = None,
    plane: Plane = None,
    pattern: Pattern = None,
    preset: Preset = None,
    log: LogUrl = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads that read fields.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Predict the places of proteins. A second run predicts only what is new, changed, or failed before."""
    check_table(output, embeddings=embeddings)
    check_submission(output, kaggle=kaggle, sample=sample_submission)

    rules = parse_rules(channels, allow_missing, pixel_size, plane, pattern, preset)
    from lociscope.images.discovery.sources import find_fields
    from lociscope.predict.batch import predict_to_file
    from lociscope.predict.job import Job, Options
    from lociscope.predict.predictor import open_bundle

    sample = read_rows(sample_submission)
    found, broken = find_fields(sources, rules)
    if sample is not None:
        found, broken = among(sample, found, sample_submission), [each for each in broken if each.id in sample]
    predictor = open_bundle(bundle, views=views)
    options = Options(kaggle, embeddings, sample)
    alone = Job.of(predictor.bundle, output, options).alone()
    with alone, open_optional_log(log) as kept, console.progress("predicting") as tell:
        outcome = predict_to_file(
            predictor, found, output, options, broken=broken, workers=workers, progress=tell, log=kept
        )
    complete = not (kaggle and outcome.rows) or tell_lacking(outcome.ids, sample, sample_submission, sources)
    _say(outcome, output, as_json)
    if outcome.failures or outcome.unlogged or not complete:
        raise typer.Exit(Exit.SOME_FAILED if outcome.rows else Exit.NOTHING_DONE)


def _say(outcome: Outcome, output: Path, as_json: bool) -> None:
    failed = len(outcome.failures)
    if as_json:
        import json

        counts = {"rows": outcome.rows, "new": outcome.new, "failed": failed, "unlogged": outcome.unlogged}
        print(json.dumps({"output": str(output), **counts}))
    elif outcome.rows and not outcome.new and not failed:
        print(f"{console.counted(outcome.rows)} in {output}, complete already")
    elif outcome.rows:
        print(f"{console.counted(outcome.rows)} in {output}, {outcome.new} new")
    if failed:
        console.tell_failures(outcome.failures, output.with_name(output.stem + ".failures.csv"))
    if outcome.unlogged:
        console.tell_unlogged(outcome.unlogged, outcome.trouble)
