"""Select and read the fields that reports show, with the evidence for their likeliest location."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.origin import read_origin
from lociscope.decide.metrics import log_losses
from lociscope.errors import LociscopeError
from lociscope.images.discovery.sources import read_catalog_sources
from lociscope.images.io.read import read_field
from lociscope.images.scale import resize
from lociscope.labels import to_multi_hot
from lociscope.predict.explain import explain_field
from lociscope.predict.predictor import open_bundle
from lociscope.report.evaluation import Gallery
from lociscope.report.gallery import PICTURE_SIZE, EvidencePicture, GalleryField
from lociscope.workflows.explain import overlay

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lociscope.artifacts.catalog import Catalog
    from lociscope.artifacts.predictions import Predictions
    from lociscope.images.discovery.field_source import FieldSource
    from lociscope.images.field import Field
    from lociscope.predict.predictor import Predictor

WORST, BEST, SPREAD = 6, 3, 6
"""Fields of each gallery."""


def find_model(bundle: Path | None, predictions: Path) -> Predictor | None:
    """Open the model behind predictions: the bundle that is given, or the shipped one where they record it.

    Returns:
        The model; None where it is not known, or shows no evidence.

    Raises:
        LociscopeError: The bundle that is given cannot be opened.
    """
    if bundle is not None:
        given = open_bundle(bundle)
        return given if given.shows_evidence else None
    recorded = read_origin(predictions).get("bundle") if predictions.is_file() else None
    if recorded is None:
        return None
    shipped = open_bundle()
    return shipped if shipped.bundle.sha256 == recorded else None


def read_galleries(
    predictions: Predictions,
    labels: Mapping[str, tuple[int, ...]],
    catalog: Catalog | None,
    model: Predictor | None,
) -> tuple[list[Gallery], list[str]]:
    """Read the fields with the worst and the best predictions, and evenly spaced ones.

    Args:
        predictions: Predictions of labelled fields.
        labels: Class numbers by id.
        catalog: The images; None for no gallery.
        model: Shows where the evidence is; None for galleries without, as for a model without a network.

    Returns:
        The galleries, and the ids of fields that cannot be read.
    """
    if catalog is None:
        return [], []
    source_of = {source.id: source for source in read_catalog_sources(catalog) if source.refs}
    rows = [row for row, name in enumerate(predictions.ids) if name in source_of]
    if not rows:
        return [], []
    shown = model if model is not None and model.shows_evidence else None
    reader = _Reader(predictions, labels, source_of, shown)
    truth = to_multi_hot([labels[predictions.ids[row]] for row in rows])
    loss = np.nanmean(log_losses(truth, predictions.probability[rows]), axis=1)  # NaN: a class that it does not know
    ranked = [rows[each] for each in np.argsort(-loss, kind="stable")]
    spread = rows[:: max(len(rows) // SPREAD, 1)][:SPREAD]
    if len(rows) <= WORST + BEST:
        return [Gallery("", "", reader.read(ranked))], reader.unreadable
    by_loss = "by the log loss over all locations, which no threshold affects"
    return [
        Gallery("Worst predictions", f"Highest first, {by_loss}.", reader.read(ranked[:WORST])),
        Gallery("Best predictions", f"Best first, {by_loss}.", reader.read(ranked[: -BEST - 1 : -1])),
        Gallery(
            "Evenly spaced fields", "In the order of the predictions, whatever was predicted.", reader.read(spread)
        ),
    ], reader.unreadable


class _Reader:
    """Reads fields, each once, and remembers those that cannot be read."""

    def __init__(
        self,
        predictions: Predictions,
        labels: Mapping[str, tuple[int, ...]],
        source_of: Mapping[str, FieldSource],
        model: Predictor | None,
    ) -> None:
        self._predictions, self._labels, self._source_of, self._model = predictions, labels, source_of, model
        self.unreadable: list[str] = []

    def read(self, rows: Iterable[int]) -> list[GalleryField]:
        """Return the fields of some rows that can be read."""
        found = []
        for row in rows:
            name = self._predictions.ids[row]
            try:
                field = read_field(self._source_of[name])
                evidence = None if self._model is None else render_evidence(self._model, field, self._likeliest(row))
            except LociscopeError:
                if name not in self.unreadable:
                    self.unreadable.append(name)
                continue
            found.append(
                GalleryField(
                    field,
                    self._labels.get(name),
                    self._predictions.probability[row],
                    self._predictions.predicted[row],
                    self._predictions.status[row],
                    self._predictions.warnings[row],
                    evidence,
                )
            )
        return found

    def _likeliest(self, row: int) -> int:
        return int(np.nanargmax(self._predictions.probability[row]))


def render_evidence(model: Predictor, field: Field, location: int, size: int = PICTURE_SIZE) -> EvidencePicture:
    """Render where a model finds the evidence for a location, as a square.

    Raises:
        LociscopeError: The pixel size of the field is impossible.
    """
    explanation = explain_field(model, field, [location])
    picture = overlay(explanation.pixels, explanation.evidence[0].map)
    return EvidencePicture(location, np.rint(resize(picture, size, size)).astype(np.uint8))
