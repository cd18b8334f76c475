"""Map predicted fields by their embeddings: a page with thumbnails, and the points as JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.predictions import Predictions
from lociscope.data.explore.map import MIN_POINTS, has_umap, make_map
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.io.read import read_field
from lociscope.images.render import render_composite
from lociscope.predict.similar import get_embeddings
from lociscope.processes.progress import ProgressCallback, ignore_progress
from lociscope.report.field_map import MapField, MapPage, Sprite, write_map
from lociscope.report.page import check_page, jpeg_uri, link_files
from lociscope.storage.paths import as_path
from lociscope.storage.table_files import check_suffix
from lociscope.workflows.report import open_fields

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lociscope.artifacts.catalog import Catalog
    from lociscope.images.discovery.field_source import FieldSource
    from lociscope.storage.paths import AnyPath

METHODS = {"umap": "UMAP", "tsne": "t-SNE"}
THUMBNAIL = 40
"""Side of a thumbnail in px: 2,000 make 2 MB."""


def map_predictions(
    predictions: AnyPath,
    output: AnyPath,
    *,
    fields: AnyPath | None = None,
    method: str | None = None,
    progress: ProgressCallback = ignore_progress,
) -> Path:
    """Write a map of predicted fields: a page, and the points beside it as `.json`.

    Args:
        predictions: Predictions with embeddings.
        output: The page to write, `.html`.
        fields: A Catalog, or a folder or an archive of the fields: gives thumbnails, and a Catalog gives cell lines
            and plates.
        method: `umap` or `tsne`; None is UMAP where umap-learn is installed, else t-SNE.
        progress: Called with (thumbnails made, number of thumbnails).

    Returns:
        The page.

    Raises:
        UsageError: The output does not end in `.html`, or the method is unknown.
        LociscopeError: There are no embeddings or too few fields, the fields are others, or a file cannot be used.
        MissingExtraError: umap-learn, scikit-learn or jinja2 is not installed.
    """
    output, path = as_path(output), as_path(predictions)
    check_suffix(output, ".html", reason="`output` ")
    check_page(output, "map")
    if method is not None and method not in METHODS:
        raise UsageError(f"`method` has no {method!r}. Known: {', '.join(METHODS)}.", code=Code.UNKNOWN_NAME)
    table = Predictions.read(path)
    vectors = get_embeddings(table)
    used = METHODS[method or ("umap" if has_umap() else "tsne")]
    made = make_map(vectors, range(len(table)), "UMAP" if used == "UMAP" else "t-SNE")
    if made is None:
        raise LociscopeError(
            f"'{path}' holds {len(table)} fields; a map needs {MIN_POINTS} or more. Predict more fields.",
            code=Code.NOT_ENOUGH_DATA,
        )
    catalog, sources = (None, []) if fields is None else open_fields(as_path(fields), table.ids)
    rows = list(made.rows)
    points = _describe(table, catalog, rows, made.points)
    sprite = _make_sprite([table.ids[row] for row in rows], sources, progress) if sources else None
    data = output.with_suffix(".json")
    files = [(data, "all points"), (path, "the predictions")]
    page = MapPage(path.name, points, len(table), used, sprite)
    data.parent.mkdir(parents=True, exist_ok=True)
    data.touch()  # the page links files that exist
    write_map(output, data, page, link_files(output, files))
    return output


def _describe(table: Predictions, catalog: Catalog | None, rows: Sequence[int], points: np.ndarray) -> list[MapField]:
    known = {} if catalog is None else {entry.id: entry for entry in catalog}
    found = []
    for row, (x, y) in zip(rows, points, strict=True):
        name, predicted = table.ids[row], table.predicted[row]
        entry = known.get(name)
        position = table.positions[row] if table.positions else None
        plate = (entry.plate if entry else None) or (position.plate if position else "")
        found.append(
            MapField(
                name,
                float(x),
                float(y),
                predicted,
                max(predicted, key=lambda each: table.probability[row, each], default=None),
                (entry.cell_line if entry else None) or "",
                plate or "",
            )
        )
    return found


def _make_sprite(ids: Sequence[str], sources: Sequence[FieldSource], progress: ProgressCallback) -> Sprite | None:
    """Render thumbnails into one image; a field that cannot be read stays grey."""
    source_of = {source.id: source for source in sources}
    columns = math.ceil(math.sqrt(len(ids)))
    sheet = np.full((math.ceil(len(ids) / columns) * THUMBNAIL, columns * THUMBNAIL, 3), 96, np.uint8)
    made = 0
    for place, name in enumerate(ids):
        progress(place + 1, len(ids))
        if name not in source_of:
            continue
        try:
            picture = render_composite(read_field(source_of[name]).pixels, THUMBNAIL)
        except LociscopeError:
            continue
        top, left = place // columns * THUMBNAIL, place % columns * THUMBNAIL
        sheet[top : top + THUMBNAIL, left : left + THUMBNAIL] = picture
        made += 1
    return Sprite(jpeg_uri(sheet), THUMBNAIL, columns) if made else None
