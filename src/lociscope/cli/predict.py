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
    parse_rules,
)
from lociscope.cli.submitting import (
    Kaggle,
    SampleSubmission,
    check_submission,
    report_coverage,
    report_excluded,
)
from lociscope.errors import Exit

if TYPE_CHECKING:
    from lociscope.predict.batch import BatchResult


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
    tta: Annotated[
        bool,
        typer.Option(
            "--tta",
            help="Test-time augmentation: average over the 8 turns and mirrors of a field, in 8 times the time.",
        ),
    ] = False,
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
    """Predict the locations of proteins. A second run predicts only what is new, changed, or failed before."""
    check_table(output, embeddings=embeddings)
    check_submission(output, kaggle=kaggle, sample=sample_submission)
    rules = parse_rules(channels, allow_missing, pixel_size, plane, pattern, preset)

    from lociscope.workflows.predict import predict_files
    from lociscope.workflows.submission import find_coverage

    with console.progress("predicting") as progress:
        result = predict_files(
            sources, output, bundle=bundle, rules=rules, kaggle=kaggle, sample_submission=sample_submission,
            embeddings=embeddings, tta=tta, log=log, workers=workers, progress=progress,
        )  # fmt: skip
    report_excluded(result.excluded, sample_submission)
    complete = not (kaggle and result.rows) or report_coverage(find_coverage(result.ids, sample_submission, sources))
    _print_result(result, output, as_json)
    if result.failures or result.unlogged or not complete:
        raise typer.Exit(Exit.SOME_FAILED if result.rows else Exit.NOTHING_DONE)


def _print_result(result: BatchResult, output: Path, as_json: bool) -> None:
    failed = len(result.failures)
    if as_json:
        import json

        counts = {"rows": result.rows, "new": result.new, "failed": failed, "unlogged": result.unlogged}
        print(json.dumps({"output": str(output), **counts}))
    elif result.rows and not result.new and not failed:
        print(f"{console.count_fields(result.rows)} in {output}, complete already")
    elif result.rows:
        print(f"{console.count_fields(result.rows)} in {output}, {result.new} new")
    console.report_unpredicted(result, output)
