"""Where the fields of a training came from."""

from __future__ import annotations

import pytest

from lociscope.artifacts.provenance import Provenance, parse_provenance


@pytest.mark.parametrize(
    ("provenance", "text"),
    [
        (Provenance("simulated", fields=600, seed=3), "600 simulated fields of seed 3"),
        (Provenance("simulated", seed=3), "simulated fields of seed 3, others in every epoch"),
        (Provenance("catalog", "it's.parquet"), "Catalog 'it's.parquet'"),
        (Provenance("catalog", "a.csv", fold=0, folds=5), "Catalog 'a.csv', fold 0 of 5"),
        (
            Provenance("simulated", fields=600, seed=0, fold=4, folds=5),
            "600 simulated fields of seed 0, fold 4 of 5",
        ),
    ],
)
def test_text_and_back(provenance: Provenance, text: str) -> None:
    assert provenance.describe() == text
    assert parse_provenance(text) == provenance


@pytest.mark.parametrize(
    "text", ["", "here", "many simulated fields of seed 0", "600 simulated fields of seed 0, fold"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="does not name the source"):
        parse_provenance(text)
