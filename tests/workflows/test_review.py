"""The workflow of a review: from predictions to labels in a Catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.artifacts.catalog import Catalog
from lociscope.artifacts.predictions import Predictions
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.images.discovery.sources import read_catalog_sources
from lociscope.images.io.read import read_field
from lociscope.review.records import Answer, Reason, Verdict
from lociscope.review.store import open_review
from lociscope.workflows.review import delete_reviewed, export_labels, queue_fields, summarize_review

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def fields(tmp_path: Path, write_field: Callable[..., Any]) -> Path:
    """Six fields of 16 px, f0 … f5."""
    rng = np.random.default_rng(0)
    for number in range(6):
        write_field(f"f{number}", tmp_path / "fields", rng.integers(0, 255, (16, 16, 4)).astype(np.uint8))
    return tmp_path / "fields"


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """Predictions of seven fields, f0 … f6."""
    probability = np.random.default_rng(1).random((7, 28)).astype(np.float32)
    made = Predictions([f"f{k}" for k in range(7)], probability, [(k,) for k in range(7)], ["ok"] * 7, [()] * 7)
    made.write(tmp_path / "p.parquet", {"bundle": "b" * 64})
    return tmp_path / "p.parquet"


def test_labels_leave_as_a_catalog_with_who_and_when(tmp_path: Path, fields: Path, predictions: Path) -> None:
    review = str(tmp_path / "review.db")
    queued = queue_fields(predictions, fields, review, count=4, random_share=0.5)
    assert (queued.added, queued.known, queued.reasons[Reason.RANDOM]) == (4, 0, 2)
    assert queue_fields(predictions, fields, review, count=6).added == 2
    with open_review(review) as store:
        items = store.items()
        assert {(item.bundle, item.frame) for item in items} == {("b" * 64, 6)}  # f6 has no images
        for item in items[:3]:
            store.answer(Answer(item.number, "ann", Verdict.LABELLED, (0, 7), "clear"))
        store.answer(Answer(items[0].number, "bob", Verdict.LABELLED, (0, 7)))
        store.answer(Answer(items[1].number, "bob", Verdict.LABELLED, (0,)))  # disputed
        store.answer(Answer(items[3].number, "bob", Verdict.CANNOT_TELL, ()))
    status = summarize_review(review)
    assert (status.fields, status.answered, status.agreed, status.disputed, status.cannot_tell) == (6, 4, 2, 1, 1)
    assert (status.reviewers, status.agreement[0].fields) == ({"ann": 3, "bob": 3}, 2)
    assert export_labels(review, tmp_path / "out" / ".." / "labels.parquet") == 2
    catalog = Catalog.read(tmp_path / "labels.parquet")
    assert (catalog.ids, [entry.target for entry in catalog]) == ([items[0].id, items[2].id], [(0, 7), (0, 7)])
    assert catalog.table["reviewers"].to_pylist() == ["ann, bob", "ann"]
    assert catalog.table["notes"].to_pylist() == ["clear", "clear"]
    assert catalog.table["reviewed"].to_pylist()[0].startswith("20")
    source = read_catalog_sources(catalog)[0]
    assert read_field(source).pixels.shape == (16, 16, 4)


def test_a_second_model_finds_disagreement(tmp_path: Path, fields: Path, predictions: Path) -> None:
    first = Predictions.read(predictions)
    first.probability[4] = 0.001  # certain, so that no other criterion selects it
    first.write(predictions, {"bundle": "b" * 64})
    probability = first.probability.copy()
    probability[4] = 0.9
    other = Predictions(first.ids, probability, first.predicted, first.status, first.warnings)
    other.write(tmp_path / "second.parquet")
    review = str(tmp_path / "review.db")
    queue_fields(predictions, fields, review, count=3, random_share=0, second=tmp_path / "second.parquet")
    with open_review(review) as store:
        assert [item.id for item in store.items() if item.reason == Reason.DISAGREEMENT] == ["f4"]


def test_wrong_input_is_refused(tmp_path: Path, fields: Path, predictions: Path) -> None:
    review = str(tmp_path / "review.db")
    with pytest.raises(UsageError):
        queue_fields(predictions, fields, review, count=0)
    other = Predictions(["x"], np.zeros((1, 28), np.float32), [()], ["ok"], [()])
    other.write(tmp_path / "x.parquet")
    with pytest.raises(LociscopeError) as raised:
        queue_fields(tmp_path / "x.parquet", fields, review)
    assert raised.value.code == Code.NOTHING_FOUND
    with pytest.raises(LociscopeError) as raised:
        queue_fields(predictions, fields, review, second=tmp_path / "x.parquet")
    assert raised.value.code == Code.NOTHING_FOUND
    queue_fields(predictions, fields, review)
    with pytest.raises(LociscopeError, match="no field with agreed labels"):
        export_labels(review, tmp_path / "labels.parquet")


def test_deletion_is_of_fields_or_of_a_reviewer(tmp_path: Path, fields: Path, predictions: Path) -> None:
    review = str(tmp_path / "review.db")
    queue_fields(predictions, fields, review)
    assert delete_reviewed(review, matching="^f[01]$") == 2
    assert delete_reviewed(review, reviewer="ann") == 0
    for wrong in ({}, {"matching": "x", "reviewer": "y"}):
        with pytest.raises(UsageError, match="either `matching` or `reviewer`"):
            delete_reviewed(review, **wrong)
