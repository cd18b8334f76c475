"""Write the model card of a Bundle, or the data card of a Catalog, as HTML, Markdown and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lociscope.artifacts.bundle import read_bundle
from lociscope.artifacts.catalog import Catalog, hash_catalog
from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, UsageError
from lociscope.report.card_page import write_card
from lociscope.report.data_card import make_data_card
from lociscope.report.metrics import Metrics
from lociscope.report.model_card import make_model_card
from lociscope.report.page import check_page, link_files
from lociscope.storage.paths import as_path
from lociscope.storage.table_files import check_suffix

if TYPE_CHECKING:
    from pathlib import Path

    from lociscope.storage.paths import AnyPath


def write_cards(subject: AnyPath | None, output: AnyPath, *, metrics: AnyPath | None = None) -> Path:
    """Write a card in three forms: `.html`, and `.md` and `.json` beside it.

    Args:
        subject: A Bundle, for a model card, or a Catalog, for a data card; None for the Bundle that ships with
            lociscope.
        output: The page to write, `.html`.
        metrics: `metrics.json` of an evaluation of the Bundle, to add to its model card.

    Returns:
        The page.

    Raises:
        UsageError: The output does not end in `.html`, or `metrics` are given for a Catalog.
        LociscopeError: A file cannot be read or written.
        MissingExtraError: jinja2 is not installed.
    """
    output, source = as_path(output), as_path(subject)
    check_suffix(output, ".html", reason="`output` ")
    output.parent.mkdir(parents=True, exist_ok=True)
    markdown, data = output.with_suffix(".md"), output.with_suffix(".json")
    files = [(data, "the same as JSON"), (markdown, "the same as Markdown")]
    if source is None or source.is_dir():
        check_page(output, "model card")
        bundle = read_bundle(source)
        scores = None if metrics is None else Metrics.read(as_path(metrics))
        page = make_model_card(bundle.card, bundle.sha256, scores)
        if metrics is not None:
            files.append((as_path(metrics), "the evaluation"))
    else:
        if metrics is not None:
            raise UsageError(
                "`metrics` belong to a model card. Pass a bundle, or leave them out for a data card.",
                code=Code.INVALID_VALUE,
            )
        check_page(output, "data card")
        page = make_data_card(Catalog.read(source, may_lack=CHANNEL_NAMES), source.name, hash_catalog(source))
    for path in (markdown, data):  # links name the files that exist
        path.touch()
    write_card(page, output, markdown, data, link_files(output, files))
    return output
