"""Options of all commands that read fields: rules for file names, pixel size, slices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lociscope.images.discovery.naming import Rules

Channels = Annotated[
    str | None,
    typer.Option("--channels", help="The files' names of the channels: red=NAME,green=NAME,blue=NAME,yellow=NAME."),
]
AllowMissing = Annotated[
    list[str] | None,
    typer.Option("--allow-missing", help="A channel that may be missing and is then zeros, such as yellow."),
]
BundlePath = Annotated[
    Path | None,
    typer.Option("--bundle", "-b", envvar="LOCISCOPE_BUNDLE", help="The model; by default the one shipped."),
]
Embeddings = Annotated[bool, typer.Option("--embeddings", help="Also write the embeddings (.parquet).")]
Table = Annotated[Path, typer.Option("--output", "-o", help="The file to write, .csv or .parquet.")]
"""For all commands that write Predictions."""

RuntimeName = Annotated[
    str,
    typer.Option(
        "--runtime",
        envvar="LOCISCOPE_RUNTIME",
        help="What computes the network: onnxruntime, openvino (needs the extra) or cuda (needs onnxruntime-gpu).",
    ),
]
PixelSize = Annotated[float | None, typer.Option("--pixel-size", help="Side of a pixel in µm; overrides the files.")]
Plane = Annotated[int | None, typer.Option("--plane", min=0, help="The slice to read from stacks, from 0.")]
LogUrl = Annotated[
    str | None,
    typer.Option(
        "--log",
        envvar="LOCISCOPE_LOG",
        metavar="URL",
        help="Record the predictions in this log: a path (SQLite) or an SQLAlchemy URL.",
    ),
]
"""For all commands that predict."""

Pattern = Annotated[
    str | None,
    typer.Option(
        "--pattern", help="The form of file names, such as {plate}_{well}_{site}_{channel}; * and ? are wildcards."
    ),
]
Preset = Annotated[
    str | None,
    typer.Option("--preset", help="The microscope's naming scheme: metaxpress, phenix, yokogawa, incell or scanr."),
]


def parse_rules(
    channels: str | None,
    allow_missing: list[str] | None,
    pixel_size: float | None,
    plane: int | None,
    pattern: str | None,
    preset: str | None = None,
) -> Rules:
    """Parse the options about files.

    Raises:
        UsageError: A channel, the pattern, the preset or the pixel size is not valid.
    """
    from lociscope.images.discovery.naming import Rules, check_pixel_size, parse_channels, parse_missing

    if pixel_size is not None:
        check_pixel_size(pixel_size, str(pixel_size))
    named = {} if channels is None else parse_channels(channels)
    rules = Rules(named, parse_missing(allow_missing or ()), pixel_size, plane, pattern, preset)
    _ = rules.expressions  # a wrong pattern or preset is reported before any work
    return rules
