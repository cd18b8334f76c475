"""`lociscope compare`: Runs become one page, the logbook of an experiment and a shortlist."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.errors import Code, Exit, LociscopeError, MissingExtraError, UsageError

if TYPE_CHECKING:
    from lociscope.report.candidates import Candidate
    from lociscope.report.compare import Failure


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Runs, or folders of `train --folds`; their order is the logbook's."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path("compare.html"),
    table: Annotated[Path | None, typer.Option("--csv", help="Write all figures into this CSV, too.")] = None,
    base: Annotated[
        Path | None, typer.Option("--base", help="The Run that the others are measured against; by default the first.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Load no network: GMAC and latency only where a Run keeps them.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Compare Runs: what was changed, scores with intervals, cost, curves, how alike they err, whom to combine."""
    import json

    from lociscope.report.compare import write_compare
    from lociscope.report.comparison_rows import build_rows, write_csv
    from lociscope.report.ranking import compare_candidates

    if table is not None and table.resolve() == output.resolve():
        raise UsageError(
            f"'{output}' cannot be both the page and the table. Name another --csv.", code=Code.INVALID_VALUE
        )
    folders = _distinct(runs if base is None else [base, *runs] if not _among(base, runs) else runs)
    candidates, failures = read_all(folders, quick=quick)
    first = None if base is None else _named(base, candidates, failures)
    with console.progress("scoring") as tell:
        comparison_groups = compare_candidates(candidates, first, tell)
    rows = build_rows(candidates, comparison_groups)
    if table is not None:
        write_csv(table, rows)
    write_compare(output, candidates, comparison_groups, rows, failures)
    print(json.dumps(rows, allow_nan=False) if as_json else output)
    if failures:
        said = f"{len(failures)} of {len(folders)} not compared, listed in {output}; the first: {failures[0].reason}"
        console.say(f"lociscope: {said}")
        raise typer.Exit(Exit.SOME_FAILED)


def read_all(folders: list[Path], *, quick: bool) -> tuple[list[Candidate], list[Failure]]:
    """Reads Runs and what their networks cost; one that cannot be read does not keep the others.

    Args:
        folders: Runs, or folders of folds.
        quick: Measures no cost.

    Raises:
        LociscopeError: None of them can be read; it gives the first one's reason.
    """
    from lociscope.report.candidates import read_candidate, unique_names
    from lociscope.report.compare import Failure

    found: list[Candidate] = []
    failures: list[Failure] = []
    with console.progress("reading Runs") as tell:
        for done, (folder, name) in enumerate(zip(folders, unique_names(folders), strict=True), start=1):
            try:
                found.append(_with_cost(read_candidate(folder, name), quick))
            except MissingExtraError:
                raise
            except LociscopeError as error:
                failures.append(Failure(str(folder), str(error)))
            tell(done, len(folders), name)
    if not found:
        others = f" The other {len(failures) - 1} cannot be compared either." if len(failures) > 1 else ""
        raise LociscopeError(f"{failures[0].reason}{others}", code=Code.INVALID_VALUE)
    return found, failures


def _with_cost(candidate: Candidate, quick: bool) -> Candidate:
    """The candidate with its cost; without TensorFlow, with what is kept."""
    from dataclasses import replace

    from lociscope.training.cost import measure_cost

    try:
        return replace(candidate, cost=measure_cost(candidate.runs[0], quick=quick))
    except MissingExtraError as error:
        console.note(f"{candidate.name}: no GMAC and latency: {error}")
        return candidate


def _named(base: Path, candidates: list[Candidate], failures: list[Failure]) -> str:
    """The base's name among the candidates."""
    for each in candidates:
        if each.folder.resolve() == base.resolve():
            return each.name
    raise LociscopeError(
        next(each.reason for each in failures if Path(each.folder).resolve() == base.resolve()), code=Code.INVALID_VALUE
    )


def _distinct(folders: list[Path]) -> list[Path]:
    """Each folder once, however it was written."""
    found: dict[Path, Path] = {}
    for folder in folders:
        found.setdefault(folder.resolve(), folder)
    return list(found.values())


def _among(base: Path, folders: list[Path]) -> bool:
    return base.resolve() in {folder.resolve() for folder in folders}
