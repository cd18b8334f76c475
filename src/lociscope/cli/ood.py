"""`lociscope ood`: fit the out-of-distribution detector of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lociscope.cli import console
from lociscope.cli.reading import AllowMissing, BundlePath, Channels, Pattern, PixelSize, Preset, parse_rules


def ood(
    output: Annotated[Path, typer.Option("--output", "-o", help="The Bundle to write; may be the one of --bundle.")],
    bundle: BundlePath = None,
    known: Annotated[
        list[Path] | None,
        typer.Option(
            "--known", metavar="SRC", help="Real fields that should be recognised: a folder, a zip, a Catalog."
        ),
    ] = None,
    false_alarms: Annotated[
        float, typer.Option("--false-alarms", help="Share of known fields that may be marked, 0–1.")
    ] = 0.04,
    fields: Annotated[int, typer.Option(min=1, help="Simulated fields to learn from.")] = 384,
    channels: Channels = None,
    allow_missing: AllowMissing = None,
    pixel_size: PixelSize = None,
    pattern: Pattern = None,
    preset: Preset = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that simulate fields.")] = 2,
) -> None:
    """Fit the out-of-distribution detector of a Bundle: which fields get the status unlike-training."""
    rules = parse_rules(channels, allow_missing, pixel_size, None, pattern, preset)

    from lociscope.workflows.out_of_distribution import fit_out_of_distribution

    fit = fit_out_of_distribution(
        bundle, output, known or (),
        rules=rules, false_alarms=false_alarms, fields=fields, workers=workers, progress=console.progress,
    )  # fmt: skip
    console.note(
        f"threshold {fit.detector.threshold:.2f}, from {console.count_fields(len(fit.held_out))}; "
        f"{fit.unlike:.1%} of the generated pictures are above it"
    )
    print(output)
