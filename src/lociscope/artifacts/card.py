"""The card of a Bundle: what its model is, what it wants to see, and how it decides."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from lociscope.artifacts.provenance import parse_provenance
from lociscope.channels import CHANNEL_NAMES
from lociscope.errors import Code, LociscopeError
from lociscope.labels import LABELS, N_LABELS
from lociscope.storage.schema import CORRUPT_FILE_ERRORS, check_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = 3
"""Of cards, self-tests and references. Version 2 names the preprocessing and has no floor; version 3 records where the
fields came from as a `Provenance`, in place of a sentence."""

PREPROCESSING = 2
"""Version of `lociscope.images.preprocess`; cards, Runs and caches name theirs. Version 1 scaled all channels by one
full scale, which it judged from the field's brightest pixel."""

Share = Annotated[float, Meta(ge=0, le=1)]


class InputSpec(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the network wants to see of a field; `lociscope.images.preprocess` makes it.

    Attributes:
        height: Rows of the input, px.
        width: Columns of the input, px.
        field_um: Side of the part of the specimen that the input spans, µm.
        low: Percentile of a channel that becomes 0.
        high: Percentile of a channel that becomes 1.
        preprocessing: Version of the preprocessing that the network was trained with.
    """

    height: Annotated[int, Meta(ge=8, le=4096)]
    width: Annotated[int, Meta(ge=8, le=4096)]
    field_um: Annotated[float, Meta(gt=0, le=1e6)] = 164.0
    low: Annotated[float, Meta(ge=0, le=50)]
    high: Annotated[float, Meta(ge=50, le=100)]
    preprocessing: Annotated[int, Meta(ge=1)] = PREPROCESSING

    @property
    def pixel_size(self) -> float:
        """Side of an input pixel in µm."""
        return self.field_um / self.width


class Decision(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How probabilities become places."""

    policy: str
    thresholds: Annotated[tuple[Share, ...], Meta(min_length=N_LABELS, max_length=N_LABELS)]
    calibration: dict[str, Any] | None = None
    prior: tuple[float, ...] | None = None


class Score(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A figure with its interval; `what` says on which fields, and how the interval was made."""

    value: float
    low: float
    high: float
    n: int
    what: str


class Card(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`card.json`: what the model is, what it needs, how it decides, and what it is not.

    A msgspec Struct, not a pydantic model as elsewhere: every `lociscope predict` reads it, and importing pydantic
    takes more than half as long as importing numpy and ONNX Runtime together (`benchmarks/startup.py`).
    """

    schema_: int = field(name="schema", default=SCHEMA)
    name: str
    version: str
    created: str
    licence: str
    labels: tuple[str, ...] = LABELS
    channels: tuple[str, ...] = CHANNEL_NAMES
    input: InputSpec
    decide: Decision
    metrics: dict[str, Score] = {}
    reference: dict[str, Any] | None = None
    provenance: dict[str, Any] = {}
    limits: str

    def __post_init__(self) -> None:
        if self.labels != LABELS or self.channels != CHANNEL_NAMES:
            raise ValueError("labels or channels are not lociscope's 28 labels and four channels, in their order")


def encode_card(card: Card) -> bytes:
    """A card as it is written; raises LociscopeError where it holds what no card may hold."""
    data = msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n"
    read_card(data, f"Card '{card.name}'")
    return data


def read_card(data: bytes, what: str) -> Card:
    """A card of its bytes; raises LociscopeError, which names `what`, where they are no card of this schema."""
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
    """Refuse a network that expects other inputs than this version makes: its answers would be silently wrong."""
    version = values["input"].get("preprocessing", PREPROCESSING) if values["schema"] > 1 else 1
    if version != PREPROCESSING:
        raise LociscopeError(
            f"{what} is of a network trained with preprocessing {version}; this lociscope does preprocessing "
            f"{PREPROCESSING}. Train it again and export the new Run, or install the lociscope that exported it.",
            code=Code.UNSUPPORTED_VERSION,
        )


def _migrate(card: Card) -> Card:
    """Convert a card of schema 2."""
    for training in (card.provenance, *card.provenance.get("folds", ())):
        if "data" in training:
            training["data"] = asdict(parse_provenance(training["data"]))
    return msgspec.structs.replace(card, schema_=SCHEMA)


def hash_training(provenance: Mapping[str, Any]) -> str | None:
    """Return what identifies one training, in a card's provenance as in a Run's `environment.json`; None where unknown.

    Two trainings share neither their second nor their data, seed and number of parameters.
    """
    values = [str(provenance.get(key)) for key in ("created", "data_hash", "seed", "parameters")]
    return None if provenance.get("data_hash") is None else hashlib.sha256("\n".join(values).encode()).hexdigest()


def hash_trainings(provenance: Mapping[str, Any]) -> list[str]:
    """Return the hashes of the trainings behind a bundle: of one network, or of each fold."""
    hashes = [hash_training(each) for each in provenance.get("folds") or [provenance]]
    return [each for each in hashes if each]
