"""`lociscope split`: what of a Catalog is learned from, validated on and tested on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.cli import console

if TYPE_CHECKING:
    from lociscope.data.partition import Parted


def split(
    catalog: Annotated[Path, typer.Argument(help="A Catalog with labels.")],
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
    as_json: Annotated[bool, typer.Option("--json", help="Print what each part holds as JSON.")] = False,
) -> None:
    """Write the columns split and fold of a Catalog: whole antibodies, and each class in its proportion."""
    from lociscope.catalog import Catalog
    from lociscope.data.partition import Wanted, part_catalog
    from lociscope.errors import UsageError

    target = catalog if output is None else output
    if target.suffix != ".parquet":
        raise UsageError(f"-o '{target}' ends in {target.suffix!r}; expected .parquet. Rename it.")
    if target.parent.resolve() != catalog.parent.resolve():
        raise UsageError(
            f"-o '{target}' lies in another folder than '{catalog}', whose paths are relative. Keep them together."
        )
    made = part_catalog(Catalog.read(catalog), Wanted(folds, test, valid, tuple(group or ()), seed))
    made.catalog.write(target)
    _say(made, target, as_json)


def _say(made: "Parted", path: Path, as_json: bool) -> None:
    from lociscope.labels import LABELS

    if as_json:
        import json

        parts = [
            {
                "name": part.name,
                "fields": part.fields,
                "groups": part.groups,
                "counts": dict(zip(LABELS, part.counts.tolist(), strict=True)),
            }
            for part in made.parts
        ]
        print(
            json.dumps({"catalog": str(path), "bound_by": list(made.bound), "parts": parts, "notes": list(made.notes)})
        )
        return
    print(f"{'part':<8}{'fields':>8}{'groups':>8}  classes without a field")
    for part in made.parts:
        empty = [name for name, count in zip(LABELS, part.counts, strict=True) if not count]
        listed = ", ".join(empty) if len(empty) < 6 else f"{len(empty)} of {len(LABELS)}"
        print(f"{part.name:<8}{part.fields:>8}{part.groups:>8}  {listed or '-'}")
    print(f"bound by {', '.join(made.bound) or 'nothing: each field is its own group'}; written to {path}")
    for sentence in made.notes:
        console.note(f"lociscope: {sentence}")
