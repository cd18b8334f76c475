"""What a review has: fields with the model's prediction, and answers."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from lociscope.images.discovery.field_source import FieldSource


class Reason(StrEnum):
    """Why a field is in the queue."""

    RANDOM = "random"
    """Sampled at random from all fields: these measure the accuracy."""
    UNCERTAIN = "uncertain"
    """The probabilities are near their thresholds."""
    DISAGREEMENT = "disagreement"
    """A second model says something else."""
    NOVEL = "novel"
    """Far from all other fields, or unlike the training."""
    RARE = "rare"
    """May show a location that few fields have."""
    CORRECTED = "corrected"
    """Someone who saw the prediction wants to correct it."""


class Verdict(StrEnum):
    """What a reviewer answered."""

    LABELLED = "labelled"
    """The labels, which may be none."""
    CANNOT_TELL = "cannot-tell"


class Item(NamedTuple):
    """A field to review.

    Attributes:
        number: Its number in the review, from 1; 0 before it is added.
        id: The field.
        source: Its files.
        bundle: sha256 of the bundle that predicted it.
        predicted: The predicted class numbers.
        probability: (28,) float32.
        reason: Why it is in the queue.
        frame: Number of fields of which the queue was selected.
        batch: Names the call that selected it.
        added: When, ISO 8601 in UTC.
    """

    number: int
    id: str
    source: FieldSource
    bundle: str
    predicted: tuple[int, ...]
    probability: np.ndarray
    reason: Reason
    frame: int
    batch: str
    added: str = ""


class Answer(NamedTuple):
    """One answer of one reviewer about one field.

    Attributes:
        item: Number of the field.
        reviewer: Who.
        verdict: Whether there are labels.
        labels: Class numbers; none for a field without a location, or that the reviewer cannot tell.
        note: Free text.
        saw_model: Whether the reviewer had seen the model's answer before.
        time: When, ISO 8601 in UTC.
    """

    item: int
    reviewer: str
    verdict: Verdict
    labels: tuple[int, ...]
    note: str = ""
    saw_model: bool = False
    time: str = ""
