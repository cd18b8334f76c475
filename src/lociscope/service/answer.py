"""The answer to one field: its locations, their probabilities, and the model that predicted them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lociscope.artifacts.bundle import Bundle
from lociscope.artifacts.predictions import Predictions
from lociscope.images.discovery.sources import FieldSource
from lociscope.images.field import Field as ImageField
from lociscope.images.io.read import read_field
from lociscope.labels import COMPARTMENTS, LABELS, N_LABELS, to_nullable
from lociscope.predict.predictor import Predictor, PreparedField
from lociscope.service.describe import describe_prediction, grade_probability
from lociscope.service.dictionary import DICTIONARY
from lociscope.service.picture import Picture, make_picture
from lociscope.service.views import has_cells
from lociscope.warnings import describe_warning


class BundleInfo(BaseModel):
    """The model that predicted a field."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    sha256: str = Field(description="Identity of the bundle: the hash of its MANIFEST.")
    limits: str = Field(description="The limitations of the model, and how it was measured.")
    calibrated: bool = Field(description="Whether the card has a calibration, so that 0.9 is right nine times in ten.")

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Self:
        """Return what the card of a bundle says."""
        card = bundle.card
        calibrated = card.decide.calibration is not None or card.kind == "ensemble"
        return cls(
            name=card.name, version=card.version, sha256=bundle.sha256, limits=card.limits, calibrated=calibrated
        )


class ModelFacts(BaseModel):
    """What an answer says of the model that made it, also after another has replaced it."""

    model_config = ConfigDict(frozen=True)

    bundle: BundleInfo
    thresholds: list[float] = Field(min_length=N_LABELS)

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Self:
        """Return the facts of a bundle."""
        return cls(bundle=BundleInfo.from_bundle(bundle), thresholds=list(bundle.card.decide.thresholds))


class Answer(BaseModel):
    """The locations of the protein in one field."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="The id of the field, from its file names.")
    predicted: list[int] = Field(description="Class numbers whose probability reaches their threshold; may be empty.")
    names: list[str] = Field(description="The names of these classes.")
    status: str = Field(description="ok, unsure (no location reaches its threshold), negative, or unlike-training.")
    sentence: str = Field(description="The prediction as a sentence, most probable location first.")
    warnings: list[str] = Field(description="Warnings about the field, as in a table of Predictions.")
    notes: list[str] = Field(description="The warnings as sentences.")
    probabilities: list[float | None] = Field(
        description="One per class, by class number; null for a class that the model does not know.",
        min_length=N_LABELS,
    )
    thresholds: list[float] = Field(description="One per class, by class number.", min_length=N_LABELS)
    bundle: BundleInfo = Field(description="The model: name, version, sha256, limits, calibrated.")


class Bar(NamedTuple):
    """One location: its probability and threshold in 0–1, whether it is predicted, its number and HPA's page."""

    name: str
    probability: float
    threshold: float
    is_predicted: bool
    number: int = 0
    link: str = ""


class BarGroup(NamedTuple):
    """The locations of one compartment."""

    compartment: str
    bars: list[Bar]


class FieldResult(NamedTuple):
    """The result for one field: the answer, what the log records, and a picture if one was requested."""

    answer: Answer
    predictions: Predictions
    prepared: PreparedField
    picture: Picture | None


def predict_field(
    source: FieldSource,
    predictor: Predictor,
    *,
    with_picture: bool,
    embeddings: bool = False,
    offer: Callable[[ImageField, Predictions, str], None] | None = None,
) -> FieldResult:
    """Read and predict a field.

    Args:
        source: The files of the field.
        predictor: The open bundle.
        with_picture: Whether to return a picture.
        embeddings: Whether to return the embedding, if the model has one.
        offer: Called with the field, its predictions and the sha256 of the bundle, to compare with a candidate.

    Raises:
        LociscopeError: The field cannot be read, or its pixel size is impossible.
    """
    field = read_field(source)
    prepared = predictor.prepare(field)
    predictions = predictor.run([prepared], embeddings=embeddings and "embedding" in predictor.engine.outputs)
    answer = make_answer(predictions, ModelFacts.from_bundle(predictor.bundle))
    if offer is not None:
        offer(field, predictions, predictor.bundle.sha256)
    return FieldResult(answer, predictions, prepared, make_picture(field) if with_picture else None)


def make_bars(answer: Answer) -> list[Bar]:
    """Return the locations that the model knows: the predicted ones first, then by probability."""
    bars = [
        Bar(name, probability, threshold, number in answer.predicted, number, DICTIONARY[number])
        for number, (name, probability, threshold) in enumerate(
            zip(LABELS, answer.probabilities, answer.thresholds, strict=True)
        )
        if probability is not None
    ]
    return sorted(bars, key=lambda bar: (not bar.is_predicted, -bar.probability))


def group_bars(bars: Sequence[Bar]) -> list[BarGroup]:
    """Return locations by compartment; the compartment of the first bar first, and its bars in their order."""
    groups: dict[str, list[Bar]] = {}
    for bar in bars:
        compartment = COMPARTMENTS.mapping[bar.number]
        groups.setdefault("Elsewhere" if compartment is None else COMPARTMENTS.classes[compartment], []).append(bar)
    return [BarGroup(name, some) for name, some in groups.items()]


def describe_answer(answer: Answer) -> dict[str, Any]:
    """Return the values of the template `answer.html`."""
    bars = make_bars(answer)
    return {
        "answer": answer,
        "bars": bars,
        "groups": group_bars([bar for bar in bars if not bar.is_predicted]),
        "grade": grade_probability,
        "cells_possible": has_cells(),
    }


def make_answer(predictions: Predictions, model: ModelFacts) -> Answer:
    """Return the answer for the first of some Predictions.

    Args:
        predictions: At least one field.
        model: What is known of the bundle that predicted it.
    """
    probability = predictions.probability[0]
    thresholds = np.asarray(model.thresholds)
    predicted, status, warnings = predictions.predicted[0], predictions.status[0], predictions.warnings[0]
    return Answer(
        id=predictions.ids[0],
        predicted=list(predicted),
        names=[LABELS[number] for number in predicted],
        status=status,
        sentence=describe_prediction(predicted, status, probability, thresholds),
        warnings=[str(warning) for warning in warnings],
        notes=[describe_warning(warning) for warning in warnings],
        probabilities=to_nullable(probability, 6),
        thresholds=[round(float(value), 6) for value in thresholds],
        bundle=model.bundle,
    )
