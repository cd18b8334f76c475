"""Galleries of an evaluation: with evidence where the model has a network, without it where it has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fixtures.feature_bundles import feature_bundle_at

from lociscope.artifacts.catalog import Catalog
from lociscope.images.discovery.sources import read_catalog_sources
from lociscope.images.io.read import read_field
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.workflows.gallery import find_model, read_galleries

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kind", ["network", "features"])
def test_a_gallery_shows_fields_of_any_model(kind: str, tiny_bundle: Path, small_catalog: Path, tmp_path: Path) -> None:
    bundle = tiny_bundle if kind == "network" else feature_bundle_at(tmp_path / "b")
    model, catalog = open_bundle(bundle), Catalog.read(small_catalog)
    predictions = model.predict(read_field(source) for source in read_catalog_sources(catalog)[:3])
    labels = dict.fromkeys(predictions.ids, (0,))
    ((gallery,), unreadable) = read_galleries(predictions, labels, catalog, model)
    assert (len(gallery.fields), unreadable) == (3, [])
    assert [field.evidence is not None for field in gallery.fields] == [kind == "network"] * 3
    found = find_model(bundle, tmp_path / "predictions.csv")
    assert isinstance(found, Predictor) == (kind == "network")
