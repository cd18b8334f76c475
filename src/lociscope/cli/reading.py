"""The options of every command that reads fields: what a user says about the files."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.errors import Code, UsageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from lociscope.images.discovery.naming import Rules
    from lociscope.prediction_log.log import PredictionLog

Channels = Annotated[
    str | None,
    typer.Option("--channels", help="What the files call the channels: red=NAME,green=NAME,blue=NAME,yellow=NAME."),
]
AllowMissing = Annotated[
    list[str] | None, typer.Option("--allow-missing", help="A channel that may be missing, and is zeros: yellow.")
]
BundlePath = Annotated[
    Path | None, typer.Option("--bundle", "-b", envvar="LOCISCOPE_BUNDLE", help="By default the one shipped.")
]
Embeddings = Annotated[bool, typer.Option("--embeddings", help="Keep the embeddings (.parquet).")]
Table = Annotated[Path, typer.Option("--output", "-o", help="The file to write, .csv or .parquet.")]
"""Of every command that writes Predictions; `check_table` checks it."""

PixelSize = Annotated[
    float | None, typer.Option("--pixel-size", help="Side of a pixel in µm, whatever the files declare.")
]
Plane = Annotated[int | None, typer.Option("--plane", min=0, help="The slice of stacks to take, from 0.")]
LogUrl = Annotated[
    str | None,
    typer.Option(
        "--log",
        envvar="LOCISCOPE_LOG",
        metavar="URL",
        help="Keep the predictions in this log: a path (SQLite), or an SQLAlchemy URL.",
    ),
]
"""Of every command that predicts; `open_optional_log` opens it."""

Pattern = Annotated[
    str | None,
    typer.Option(
        "--pattern", help="What names are like, such as {plate}_{well}_{site}_{channel}; * and ? stand for anything."
    ),
]
Preset = Annotated[
    str | None,
    typer.Option("--preset", help="Whose names they are: metaxpress, phenix, yokogawa, incell or scanr."),
]


def check_table(output: Path, *, embeddings: bool) -> None:
    """Refuses a file that Predictions cannot be written to.

    Raises:
        UsageError: Its suffix is another, or cannot hold embeddings.
    """
    if output.suffix not in (".csv", ".parquet"):
        raise UsageError(
            f"-o '{output}' ends in {output.suffix!r}; expected .csv or .parquet. Rename it.",
            code=Code.UNSUPPORTED_FORMAT,
        )
    if embeddings and output.suffix != ".parquet":
        raise UsageError(
            f"--embeddings needs Parquet, and -o '{output}' is no .parquet. Rename it.", code=Code.INVALID_VALUE
        )


def open_optional_log(log: str | None) -> AbstractContextManager[PredictionLog | None]:
    """The log, opened before any work so that a wrong URL is told at once; None for none."""
    if log is None:
        return nullcontext()
    from lociscope.prediction_log.log import open_log

    return open_log(log)


def parse_rules(
    channels: str | None,
    allow_missing: list[str] | None,
    pixel_size: float | None,
    plane: int | None,
    pattern: str | None,
    preset: str | None = None,
) -> Rules:
    """Checks what a user says about the files.

    Raises:
        UsageError: A channel, a pattern, a preset or the pixel size cannot be.
    """
    from lociscope.images.discovery.naming import Rules, check_pixel_size, parse_channels, parse_missing

    if pixel_size is not None:
        check_pixel_size(pixel_size, str(pixel_size))
    named = {} if channels is None else parse_channels(channels)
    rules = Rules(named, parse_missing(allow_missing or ()), pixel_size, plane, pattern, preset)
    _ = rules.expressions  # a wrong pattern or preset is reported before any work
    return rules
