"""The options of every command that reads fields: what a user says about the files."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from lociscope.errors import UsageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from lociscope.images.naming import Rules
    from lociscope.log import PredictionLog

Channels = Annotated[
    str | None,
    typer.Option("--channels", help="What the files call the channels: red=NAME,green=NAME,blue=NAME,yellow=NAME."),
]
AllowMissing = Annotated[
    list[str] | None, typer.Option("--allow-missing", help="A channel that may be missing, and is zeros: yellow.")
]
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
"""Of every command that predicts; `opened` opens it."""

Pattern = Annotated[
    str | None, typer.Option("--pattern", help="What names are like, such as {plate}_{well}_{site}_{channel}.")
]


def opened(log: str | None) -> "AbstractContextManager[PredictionLog | None]":
    """The log, opened before any work so that a wrong URL is told at once; None for none."""
    if log is None:
        return nullcontext()
    from lociscope.log import open_log

    return open_log(log)


def rules_of(
    channels: str | None,
    allow_missing: list[str] | None,
    pixel_size: float | None,
    plane: int | None,
    pattern: str | None,
) -> "Rules":
    """Checks what a user says about the files.

    Raises:
        UsageError: A channel, a pattern or the pixel size cannot be.
    """
    from lociscope.images.naming import Rules, parse_channels, parse_missing

    if pixel_size is not None and not 0 < pixel_size < 1000:
        raise UsageError(f"--pixel-size {pixel_size} cannot be; expected µm above 0, such as 0.08.")
    named = {} if channels is None else parse_channels(channels)
    rules = Rules(named, parse_missing(allow_missing or ()), pixel_size, plane, pattern)
    _ = rules.expression  # a wrong pattern is told before any work
    return rules
