"""`lociscope similar`: the fields that are most similar to one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lociscope.cli.reading import (
    AllowMissing,
    BundlePath,
    Channels,
    Pattern,
    PixelSize,
    Plane,
    Preset,
    parse_rules,
)


def similar(
    field: Annotated[
        list[Path],
        typer.Argument(metavar="FIELD", help="An id in the table, or the files of one field.", readable=False),
    ],
    among: Annotated[Path, typer.Option("--among", help="Predictions with embeddings, .parquet.")],
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="Most fields to list.")] = 10,
    bundle: BundlePath = None,
    channels: Channels = None,
    allow_missing: AllowMissing = None,
    pixel_size: PixelSize = None,
    plane: Plane = None,
    pattern: Pattern = None,
    preset: Preset = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the fields of a table whose embeddings are most similar to that of a field, with their locations."""
    rules = parse_rules(channels, allow_missing, pixel_size, plane, pattern, preset)

    from lociscope.labels import LABELS
    from lociscope.workflows.similar import find_similar_fields

    found = find_similar_fields(field, among, number=number, bundle=bundle, rules=rules)
    if as_json:
        import json

        rows = [each._asdict() | {"similarity": round(each.similarity, 6)} for each in found]
        print(json.dumps(rows))
        return
    for each in found:
        print(f"{each.similarity:6.3f}  {each.id}  {', '.join(LABELS[label] for label in each.predicted)}".rstrip())
