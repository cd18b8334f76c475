"""`lociscope predict`: fields become Predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

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
    RuntimeName,
    Table,
    parse_rules,
)
from lociscope.cli.submitting import Kaggle, SampleSubmission, report_coverage, report_excluded
from lociscope.errors import Exit

if TYPE_CHECKING:
    from lociscope.predict.batch import BatchResult
    from lociscope.predict.cell_batch import CellResult
    from lociscope.predict.cell_masks import MaskFormat

Cells = Annotated[
    bool, typer.Option("--cells", help="Also predict each cell, into OUT.cells.parquet and OUT.variation.csv.")
]
CellLabels = Annotated[
    str | None,
    typer.Option(
        "--cell-labels",
        metavar="PATTERN",
        help="Label images of the cells (Cellpose, StarDist, QuPath), such as masks/{id}_cp_masks.png; "
        "implies --cells. By default cells are found in the reference channels.",
    ),
]
Masks = Annotated[
    list[str] | None,
    typer.Option(
        "--masks",
        metavar="FORMAT",
        help="Write the cells into OUT.masks as tiff, zarr or geojson (for QuPath); may be repeated; implies --cells.",
    ),
]
TestTimeAugmentation = Annotated[
    bool,
    typer.Option(
        "--tta",
        help="Test-time augmentation: average over the 8 turns and mirrors of a field, in 8 times the time.",
    ),
]
Explain = Annotated[
    Path | None,
    typer.Option("--explain", metavar="DIR", help="Write a picture of the evidence in each field."),
]
Engine = Annotated[
    str,
    typer.Option(
        "--engine", envvar="LOCISCOPE_ENGINE", help="What shares the work: local (threads) or ray (a cluster; extra)."
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="ADDRESS",
        help="A running Ray cluster, such as auto or ray://head:10001; by default one starts on this machine.",
    ),
]
MatchRates = Annotated[
    str | None,
    typer.Option(
        "--match-rates",
        metavar="hpa2018|FILE",
        help="Also write OUT.matched, whose label rates are those of the competition's fields, or of a labelled "
        "Catalog or label table; for a whole plate.",
    ),
]


def predict(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SRC",
            readable=False,
            help="Folders, zips, picture files, Catalogs, tables of paths; also URLs (s3://, https://).",
        ),
    ],
    output: Table,
    bundle: BundlePath = None,
    kaggle: Kaggle = False,
    sample_submission: SampleSubmission = None,
    embeddings: Embeddings = False,
    cells: Cells = False,
    cell_labels: CellLabels = None,
    masks: Masks = None,
    tta: TestTimeAugmentation = False,
    explain: Explain = None,
    channels: Channels = None,
    allow_missing: AllowMissing = None,
    pixel_size: PixelSize = None,
    plane: Plane = None,
    pattern: Pattern = None,
    preset: Preset = None,
    log: LogUrl = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads that read and predict fields; by default one for each core.")
    ] = None,
    runtime: RuntimeName = "onnxruntime",
    engine: Engine = "local",
    ray_address: RayAddress = None,
    match_rates: MatchRates = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Predict the locations of proteins. A second run predicts only what is new, changed, or failed before."""
    rules = parse_rules(channels, allow_missing, pixel_size, plane, pattern, preset)

    from lociscope.workflows.predict import predict_files
    from lociscope.workflows.submission import find_coverage

    with console.progress("predicting") as progress:
        result = predict_files(
            sources, output, bundle=bundle, rules=rules, kaggle=kaggle, sample_submission=sample_submission,
            embeddings=embeddings, cells=cells, cell_labels=cell_labels, masks=cast("list[MaskFormat]", masks or []),
            tta=tta, log=log, workers=workers, runtime=runtime, explain=explain, engine=engine,
            ray_address=ray_address, match_rates=match_rates, progress=progress,
        )  # fmt: skip
    report_excluded(result.excluded, sample_submission)
    complete = not (kaggle and result.rows) or report_coverage(find_coverage(result.ids, sample_submission, sources))
    _print_result(result, output, as_json)
    if result.failures or result.unlogged or not complete or (result.cells and result.cells.failures):
        raise typer.Exit(Exit.SOME_FAILED if result.rows else Exit.NOTHING_DONE)


def _print_result(result: BatchResult, output: Path, as_json: bool) -> None:
    failed = len(result.failures)
    if as_json:
        import json

        counts = {"rows": result.rows, "new": result.new, "failed": failed, "unlogged": result.unlogged}
        if result.cells:
            counts |= {"cells": result.cells.cells, "cells_failed": len(result.cells.failures)}
        matched = {"matched": str(result.matched)} if result.matched else {}
        print(json.dumps({"output": str(output), **counts, **matched}))
    elif result.rows and not result.new and not failed:
        print(f"{console.count_fields(result.rows)} in {output}, complete already")
    elif result.rows:
        print(f"{console.count_fields(result.rows)} in {output}, {result.new} new")
    if result.matched and not as_json:
        print(f"with matched label rates in {result.matched}")
    console.report_unpredicted(result, output)
    if result.cells:
        _report_cells(result.cells, output, as_json)


def _report_cells(cells: CellResult, output: Path, as_json: bool) -> None:
    from lociscope.predict.cell_output import CellOutput

    files = CellOutput(output, {})
    if not as_json:
        print(f"{cells.cells} {'cell' if cells.cells == 1 else 'cells'} in {files.table}")
    if cells.empty:
        console.note(f"lociscope: {console.count_fields(len(cells.empty))} without cells: 0 in {files.variation}")
    if cells.failures:
        console.report_failures(cells.failures, files.failures)
