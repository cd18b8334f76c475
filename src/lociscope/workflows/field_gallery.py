"""Select and render the fields of a report: by location, from the surest to the most doubtful."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.decide.doubt import doubt
from lociscope.errors import LociscopeError
from lociscope.images.io.read import read_field
from lociscope.images.render import render_composite
from lociscope.labels import LABELS
from lociscope.report.field_report import LocationGallery, ShownField
from lociscope.report.gallery import make_scale_bar
from lociscope.report.page import jpeg_uri
from lociscope.workflows.gallery import render_evidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lociscope.artifacts.predictions import Predictions
    from lociscope.images.discovery.field_source import FieldSource
    from lociscope.predict.predictor import Predictor
    from lociscope.processes.progress import ProgressCallback

SIZE = 192
"""Side of a picture in px."""

MAX_SHOWN = 108
"""Most fields of a page: with evidence, about 3 MB."""

PER_LOCATION = 6
NONE = -1
"""Stands for fields without a reported location."""


def read_location_galleries(
    predictions: Predictions,
    sources: Sequence[FieldSource],
    model: Predictor | None,
    progress: ProgressCallback,
) -> tuple[list[LocationGallery], list[str]]:
    """Render fields of each location.

    Args:
        predictions: The predictions.
        sources: The images; none for no gallery.
        model: Shows where the evidence is; None for pictures without.
        progress: Called with (fields rendered, number of fields).

    Returns:
        The galleries, the location of most fields first and fields without location last, and the ids of fields that
        cannot be read.
    """
    source_of = {source.id: source for source in sources}
    doubts = doubt(predictions.probability)
    groups = _group(predictions, source_of)
    each = max(min(PER_LOCATION, MAX_SHOWN // max(len(groups), 1)), 1)
    total = sum(min(len(rows), each) for rows in groups.values())
    galleries, unreadable, done = [], [], 0
    for number, rows in sorted(groups.items(), key=lambda item: (item[0] == NONE, -len(item[1]), item[0])):
        ordered = sorted(rows, key=lambda row: (doubts[row], predictions.ids[row]))
        shown = []
        for row in (ordered[place] for place in _spread(len(ordered), each)):
            try:
                shown.append(
                    _render(predictions, row, source_of[predictions.ids[row]], number, float(doubts[row]), model)
                )
            except LociscopeError:
                unreadable.append(predictions.ids[row])
            done += 1
            progress(done, total)
        galleries.append(LocationGallery(number, len(rows), shown))
    return galleries, unreadable


def _group(predictions: Predictions, source_of: Mapping[str, FieldSource]) -> dict[int, list[int]]:
    """Return the rows of each field's likeliest reported location."""
    groups: dict[int, list[int]] = {}
    for row, (name, numbers) in enumerate(zip(predictions.ids, predictions.predicted, strict=True)):
        if name in source_of:
            likeliest = max(numbers, key=lambda each: predictions.probability[row, each], default=NONE)
            groups.setdefault(likeliest, []).append(row)
    return groups


def _spread(n: int, most: int) -> list[int]:
    """Return at most `most` evenly spaced places of n, the first and the last among them."""
    return sorted({int(place) for place in np.linspace(0, n - 1, min(n, most)).round()})


def _render(
    predictions: Predictions, row: int, source: FieldSource, number: int, level: float, model: Predictor | None
) -> ShownField:
    field = read_field(source)
    location = int(np.nanargmax(predictions.probability[row])) if number == NONE else number
    evidence = None if model is None else jpeg_uri(render_evidence(model, field, location, SIZE).pixels)
    return ShownField(
        field.id,
        jpeg_uri(render_composite(field.pixels, SIZE)),
        evidence,
        make_scale_bar(field),
        float(predictions.probability[row, location]),
        level,
        ", ".join(LABELS[each] for each in predictions.predicted[row]),
        bool(predictions.warnings[row]),
    )
