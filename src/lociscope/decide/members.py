"""The members of an ensemble: by what each is recognised, so that swapped ones are noticed."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lociscope.artifacts.card import hash_training
from lociscope.artifacts.folds import find_runs
from lociscope.artifacts.predictions import Predictions, read_origin
from lociscope.errors import Code, LociscopeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DIFFERENT, UNKNOWN, SAME_NETWORK, SAME = range(-1, 3)
"""How well two members match."""


class Member(BaseModel):
    """What is known of the network that made Predictions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: str | None = Field(None, description="sha256 of the bundle.")
    views: int | None = Field(None, description="Test-time augmentation: 1 or 8, where known.")
    trainings: tuple[str, ...] = Field((), description="Hash of each training that made it, one a fold.")
    contents: str | None = Field(None, description="sha256 of ids and probabilities.")

    @classmethod
    def of(cls, path: Path, predictions: Predictions) -> Self:
        """Collect what Predictions, the record beside them and the Run around them say.

        Args:
            path: The file of Predictions.
            predictions: What it holds.
        """
        said = _recorded(path) | read_origin(path)
        trainings = said.get("trainings") or _trained(path)
        try:
            return cls(
                bundle=said.get("bundle"),
                views=said.get("views"),
                trainings=tuple(trainings),
                contents=_contents_hash(predictions),
            )
        except ValueError:  # a record that somebody changed says nothing
            return cls(contents=_contents_hash(predictions))

    @property
    def name(self) -> str:
        """What errors call it."""
        return f"bundle {self.bundle[:12]}…" if self.bundle else "another training"

    def match(self, other: Member) -> int:
        """Return how well another fits: `SAME`, `SAME_NETWORK` with other views, `UNKNOWN` or `DIFFERENT`."""
        if self.contents and self.contents == other.contents:
            return SAME
        if self.trainings and other.trainings:
            found = bool({*self.trainings} & {*other.trainings})
        elif self.bundle and other.bundle:
            found = self.bundle == other.bundle
        else:
            return UNKNOWN
        if not found:
            return DIFFERENT
        return SAME if self.views is not None and self.views == other.views else SAME_NETWORK


def check_members(
    folder: Path, fitted: Sequence[Member], given: Sequence[Member], paths: Sequence[Path], folds: int = 1
) -> list[Path]:
    """Compare the Predictions that an ensemble is applied to with those that it was fitted on.

    Args:
        folder: The fitted ensemble.
        fitted: Its members.
        given: What is known of the Predictions, those of the folds of each member one after the other.
        paths: Their files.
        folds: How many Predictions each member has.

    Returns:
        The files of which it is not known whether they are the member at their position.

    Raises:
        LociscopeError: There is another number of members, or another network at a position.
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
                f"'{path}' was passed as member {position + 1}, and is member {matches.index(best) + 1} of '{folder}'. "
                "Pass the Predictions of the same networks in the same order.",
                code=Code.INVALID_VALUE,
            )
        if mine == DIFFERENT:
            raise LociscopeError(
                f"Member {position + 1}, '{path}', was predicted by {found.name}, and '{folder}' was fitted on "
                f"{fitted[position].name} there. Pass the Predictions of the same networks in the same order.",
                code=Code.INVALID_VALUE,
            )
        if mine == UNKNOWN:
            unknown.append(path)
    return unknown


def _recorded(path: Path) -> dict[str, Any]:
    """Return what `.run.json` beside Predictions says of their bundle."""
    record = path.with_name(path.stem + ".run.json")
    try:
        values = json.loads(record.read_bytes())
        table = values.get(path.suffix, values)
        return {key: table[key] for key in ("bundle", "views", "trainings") if key in table}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _trained(path: Path) -> list[str]:
    """Return the hashes of the trainings of the Runs that made Predictions; none where no record exists."""
    try:
        hashes = [hash_training(each.read_environment().model_dump()) for each in find_runs(path)]
    except LociscopeError:
        return []
    return [each for each in hashes if each]


def _contents_hash(predictions: Predictions) -> str:
    """Return a sha256 of ids and probabilities to six decimals, which CSV and Parquet share, in any order of rows."""
    order = sorted(range(len(predictions)), key=predictions.ids.__getitem__)
    digest = hashlib.sha256("\n".join(predictions.ids[row] for row in order).encode())
    digest.update(np.rint(predictions.probability[order].astype(np.float64) * 1e6).astype("<i4").tobytes())
    return digest.hexdigest()
