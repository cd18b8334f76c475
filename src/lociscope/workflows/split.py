"""Split Catalogs into train, validation and test data and into folds, and check the split for leakage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lociscope.artifacts.catalog import Catalog
from lociscope.data.duplicates import DUPLICATES, mark_duplicates
from lociscope.data.joining import join_catalogs
from lociscope.data.leakage import AdversarialResult, adversarial_validation, count_leaks
from lociscope.data.scan import scan_catalog
from lociscope.errors import Code, UsageError
from lociscope.images.discovery.sources import Failure, write_failures
from lociscope.images.statistics import STATISTICS
from lociscope.processes.progress import ProgressCallback, ignore_progress
from lociscope.splits.catalog_split import SplitConfig, SplitResult, split_catalog
from lociscope.storage.paths import as_path, as_paths
from lociscope.storage.table_files import check_suffix

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lociscope.storage.paths import AnyPath

DEFAULT = SplitConfig()


@dataclass(frozen=True, slots=True)
class SplitReport:
    """A written split, and what is known of its quality.

    Attributes:
        output: The Catalog that was written.
        split: Its parts.
        leaks: For each grouping column the number of its values that are in two parts.
        duplicates: Numbers of fields that show the same cells as another, and of the different images among them;
            None where duplicates were not searched.
        adversarial: How well image statistics distinguish the parts; None where this was not asked for, or a part is
            too small.
        unread: Fields whose images could not be read; they are in the split all the same.
        unread_file: Their list; None where no image was read.
    """

    output: Path
    split: SplitResult
    leaks: dict[str, int]
    duplicates: tuple[int, int] | None = None
    adversarial: AdversarialResult | None = None
    unread: tuple[Failure, ...] = ()
    unread_file: Path | None = None


def split_catalogs(
    catalogs: AnyPath | Sequence[AnyPath],
    output: AnyPath | None = None,
    config: SplitConfig = DEFAULT,
    *,
    find_duplicates: bool = False,
    adversarial: bool = False,
    workers: int = 1,
    progress: ProgressCallback = ignore_progress,
) -> SplitReport:
    """Write the columns `split` and `fold` of a Catalog; several Catalogs are joined first.

    Args:
        catalogs: Catalogs with labels.
        output: The Catalog to write, `.parquet`. None replaces a single Catalog, or writes a `.parquet` beside a CSV.
        config: How to split.
        find_duplicates: Read the images and keep fields that show the same cells together.
        adversarial: Read the images and train a classifier to distinguish the parts.
        workers: Processes that read images.
        progress: Called while images are read.

    Returns:
        The split.

    Raises:
        LociscopeError: A Catalog cannot be read, joined, split or written.
        UsageError: The output cannot be derived, exists already or does not end in `.parquet`, or a column is unknown.
    """
    output = as_path(output)
    catalogs = as_paths(catalogs)
    target = _choose_output(catalogs, output)
    fields = join_catalogs([Catalog.read(path) for path in catalogs], catalogs, target.parent)
    scan, duplicates, result = None, None, None
    if find_duplicates or adversarial:
        scan = scan_catalog(fields, adversarial, workers, progress)
    if find_duplicates and scan is not None:
        fields = mark_duplicates(fields, scan)
        named = [name for name in fields.table[DUPLICATES].to_pylist() if name]
        duplicates = len(named), len({*named})
    split = split_catalog(fields, config)
    if adversarial and scan is not None:
        result = adversarial_validation(split.catalog, scan.rows, scan.statistics, STATISTICS)
    split.catalog.write(target)
    leaks = count_leaks(split.catalog)
    if scan is None:
        return SplitReport(target, split, leaks)
    unread_file = target.with_name(target.stem + ".unread.csv")
    write_failures(scan.failures, unread_file)
    return SplitReport(target, split, leaks, duplicates, result, tuple(scan.failures), unread_file)


def _choose_output(catalogs: Sequence[Path], output: Path | None) -> Path:
    """Return the file to write; refuse one that would replace another file or that could not be found again."""
    if output is None and len(catalogs) > 1:
        raise UsageError(
            f"{len(catalogs)} Catalogs are joined into a new one. Name it with `output`.", code=Code.INVALID_VALUE
        )
    target = output or catalogs[0].with_suffix(".parquet")
    if output is None and target != catalogs[0] and target.exists():
        raise UsageError(f"'{target}' exists. Name the Catalog to write with `output`.", code=Code.CONFLICT)
    check_suffix(target, ".parquet")
    return target
