"""Identify the members of an ensemble, so that swapped members are detected."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lociscope.artifacts.card import hash_training
from lociscope.artifacts.folds import find_runs
from lociscope.artifacts.origin import read_origin
from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lociscope.artifacts.predictions import Predictions

DIFFERENT, UNKNOWN, SAME_NETWORK, SAME = range(-1, 3)
"""How well two members match, from worst to best."""


class Member(BaseModel):
    """The identity of the network that made Predictions, as far as it is recorded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: str | None = Field(None, description="sha256 of the bundle.")
    views: int | None = Field(None, description="Views of test-time augmentation, 1 or 8, where known.")
    trainings: tuple[str, ...] = Field((), description="Hash of each training that made it, one per fold.")
    contents: str | None = Field(None, description="sha256 of ids and probabilities.")

    @classmethod
    def from_predictions(cls, path: Path, predictions: Predictions) -> Self:
        """Collect the identity from Predictions, the record beside them and the Run around them.

        Args:
            path: The file of Predictions.
            predictions: Its contents.
        """
        record = read_origin(path)
        trainings = record.get("trainings") or _read_training_hashes(path)
        try:
            return cls(
                bundle=record.get("bundle"),
                views=record.get("views"),
                trainings=tuple(trainings),
                contents=_hash_contents(predictions),
            )
        except ValueError:  # an edited record is ignored
            return cls(contents=_hash_contents(predictions))

    @property
    def name(self) -> str:
        """The name of the network in error messages."""
        return f"bundle {self.bundle[:12]}…" if self.bundle else "another training"

    def match(self, other: Member) -> int:
        """Return how well another member matches: `SAME`, `SAME_NETWORK` (other views), `UNKNOWN` or `DIFFERENT`."""
        if self.contents and self.contents == other.contents:
            return SAME
        if self.trainings and other.trainings:
            same_network = bool({*self.trainings} & {*other.trainings})
        elif self.bundle and other.bundle:
            same_network = self.bundle == other.bundle
        else:
            return UNKNOWN
        if not same_network:
            return DIFFERENT
        return SAME if self.views is not None and self.views == other.views else SAME_NETWORK


def check_members(
    folder: Path, fitted: Sequence[Member], given: Sequence[Member], paths: Sequence[Path], folds: int = 1
) -> list[Path]:
    """Compare the Predictions that an ensemble is applied to with those that it was fitted on.

    Args:
        folder: The fitted ensemble.
        fitted: Its members.
        given: The identities of the Predictions, those of the folds of each member one after the other.
        paths: Their files.
        folds: Number of Predictions of each member.

    Returns:
        The files whose records do not say whether they are the member at their position.

    Raises:
        LociscopeError: The number of members differs, or a position has another network.
    """
    if len(paths) != len(fitted) * folds:
        each = f" of {folds} folds" if folds > 1 else ""
        raise LociscopeError(
            f"'{folder}' was fitted on {len(fitted)} members{each}; received {len(paths)}. "
            "Pass the Predictions of the same networks in the same order.",
            code=Code.INVALID_VALUE,
        )
    unknown = []
    for number, (path, found) in enumerate(zip(paths, given, strict=True)):
        position = number // folds
        matches = [member.match(found) for member in fitted]
        mine, best = matches[position], max(matches)
        if best > max(mine, UNKNOWN):
            raise LociscopeError(
                f"'{path}' was passed as member {position + 1} but is member {matches.index(best) + 1} of '{folder}'. "
                "Pass the Predictions of the same networks in the same order.",
                code=Code.INVALID_VALUE,
            )
        if mine == DIFFERENT:
            raise LociscopeError(
                f"Member {position + 1}, '{path}', was predicted by {found.name}, but '{folder}' was fitted on "
                f"{fitted[position].name} at that position. Pass the Predictions of the same networks in the same "
                "order.",
                code=Code.INVALID_VALUE,
            )
        if mine == UNKNOWN:
            unknown.append(path)
    return unknown


def _read_training_hashes(path: Path) -> list[str]:
    """Return the hashes of the trainings of the Runs that made Predictions; empty where no record exists."""
    try:
        hashes = [hash_training(each.read_environment().model_dump()) for each in find_runs(path)]
    except LociscopeError:
        return []
    return [each for each in hashes if each]


def _hash_contents(predictions: Predictions) -> str:
    """Return a sha256 of ids and probabilities in any order of rows, to six decimals, which CSV and Parquet share."""
    order = sorted(range(len(predictions)), key=predictions.ids.__getitem__)
    digest = hashlib.sha256("\n".join(predictions.ids[row] for row in order).encode())
    digest.update(_round(predictions.probability[order]).tobytes())
    return digest.hexdigest()


def _round(probability: np.ndarray) -> np.ndarray:
    """Return probabilities in millionths; −1 for a class that the model does not know."""
    millionths = np.rint(probability.astype(np.float64) * 1e6)
    return np.where(np.isnan(millionths), -1, millionths).astype("<i4")
