"""Accuracy over time: estimated from the probabilities of a log, and measured with the labels of a review."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lociscope.artifacts.bundle import read_bundle
from lociscope.labels import to_multi_hot
from lociscope.monitor.accuracy import Accuracy, estimate_accuracy, measure_accuracy
from lociscope.prediction_log.log import open_log
from lociscope.review.consensus import find_consensus
from lociscope.review.store import open_review
from lociscope.review.weights import weigh_items
from lociscope.storage.paths import as_path
from lociscope.workflows.monitor_report import LogSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lociscope.monitor.samples import Sample
    from lociscope.storage.paths import AnyPath
    from lociscope.workflows.monitor import Time


class WindowAccuracy(NamedTuple):
    """One window: its name, the estimate, and the measurement; None without a review or a reviewed field."""

    name: str
    estimated: Accuracy
    measured: Accuracy | None

    def to_json(self) -> dict[str, Any]:
        """Return the window for JSON."""
        measured = None if self.measured is None else self.measured.to_json()
        return {"window": self.name, "estimated": self.estimated.to_json(), "measured": measured}


class Reviewed(NamedTuple):
    """A reviewed field: its agreed labels, and how many fields it stands for."""

    labels: tuple[int, ...]
    weight: float


def accuracy_over_time(
    log: str,
    *,
    review: str | None = None,
    every: str | int | None = None,
    since: Time = None,
    until: Time = None,
    bundle: AnyPath | None = None,
) -> list[WindowAccuracy]:
    """Estimate and measure the accuracy of the windows of a log.

    Args:
        log: The log: a path (SQLite), or an SQLAlchemy URL.
        review: The review, whose agreed labels measure the accuracy of the fields that are in the log.
        every: How long a window is (`6h`, `1d`, `2w`), or of how many fields; by default chosen by the log's span.
        since: Use rows from then on.
        until: Use rows before then.
        bundle: The bundle that predicted; by default that of the last row.

    Raises:
        UsageError: `every` is not understood.
        LociscopeError: The log or the review cannot be read.
    """
    path = as_path(bundle)
    with open_log(log, create=False) as opened:
        source = LogSource.find(opened, since, until, None if path is None else read_bundle(path).sha256)
        labels = {} if review is None else read_reviewed(review, source.bundle)
        slices, _, _ = source.split(every)
        return [WindowAccuracy(name, *_score(sample, labels)) for name, sample in slices]


def read_reviewed(review: str, bundle: str) -> dict[str, Reviewed]:
    """Return the reviewed fields of a bundle that can measure its accuracy, by id.

    Raises:
        LociscopeError: The review cannot be read.
    """
    with open_review(review) as store:
        items = [item for item in store.items() if item.bundle == bundle]
        agreed = {each.item: each.labels for each in find_consensus(store.answers()) if each.labels is not None}
    weights = weigh_items(items, agreed)
    return {item.id: Reviewed(agreed[item.number], weights[item.number]) for item in items if item.number in weights}


def _score(sample: Sample, labels: Mapping[str, Reviewed]) -> tuple[Accuracy, Accuracy | None]:
    sample = sample.deduplicate()
    if sample.probability is None:
        raise AssertionError("a log has probabilities")
    estimated = estimate_accuracy(sample.probability, sample.locations)
    rows = [row for row, name in enumerate(sample.ids) if name in labels]
    if not rows:
        return estimated, None
    found = [labels[sample.ids[row]] for row in rows]
    return estimated, measure_accuracy(
        to_multi_hot([each.labels for each in found]).astype(bool),
        sample.probability[rows],
        sample.locations[rows],
        np.array([each.weight for each in found]),
    )
