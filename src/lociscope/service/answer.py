"""The answer to one field: what was found, how sure it is, and by which model."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lociscope.artifacts.bundle import Bundle
from lociscope.artifacts.predictions import Predictions
from lociscope.images.discovery.sources import FieldSource
from lociscope.images.io.read import read_field
from lociscope.labels import LABELS, N_LABELS
from lociscope.predict.predictor import Predictor, PreparedField
from lociscope.service.describe import describe_prediction
from lociscope.service.picture import Picture, make_picture
from lociscope.warnings import describe_warning


class BundleInfo(BaseModel):
    """The model that answered."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    sha256: str = Field(description="Identity of the bundle: the hash of its MANIFEST.")
    limits: str = Field(description="What the model is not, and how it was measured.")
    calibrated: bool = Field(description="Whether its card holds a calibration: 0.9 is right nine times in ten.")

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Self:
        """What a bundle's card says of it."""
        card = bundle.card
        calibrated = card.decide.calibration is not None
        return cls(
            name=card.name, version=card.version, sha256=bundle.sha256, limits=card.limits, calibrated=calibrated
        )


class Answer(BaseModel):
    """Where the protein of one field is."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="The field, as its files are named.")
    predicted: list[int] = Field(description="Class numbers whose probability reaches their threshold; may be empty.")
    names: list[str] = Field(description="Their names.")
    status: str = Field(description="ok, unsure (no place reaches its threshold), negative, or unlike-training.")
    sentence: str = Field(description="The same in words, most probable location first.")
    warnings: list[str] = Field(description="What was noticed about the field, as in a table of Predictions.")
    notes: list[str] = Field(description="The warnings in words.")
    probabilities: list[float] = Field(description="Of the 28 places, by class number.", min_length=N_LABELS)
    thresholds: list[float] = Field(description="Of the 28 places, by class number.", min_length=N_LABELS)
    bundle: BundleInfo = Field(description="The model that answered: name, version, sha256, limits, calibrated.")


class Bar(NamedTuple):
    """One place: its probability and threshold, in 0-1, and whether it was decided on."""

    name: str
    probability: float
    threshold: float
    reached: bool


class FieldResult(NamedTuple):
    """What one field gave: the answer, what the log keeps, and a picture where one was asked for."""

    answer: Answer
    bundle: str
    predictions: Predictions
    prepared: PreparedField
    picture: Picture | None


def predict_field(source: FieldSource, predictor: Predictor, *, draw: bool, embeddings: bool = False) -> FieldResult:
    """Reads and predicts a field.

    Args:
        source: Where it lies.
        predictor: The opened bundle.
        draw: Whether a picture is wanted.
        embeddings: Whether the predictions are to hold the embedding, where the model gives one.

    Raises:
        LociscopeError: It cannot be read, or its pixel size cannot be.
    """
    field = read_field(source)
    prepared = predictor.prepare(field)
    predictions = predictor.run([prepared], embeddings=embeddings and "embedding" in predictor.engine.outputs)
    answer = _answer(predictions, predictor.bundle)
    return FieldResult(answer, predictor.bundle.sha256, predictions, prepared, make_picture(field) if draw else None)


def make_bars(answer: Answer) -> list[Bar]:
    """All 28 places: those decided on first, then by probability."""
    bars = [
        Bar(name, probability, threshold, number in answer.predicted)
        for number, (name, probability, threshold) in enumerate(
            zip(LABELS, answer.probabilities, answer.thresholds, strict=True)
        )
    ]
    return sorted(bars, key=lambda bar: (not bar.reached, -bar.probability))


def _answer(predictions: Predictions, bundle: Bundle) -> Answer:
    probability = predictions.probability[0]
    thresholds = np.asarray(bundle.card.decide.thresholds)
    predicted, status, warnings = predictions.predicted[0], predictions.status[0], predictions.warnings[0]
    return Answer(
        id=predictions.ids[0],
        predicted=list(predicted),
        names=[LABELS[number] for number in predicted],
        status=status,
        sentence=describe_prediction(predicted, status, probability, thresholds),
        warnings=[str(warning) for warning in warnings],
        notes=[describe_warning(warning) for warning in warnings],
        probabilities=[round(float(value), 6) for value in probability],
        thresholds=[round(float(value), 6) for value in thresholds],
        bundle=BundleInfo.from_bundle(bundle),
    )
