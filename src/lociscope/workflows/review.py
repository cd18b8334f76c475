"""Review: queue predicted fields for people, count what they agree on, and export their labels as a Catalog."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from lociscope.artifacts.catalog import Catalog, Entry
from lociscope.artifacts.origin import read_origin
from lociscope.artifacts.predictions import Predictions
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.labels import N_LABELS
from lociscope.review.consensus import Agreement, find_consensus, measure_agreement
from lociscope.review.queue import RANDOM_SHARE, select_fields
from lociscope.review.records import Item, Reason
from lociscope.review.store import open_review
from lociscope.storage.paths import as_path
from lociscope.workflows.monitor import compile_group
from lociscope.workflows.report import open_fields

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from lociscope.review.consensus import Consensus
    from lociscope.storage.paths import AnyPath

NO_BUNDLE = "unknown"
"""Stands for the bundle where nothing records it."""


@dataclass(frozen=True, slots=True)
class Queued:
    """The result of queueing: how many fields were added, how many were in the queue already, and the reasons."""

    added: int
    known: int
    reasons: dict[Reason, int]


@dataclass(frozen=True, slots=True)
class ReviewStatus:
    """The state of a review.

    Attributes:
        fields: Number of fields in the queue.
        answered: Of those, with an answer.
        agreed: With a consensus, so that they are exported.
        disputed: About which reviewers disagree.
        cannot_tell: That no reviewer could label.
        reviewers: Number of fields that each reviewer answered.
        agreement: Of each two reviewers.
    """

    fields: int
    answered: int
    agreed: int
    disputed: int
    cannot_tell: int
    reviewers: dict[str, int]
    agreement: list[Agreement]


def queue_fields(
    predictions: AnyPath,
    fields: AnyPath,
    review: str,
    *,
    count: int = 100,
    second: AnyPath | None = None,
    random_share: float = RANDOM_SHARE,
    seed: int = 0,
) -> Queued:
    """Select predicted fields for review.

    Args:
        predictions: The Predictions; with embeddings, novel and diverse fields are found by them.
        fields: Their images: a folder, an archive or a Catalog.
        review: The review: a path (SQLite), or an SQLAlchemy URL; created if needed.
        count: How many to select.
        second: Predictions of the same fields by another model, for disagreement.
        random_share: Share of the selected fields that is sampled at random, 0–1.
        seed: Seed of the sample.

    Raises:
        UsageError: `count` or `random_share` is out of range.
        LociscopeError: A file cannot be read, or no predicted field has images.
    """
    if count < 1 or not 0 <= random_share <= 1:
        raise UsageError(
            f"`count={count}`, `random_share={random_share}`: expected 1 or more, and 0–1.", code=Code.INVALID_VALUE
        )
    path = as_path(predictions)
    table = Predictions.read(path)
    _, sources = open_fields(as_path(fields), table.ids)
    source_of = {source.id: source for source in sources if source.refs and not source.loose}
    rows = [row for row, name in enumerate(table.ids) if name in source_of]
    if not rows:
        raise LociscopeError(f"None of the fields of '{path}' has images in '{fields}'.", code=Code.NOTHING_FOUND)
    table = table.take(rows)
    other = None if second is None else _align(Predictions.read(as_path(second)), table.ids, as_path(second))
    selected = select_fields(table, count, second=other, random_share=random_share, seed=seed)
    bundle = str(read_origin(path).get("bundle") or NO_BUNDLE)
    batch = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    items = [
        Item(0, table.ids[row], source_of[table.ids[row]], bundle, table.predicted[row], table.probability[row], reason,
             len(table), batch)
        for row, reason in selected
    ]  # fmt: skip
    with open_review(review, create=True) as store:
        added = store.add(items)
    reasons = {reason: sum(each == reason for _, each in selected) for reason in Reason}
    return Queued(added, len(items) - added, {reason: number for reason, number in reasons.items() if number})


def summarize_review(review: str) -> ReviewStatus:
    """Count fields, answers and agreement of a review.

    Raises:
        LociscopeError: It cannot be read.
    """
    with open_review(review) as store:
        items, answers = store.items(), store.answers()
    found = find_consensus(answers)
    names = sorted({answer.reviewer for answer in answers})
    agreed = sum(each.labels is not None for each in found)
    without = sum(not each.reviewers for each in found)
    return ReviewStatus(
        len(items),
        len(found),
        agreed,
        len(found) - agreed - without,
        without,
        {name: sum(answer.reviewer == name for answer in answers) for name in names},
        measure_agreement(answers),
    )


def export_labels(review: str, output: AnyPath) -> int:
    """Write the fields whose labels reviewers agree on as a Catalog, with who labelled them and when.

    Args:
        review: The review.
        output: The Catalog, `.parquet`.

    Returns:
        The number of fields.

    Raises:
        LociscopeError: The review cannot be read, or has no field with agreed labels; or the file cannot be written.
    """
    path = as_path(output)
    with open_review(review) as store:
        items, found = store.items(), find_consensus(store.answers())
    # The latest consensus about a field counts, where it was reviewed for several bundles.
    item_of = {item.number: item for item in items}
    latest: dict[str, Consensus] = {}
    for each in sorted(found, key=lambda each: each.time):
        if each.labels is not None:
            latest[item_of[each.item].id] = each
    if not latest:
        raise LociscopeError(
            f"Review '{review}' has no field with agreed labels. `lociscope review status` counts the answers.",
            code=Code.NOTHING_FOUND,
        )
    chosen = sorted(latest.values(), key=lambda each: each.item)
    entries = [_to_entry(item_of[each.item], each) for each in chosen]
    folder = path.absolute().parent
    catalog = Catalog.from_entries(entries, folder)
    Catalog(_add_origin(catalog.table, chosen), folder).write(path)
    return len(chosen)


def delete_reviewed(review: str, *, matching: str | None = None, reviewer: str | None = None) -> int:
    """Delete fields of a review with their answers, or all answers of a reviewer.

    Args:
        review: The review.
        matching: Delete the fields in whose id this regular expression is found.
        reviewer: Delete the answers of this reviewer.

    Returns:
        The number of fields, or of answers.

    Raises:
        UsageError: Not exactly one of the two is passed, or the expression is not one.
        LociscopeError: The review cannot be read or written.
    """
    if (matching is None) == (reviewer is None):
        raise UsageError("Pass either `matching` or `reviewer`.", code=Code.INVALID_VALUE)
    pattern = compile_group(matching, "matching")
    with open_review(review) as store:
        return store.delete_reviewer(reviewer or "") if pattern is None else store.delete_fields(pattern)


def _align(second: Predictions, ids: Sequence[str], path: Path) -> np.ndarray:
    """Return the probabilities of a second model for the same fields; NaN where it has none."""
    row_of = {name: row for row, name in enumerate(second.ids)}
    if not row_of.keys() & set(ids):
        raise LociscopeError(
            f"'{path}' has none of the {len(ids)} fields. Predict the same fields with the second bundle.",
            code=Code.NOTHING_FOUND,
        )
    unknown = np.full(N_LABELS, np.nan, np.float32)
    return np.array([second.probability[row_of[name]] if name in row_of else unknown for name in ids])


def _to_entry(item: Item, consensus: Consensus) -> Entry:
    source = item.source
    red, green, blue, yellow = (None if ref is None else str(ref) for ref in source.planes)
    entry = Entry(
        item.id, consensus.labels, red, green, blue, yellow, source.plane, pixel_size=source.pixel_size, source="review"
    )
    about = dict(source.about)
    return replace(entry, plate=about.get("plate"), well=about.get("well"), site=about.get("site"))


def _add_origin(table: pa.Table, consensus: Sequence[Consensus]) -> pa.Table:
    """Return the table with who labelled each field, when, and with which notes."""
    import pyarrow as pa

    columns = {
        "reviewers": [", ".join(each.reviewers) for each in consensus],
        "reviewed": [each.time for each in consensus],
        "notes": [" / ".join(each.notes) for each in consensus],
        "saw_model": [each.saw_model for each in consensus],
    }
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return table
