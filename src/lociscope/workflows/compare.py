"""Compare Runs: score them on their validation fields and write the page that shows them side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lociscope.errors import Code, LociscopeError, MissingExtraError, UsageError
from lociscope.processes.progress import ignore_progress
from lociscope.report.candidates import read_candidate, unique_names
from lociscope.report.compare import Failure, write_compare
from lociscope.report.comparison_rows import build_rows, to_json, write_csv
from lociscope.report.page import check_page, link_files, write_json
from lociscope.report.ranking import compare_candidates
from lociscope.storage.paths import as_path, as_paths
from lociscope.training.cost import measure_cost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lociscope.processes.progress import ProgressCallback
    from lociscope.report.candidates import Candidate
    from lociscope.report.ranking import ComparisonGroup
    from lociscope.storage.paths import AnyPath


@dataclass(frozen=True, slots=True)
class Candidates:
    """The Runs that could be read, and those that could not.

    Attributes:
        found: In the order given.
        failures: Folders that could not be read, with the reason.
        without_cost: For each candidate whose cost could not be measured, the name and the reason.
    """

    found: list[Candidate]
    failures: list[Failure]
    without_cost: list[Failure]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of comparing Runs.

    Attributes:
        groups: Candidates that were validated on the same fields, with their scores.
        rows: One mapping per candidate, as `build_rows` makes it.
        failures: Folders that could not be compared, with the reason.
        without_cost: For each candidate whose cost could not be measured, the name and the reason.
    """

    groups: list[ComparisonGroup]
    rows: list[dict[str, Any]]
    failures: list[Failure]
    without_cost: list[Failure]


def compare_runs(
    runs: AnyPath | Sequence[AnyPath],
    output: AnyPath,
    *,
    table: AnyPath | None = None,
    base: AnyPath | None = None,
    quick: bool = False,
    progress: ProgressCallback = ignore_progress,
) -> Comparison:
    """Compare Runs and write the page.

    Args:
        runs: Runs, or folders of `train --folds`; a folder that occurs twice is read once.
        output: The HTML page to write; the same figures are written beside it as `.json`.
        table: A CSV to write, too.
        base: The Run whose scores the others are compared with; by default the first.
        quick: Load no network: costs are known only where a Run has recorded them.
        progress: Called with (steps done, number of steps, what is being done).

    Returns:
        The scores of every Run, and what could not be compared.

    Raises:
        UsageError: The page and the table are the same file.
        LociscopeError: No Run can be read, the base cannot be read, or a file cannot be written.
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    output = as_path(output)
    table = as_path(table)
    base = as_path(base)
    runs = as_paths(runs)
    if table is not None and table.resolve() == output.resolve():
        raise UsageError(
            f"'{output}' cannot be both the page and the table. Pass another file as `table`.", code=Code.INVALID_VALUE
        )
    check_page(output, "comparison")
    folders = _unique_folders(runs)
    if base is not None and base.resolve() not in folders:
        folders = {base.resolve(): base} | folders
    candidates = read_candidates(list(folders.values()), quick=quick, progress=progress)
    first = None if base is None else _find_name(base, candidates)
    groups = compare_candidates(candidates.found, first, lambda done, total: progress(done, total, "scoring"))
    rows = build_rows(candidates.found, groups)
    if table is not None:
        write_csv(table, rows)
    data = output.with_suffix(".json")
    write_json(data, to_json(groups, rows, candidates.failures))
    files = [(data, "all figures of this page"), *([(table, "the table of Runs")] if table else [])]
    files += [(each.folder, "a Run") for each in candidates.found]
    write_compare(output, candidates.found, groups, rows, candidates.failures, link_files(output, files))
    return Comparison(groups, rows, candidates.failures, candidates.without_cost)


def read_candidates(
    folders: AnyPath | Sequence[AnyPath], *, quick: bool, progress: ProgressCallback = ignore_progress
) -> Candidates:
    """Read Runs and measure the cost of their networks; a Run that cannot be read does not affect the others.

    Args:
        folders: Runs, or folders of folds.
        quick: Measure no cost.
        progress: Called with (Runs read, number of Runs, name of the Run).

    Raises:
        LociscopeError: None of them can be read; the error is that of the first.
    """
    folders = as_paths(folders)
    found: list[Candidate] = []
    failures: list[Failure] = []
    without_cost: list[Failure] = []
    for done, (folder, name) in enumerate(zip(folders, unique_names(folders), strict=True), start=1):
        try:
            candidate = read_candidate(folder, name)
            try:
                candidate = replace(candidate, cost=measure_cost(candidate.runs[0], quick=quick))
            except MissingExtraError as error:
                without_cost.append(Failure(name, str(error), error.code))
            found.append(candidate)
        except MissingExtraError:
            raise
        except LociscopeError as error:
            failures.append(Failure(str(folder), str(error), error.code))
        progress(done, len(folders), f"reading {name}")
    if not found:
        others = f" The other {len(failures) - 1} cannot be compared either." if len(failures) > 1 else ""
        raise LociscopeError(f"{failures[0].reason}{others}", code=failures[0].code)
    return Candidates(found, failures, without_cost)


def _unique_folders(folders: Sequence[Path]) -> dict[Path, Path]:
    """Return each folder once, as it was first written, by its resolved path."""
    unique: dict[Path, Path] = {}
    for folder in folders:
        unique.setdefault(folder.resolve(), folder)
    return unique


def _find_name(base: Path, candidates: Candidates) -> str:
    """Return the name of the base among the candidates; raise its error where it could not be read."""
    for each in candidates.found:
        if each.folder.resolve() == base.resolve():
            return each.name
    failure = next(each for each in candidates.failures if Path(each.folder).resolve() == base.resolve())
    raise LociscopeError(failure.reason, code=failure.code)
