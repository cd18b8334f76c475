"""`lociscope explore`: a page of labels, pixels and findings, before a network is trained."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.cli.reading import BundlePath

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lociscope.workflows.explore import Exploration


def explore(
    source: Annotated[
        Path, typer.Argument(metavar="CATALOG", help="A Catalog, a table Id,Target, or a folder or archive of fields.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The page, .html; the same as .json is written beside it.")
    ] = Path("explore.html"),
    test: Annotated[
        Path | None, typer.Option("--test", metavar="CATALOG", help="Fields of a later test, to compare with.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions",
            metavar="P",
            help="Predictions of these fields, instead of the bundle, to find labels that the picture contradicts.",
        ),
    ] = None,
    bundle: BundlePath = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that read images.")] = 1,
) -> None:
    """Summarize labels and pixels, and list what is wrong with fields, worst first."""
    from lociscope.workflows import explore as workflow

    with console.progress("reading") as progress:
        made = workflow.explore(
            source, output, test=test, predictions=predictions, bundle=bundle, workers=workers, progress=progress
        )
    for line in describe_exploration(made):
        console.note(line)
    print(made.page)


def describe_exploration(made: Exploration) -> Iterator[str]:
    """Yield the main figures, one line each."""
    from lociscope.cli.split import describe_adversarial
    from lociscope.report.explore_texts import KINDS

    yield f"{console.count_fields(made.fields)}, {made.labelled} with a label, {made.readable} with images"
    counts = Counter(KINDS[finding.kind].title for finding in made.findings)
    for title, count in counts.items():
        yield f"{title}: {count}"
    if not counts:
        yield "nothing was found"
    if made.model is not None:
        yield f"Labels judged by {made.model}"
    if made.comparison is not None and made.comparison.adversarial is not None:
        yield describe_adversarial(made.comparison.adversarial)
