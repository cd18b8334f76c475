"""`lociscope split`: what of a Catalog is learned from, validated on and tested on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console
from lociscope.errors import Code, Exit, UsageError

if TYPE_CHECKING:
    from lociscope.artifacts.catalog import Catalog
    from lociscope.data.scan import ScanResult
    from lociscope.data.splits.leakage import AdversarialResult
    from lociscope.data.splits.partition import SplitResult


def split(
    catalogs: Annotated[
        list[Path], typer.Argument(metavar="CATALOG...", help="Catalogs with labels; several are joined, into -o.")
    ],
    folds: Annotated[int, typer.Option(min=1, max=100, help="Folds for cross-validation; 1 makes none.")] = 5,
    test: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share to test on; 0 keeps what is marked so already.")
    ] = 0.0,
    valid: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the rest to validate on.")] = 0.0,
    group: Annotated[
        list[str] | None,
        typer.Option(
            "--group", metavar="COLUMN", help="Fields with the same value stay together; may be given more than once."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides between what is equally good.")] = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Another Catalog to write.")] = None,
    duplicates: Annotated[
        bool,
        typer.Option(
            "--find-duplicates",
            help="First read the pictures, and name those that show the same cells in `duplicates`.",
        ),
    ] = False,
    adversarial: Annotated[
        bool, typer.Option("--adversarial", help="Read the pictures, and try to tell the parts apart by their looks.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that read pictures.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print what each part holds as JSON.")] = False,
) -> None:
    """Write the columns split and fold of a Catalog: whole antibodies, and each class in its proportion."""
    from lociscope.artifacts.catalog import Catalog
    from lociscope.data.joining import join_catalogs
    from lociscope.data.splits.leakage import adversarial_validation, count_leaks
    from lociscope.data.splits.partition import SplitConfig, split_catalog

    target = _target(catalogs, output)
    fields, seen = join_catalogs([Catalog.read(path) for path in catalogs], catalogs, target.parent), None
    if duplicates or adversarial:
        seen = _seen(fields, adversarial, workers)
    if duplicates and seen is not None:
        from lociscope.data.duplicates import COLUMN, mark_duplicates

        fields = mark_duplicates(fields, seen)
        named = [name for name in fields.table[COLUMN].to_pylist() if name]
        console.note(
            f"lociscope: {console.counted(len(named))} show the same cells as another, {len({*named})} pictures"
        )
    made = split_catalog(fields, SplitConfig(folds, test, valid, tuple(group or ()), seed))
    told = None
    if adversarial and seen is not None:
        from lociscope.images.statistics import STATISTICS

        told = adversarial_validation(made.catalog, seen.rows, seen.statistics, STATISTICS)
    made.catalog.write(target)
    (_say_json if as_json else _say)(made, target, count_leaks(made.catalog), told, adversarial)
    if seen is not None:
        _tell_unread(seen, target)


def _target(catalogs: list[Path], output: Path | None) -> Path:
    """Where to write, beside a CSV a `.parquet` of its name; refuses what would not be found again."""
    if output is None and len(catalogs) > 1:
        raise UsageError(
            f"{len(catalogs)} Catalogs are joined into a new one. Name it with -o.", code=Code.INVALID_VALUE
        )
    target = output or catalogs[0].with_suffix(".parquet")
    if output is None and target != catalogs[0] and target.exists():
        raise UsageError(f"'{target}' exists. Name the Catalog to write with -o.", code=Code.CONFLICT)
    if target.suffix != ".parquet":
        raise UsageError(
            f"-o '{target}' ends in {target.suffix!r}; expected .parquet. Rename it.", code=Code.UNSUPPORTED_FORMAT
        )
    return target


def _seen(fields: Catalog, statistics: bool, workers: int) -> ScanResult:
    from lociscope.data.scan import scan_catalog

    with console.progress("looking at fields") as tell:
        return scan_catalog(fields, statistics, workers, tell)


def _tell_unread(seen: ScanResult, target: Path) -> None:
    """Lists the fields whose pictures could not be looked at; they are parted all the same."""
    from lociscope.images.discovery.sources import write_failures

    listing = target.with_name(target.stem + ".unread.csv")
    write_failures(seen.failures, listing)
    if seen.failures:
        console.tell_failures(seen.failures, listing)
        raise typer.Exit(Exit.SOME_FAILED)


def _say_json(made: SplitResult, path: Path, torn: dict[str, int], told: AdversarialResult | None, asked: bool) -> None:
    import json

    from lociscope.labels import LABELS

    parts = [
        {
            "name": part.name,
            "fields": part.fields,
            "groups": part.groups,
            "counts": dict(zip(LABELS, part.counts.tolist(), strict=True)),
        }
        for part in made.parts
    ]
    looks = None
    if told is not None:
        auc = told.auc
        looks = {"part": told.part, "auc": auc.value, "low": auc.low, "high": auc.high, "groups": auc.n, "by": told.by}
        looks["sentence"] = str(told)
    leakage = {"in_two_parts": torn, "adversarial": looks}
    said = {"catalog": str(path), "bound_by": list(made.grouped_by), "parts": parts, "notes": list(made.notes)}
    print(json.dumps(said | {"leakage": leakage}))


def _say(made: SplitResult, path: Path, torn: dict[str, int], told: AdversarialResult | None, asked: bool) -> None:
    from lociscope.data.splits.leakage import MIN_FIELDS
    from lociscope.labels import LABELS

    print(f"{'part':<8}{'fields':>8}{'groups':>8}  classes without a field")
    for part in made.parts:
        empty = [name for name, count in zip(LABELS, part.counts, strict=True) if not count]
        listed = ", ".join(empty) if len(empty) < 6 else f"{len(empty)} of {len(LABELS)}"
        print(f"{part.name:<8}{part.fields:>8}{part.groups:>8}  {listed or '-'}")
    print(f"bound by {', '.join(made.grouped_by) or 'nothing: each field is its own group'}; written to {path}")
    if torn:
        print("in two parts: " + ", ".join(f"{column} {count}" for column, count in torn.items()))
    if asked:
        print(
            told or f"Too few to tell the parts apart by their looks: each side needs {MIN_FIELDS} fields of 5 groups."
        )
    for sentence in made.notes:
        console.note(f"lociscope: {sentence}")
