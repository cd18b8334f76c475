"""The reference atlas: a fixed set of fields, their split, and a hash of their pixels.

Whoever compares two models on simulated fields takes these, so that both saw and missed the same cells.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from lociscope.labels import format_target
from lociscope.simulate.field import FIELDS_PER_SPECIMEN, SimulatedField, simulate_field, simulate_fields
from lociscope.simulate.specimen import sample_specimen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Part(StrEnum):
    """A part of the reference atlas; the two fields of a specimen are always in one part."""

    TRAIN = "train"
    VALID = "valid"
    TEST = "test"
    LINES = "lines"
    """Unseen cell lines: none of the other parts contains them."""


TRAIN_OF_20, VALID_OF_20 = 14, 17
"""Of twenty specimens the first 14 are for training, the next 3 for validation, the last 3 for the test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceAtlas:
    """A fixed atlas: it is retired, not changed, when the simulator's version rises.

    Attributes:
        name: What it is called in papers and reports.
        version: `lociscope.simulate.VERSION` of its pixels.
        seed: Its seed.
        fields: Numbers 0 to `fields` − 1, two to a specimen; labels by their real frequency.
        size: Side of a field in pixels.
        held_out: Cell lines of `Part.LINES`.
        digests: sha256 of the pixels and labels of the parts that tests are made on, see `digest`: simulated with the
            versions of numpy and scipy in `requirements/`, on x86-64 processors with AVX2. Another version or processor
            may round differently (one with AVX-512 does) and gives another digest.
    """

    name: str
    version: int
    seed: int
    fields: int
    size: int
    held_out: tuple[str, ...]
    digests: dict[Part, tuple[str, ...]]

    def part(self, index: int) -> Part:
        """Return the part of the field of one number, which depends on specimen and cell line; nothing is simulated."""
        number = index // FIELDS_PER_SPECIMEN
        line = sample_specimen(np.random.default_rng([self.seed, number, 1]), None, None).line.name
        if line in self.held_out:
            return Part.LINES
        rank = number % 20
        return Part.TRAIN if rank < TRAIN_OF_20 else Part.VALID if rank < VALID_OF_20 else Part.TEST

    def indices(self, part: Part) -> tuple[int, ...]:
        """Return the numbers of the fields of one part, ascending."""
        return tuple(index for index in range(self.fields) if self.part(index) == part)

    def simulate(self, index: int) -> SimulatedField:
        """Simulate the field of one number."""
        return simulate_field(index, seed=self.seed, size=self.size)

    def simulate_part(self, part: Part, workers: int | None = None) -> Iterator[SimulatedField]:
        """Simulate the fields of one part, in order."""
        yield from simulate_fields(self.indices(part), seed=self.seed, size=self.size, workers=workers)


def digest(fields: Iterable[SimulatedField]) -> str:
    """Return the sha256 of fields in order: their ids, labels as in `train.csv`, and pixels (y, x, RGBY)."""
    found = hashlib.sha256()
    for field in fields:
        found.update(f"{field.id},{format_target(field.target)}\n".encode())
        found.update(field.pixels.tobytes())
    return found.hexdigest()


REFERENCE = ReferenceAtlas(
    name="reference-2",
    version=3,
    seed=2018,
    fields=1200,
    size=512,
    held_out=("HeLa", "RT4", "SH-SY5Y"),
    digests={
        Part.TEST: ("ece495fb3b72ef4bbde11f2fc5d862c8b7174e42c6cf6d3b2c4de0215b1b2708",),
        Part.LINES: ("b845f90713c08ba29567399b6600fcc23149a05ecba370986b5b5aab30373d1c",),
    },
)
"""The atlas on which experiments are compared."""
