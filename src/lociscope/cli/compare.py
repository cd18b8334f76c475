"""`lociscope compare`: compare Runs on one page, the logbook of an experiment with a shortlist."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lociscope.report.ranking import ComparisonGroup

SHOWN = 5
"""Runs of the ranking that are printed."""


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Runs, or folders of `train --folds`, in the order of the page."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path("compare.html"),
    table: Annotated[Path | None, typer.Option("--csv", help="Write all figures into this CSV, too.")] = None,
    base: Annotated[
        Path | None, typer.Option("--base", help="The Run to compare the others with; by default the first.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Load no network: GMAC and latency only where a Run has recorded them.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Compare Runs: changes, scores with intervals, cost, learning curves, similarity of errors, a shortlist."""
    import json

    from lociscope.workflows.compare import compare_runs

    with console.progress("comparing") as progress:
        made = compare_runs(runs, output, table=table, base=base, quick=quick, progress=progress)
    for each in made.without_cost:
        console.note(f"{each.folder}: no GMAC and latency: {each.reason}")
    for line in _describe_ranking(made.groups):
        console.note(line)
    print(json.dumps(made.rows, allow_nan=False) if as_json else output)
    if made.failures:
        total = len(made.rows) + len(made.failures)
        console.print_error(
            f"lociscope: {len(made.failures)} of {total} not compared, listed in {output}; the first: "
            f"{made.failures[0].reason}"
        )
        raise typer.Exit(Exit.SOME_FAILED)


def _describe_ranking(groups: list[ComparisonGroup]) -> Iterator[str]:
    """Yield the first lines of the ranking of each group, best average precision first."""
    from lociscope.report.compare import describe_group, rank_models

    for group in groups:
        ranked = rank_models(group)
        yield f"On {describe_group(group)}, with {ranked[0].figures['lrap'].level:.0%} intervals:"
        for rank, model in enumerate(ranked[:SHOWN], start=1):
            scores = (
                f"{name} {model.figures[key].value:.3f} ({model.figures[key].low:.3f} to {model.figures[key].high:.3f})"
                for key, name in (
                    ("macro_average_precision", "average precision"),
                    ("macro_f1", "macro-F1"),
                    ("lrap", "LRAP"),
                )
            )
            yield f"{rank}. {model.candidate.name}: {', '.join(scores)}"
        if len(ranked) > SHOWN:
            yield f"… and {len(ranked) - SHOWN} more"
