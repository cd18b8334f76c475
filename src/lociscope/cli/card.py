"""`lociscope card`: the model card of a bundle, or the data card of a Catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def card(
    subject: Annotated[
        Path | None,
        typer.Argument(metavar="[SUBJECT]", help="A bundle or a Catalog; by default the bundle that ships."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The page, .html; .md and .json are written beside it.")
    ] = Path("card.html"),
    metrics: Annotated[
        Path | None, typer.Option("--metrics", metavar="FILE", help="metrics.json of `evaluate`, for a model card.")
    ] = None,
) -> None:
    """Write a model card with its DOME table, or a data card, as HTML, Markdown and JSON."""
    from lociscope.workflows.card import write_cards

    print(write_cards(subject, output, metrics=metrics))
