"""The card of a Bundle: its model, the input that the model expects, its decisions, scores and limitations."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from lociscope.artifacts.provenance import parse_provenance
from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError
from lociscope.labels import LABELS, N_LABELS
from lociscope.storage.schema import CORRUPT_FILE_ERRORS, check_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = 5
"""Of cards, self-tests and references. Version 2 names the preprocessing and has no floor; version 3 records where the
fields came from as a `Provenance`, in place of a sentence; version 4 may describe an out-of-distribution detector;
version 5 may describe a model of some of the classes, another normalisation, features or an ensemble."""

PREPROCESSING = 3
"""Version of `lociscope.images.preprocess`, which cards, Runs and caches record. Version 1 scaled all channels by one
full scale, guessed from the brightest pixel of the field; version 2 replaced fewer hot pixels."""

Share = Annotated[float, Meta(ge=0, le=1)]
Kind = Literal["network", "features", "ensemble"]
Normalisation = Literal["percentiles", "standardise"]


class InputSpec(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The input that the network expects; `lociscope.images.preprocess` makes it of a field.

    Attributes:
        height: Rows of the input, px.
        width: Columns of the input, px.
        field_um: Side of the part of the specimen that the input spans, µm.
        low: Percentile of a channel that becomes 0.
        high: Percentile of a channel that becomes 1.
        normalisation: `percentiles`: each channel of the field is scaled to 0–1 by its percentiles. `standardise`: the
            network receives the raw pixels and standardises each channel of each tile, to mean 0 and variance 1;
            `low` and `high` then serve the warnings and statistics alone.
        preprocessing: Version of the preprocessing that the network was trained with.
    """

    height: Annotated[int, Meta(ge=8, le=4096)]
    width: Annotated[int, Meta(ge=8, le=4096)]
    field_um: Annotated[float, Meta(gt=0, le=1e6)] = 164.0
    low: Annotated[float, Meta(ge=0, le=50)]
    high: Annotated[float, Meta(ge=50, le=100)]
    normalisation: Normalisation = "percentiles"
    preprocessing: Annotated[int, Meta(ge=1)] = PREPROCESSING

    @property
    def pixel_size(self) -> float:
        """Side of an input pixel in µm."""
        return self.field_um / self.width


Numbers = Annotated[tuple[float, ...], Meta(min_length=N_LABELS, max_length=N_LABELS)]


class StoredCalibration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A fitted calibration, which is applied to the probabilities of a field before they are compared to thresholds.

    Attributes:
        method: Its name in `lociscope.decide.calibration`.
        coefficients: (3, 28): a, b and c of log odds = a · ln p − b · ln(1 − p) + c.
        fields: Number of fields that it was fitted on.
        what: Which fields they are.
    """

    method: str
    coefficients: tuple[Numbers, Numbers, Numbers]
    fields: Annotated[int, Meta(ge=1)]
    what: str


class Decision(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How probabilities become locations; the threshold of a class that the model does not know is 1."""

    policy: str
    thresholds: Annotated[tuple[Share, ...], Meta(min_length=N_LABELS, max_length=N_LABELS)]
    calibration: StoredCalibration | None = None
    prior: tuple[float, ...] | None = None


class Score(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A score with its interval; `what` names the fields and the method of the interval."""

    value: float
    low: float
    high: float
    n: int
    what: str


class OutOfDistribution(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The detector of `detector.npz`, which gives the status `unlike-training`.

    Attributes:
        false_alarms: Stated share of known fields that may be marked; the threshold was chosen for it.
        threshold: The score above which a field is marked.
        fields: Number of the fields that set the threshold.
        what: Which fields they are.
        detected: Share of the generated pictures that are marked, when the detector was fitted without them.
    """

    false_alarms: Share
    threshold: float
    fields: Annotated[int, Meta(ge=1)]
    what: str
    detected: Share


class Card(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`card.json`: the model, its input, its decisions, its scores and its limitations.

    A msgspec Struct, not a pydantic model as elsewhere: every `lociscope predict` reads it, and importing pydantic
    takes more than half as long as importing numpy and ONNX Runtime together (`benchmarks/startup.py`).

    Attributes:
        kind: `network`: an ONNX model; `features`: heads over compartment features; `ensemble`: other bundles and the
            weights that combine them.
        classes: Class numbers of the outputs of the model, ascending; it does not know the others.
    """

    schema_: int = field(name="schema", default=SCHEMA)
    kind: Kind = "network"
    name: str
    version: str
    created: str
    licence: str
    labels: tuple[str, ...] = LABELS
    classes: tuple[int, ...] = tuple(range(N_LABELS))
    channels: tuple[str, ...] = CHANNEL_NAMES
    input: InputSpec
    decide: Decision
    metrics: dict[str, Score] = {}
    reference: dict[str, Any] | None = None
    out_of_distribution: OutOfDistribution | None = None
    provenance: dict[str, Any] = {}
    limits: str

    def __post_init__(self) -> None:
        if self.labels != LABELS or self.channels != CHANNEL_NAMES:
            raise ValueError("labels or channels are not lociscope's 28 labels and four channels, in their order")
        if not self.classes or list(self.classes) != sorted({*self.classes} & {*range(N_LABELS)}):
            raise ValueError(f"classes {self.classes} are not ascending class numbers, 0–{N_LABELS - 1}")


def encode_card(card: Card) -> bytes:
    """Return the bytes of a card.

    Raises:
        LociscopeError: A value is not allowed in a card.
    """
    data = msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n"
    read_card(data, f"Card '{card.name}'")
    return data


def read_card(data: bytes, what: str) -> Card:
    """Parse a card.

    Args:
        data: The contents of `card.json`.
        what: The file, as the error message calls it.

    Raises:
        LociscopeError: The bytes are not a card, or are of a newer schema or another preprocessing.
    """
    try:
        values = json.loads(data)
        if not isinstance(values, dict):
            raise TypeError(f"a JSON {type(values).__name__} where an object should be")
        check_schema(values.get("schema"), SCHEMA, what)
        _check_preprocessing(values, what)
        card = msgspec.json.decode(data, type=Card)
        return card if card.schema_ == SCHEMA else _migrate(card)
    except CORRUPT_FILE_ERRORS as error:  # msgspec's errors are ValueErrors
        raise LociscopeError(f"{what} is damaged ({error}). Make it again.", code=Code.CORRUPT) from error


def _check_preprocessing(values: dict[str, Any], what: str) -> None:
    """Refuse a network that expects other inputs than this version makes: it would predict silently wrong."""
    version = values["input"].get("preprocessing", PREPROCESSING) if values["schema"] > 1 else 1
    if version != PREPROCESSING:
        raise LociscopeError(
            f"{what} is of a network trained with preprocessing {version}; this lociscope does preprocessing "
            f"{PREPROCESSING}. Train it again and export the new Run, or install the lociscope that exported it.",
            code=Code.UNSUPPORTED_VERSION,
        )


def _migrate(card: Card) -> Card:
    """Convert a card of schema 2, 3 or 4."""
    for training in (card.provenance, *card.provenance.get("folds", ())):
        if card.schema_ == 2 and "data" in training:
            training["data"] = asdict(parse_provenance(training["data"]))
    return msgspec.structs.replace(card, schema_=SCHEMA)


def describe_detector(card: Card) -> str:
    """Return what the card says about out-of-distribution detection, as a sentence."""
    found = card.out_of_distribution
    if found is None:
        return "no detector: the status unlike-training is never given"
    return (
        f"at most {found.false_alarms:.3g} of known fields are marked unlike-training, by {found.fields} fields "
        f"({found.what}); {found.detected:.3f} of generated pictures of other things are"
    )


def hash_training(provenance: Mapping[str, Any]) -> str | None:
    """Return a hash that identifies one training; None where the provenance lacks the data hash.

    It covers the time in seconds, the data, the seed and the number of parameters. A card's provenance and a Run's
    `environment.json` give the same hash.
    """
    values = [str(provenance.get(key)) for key in ("created", "data_hash", "seed", "parameters")]
    return None if provenance.get("data_hash") is None else hashlib.sha256("\n".join(values).encode()).hexdigest()


def hash_trainings(provenance: Mapping[str, Any]) -> list[str]:
    """Return the hashes of the trainings behind a bundle: of one network, or of each fold."""
    hashes = [hash_training(each) for each in provenance.get("folds") or [provenance]]
    return [each for each in hashes if each]
