from __future__ import annotations

import numpy as np
import pytest

from lociscope.simulate import REFERENCE, VERSION, Part
from lociscope.simulate.frozen import digest

FIRST_TEST_FIELDS = ("8e2223f5f83741687b6143616370db4e09f07862e155312c4a6af5cf96329f28",)
"""With AVX2; AVX-512 rounds differently."""


def test_the_atlas_is_of_this_simulator() -> None:
    assert REFERENCE.version == VERSION, "name a new reference atlas: the old one cannot be simulated any more"


def test_every_field_is_in_one_part() -> None:
    parts = [REFERENCE.indices(part) for part in Part]
    assert sorted(index for part in parts for index in part) == list(range(REFERENCE.fields))
    assert [len(part) for part in parts] == [784, 162, 172, 82]


def test_a_specimen_lies_in_one_part() -> None:
    assert all(REFERENCE.part(index) == REFERENCE.part(index + 1) for index in range(0, 200, 2))


@pytest.mark.parametrize("part", Part)
def test_held_out_lines_are_unseen_elsewhere(part: Part) -> None:
    field = REFERENCE.simulate(REFERENCE.indices(part)[0])
    assert (field.cell_line in REFERENCE.held_out) == (part is Part.LINES)


def test_the_first_test_fields_are_as_frozen() -> None:
    first = REFERENCE.indices(Part.TEST)[:2]
    assert digest(REFERENCE.simulate(index) for index in first) in FIRST_TEST_FIELDS


def test_the_digest_sees_pixels_and_labels() -> None:
    from dataclasses import replace

    field = REFERENCE.simulate(0)
    other = field.pixels.copy()
    other[0, 0, 0] ^= 1
    changed = [replace(field, pixels=other), replace(field, target=(*field.target, 27))]
    assert len({digest([each]) for each in (field, *changed)}) == 3
    assert digest([replace(field, pixels=np.array(field.pixels))]) == digest([field])


@pytest.mark.slow
@pytest.mark.parametrize("part", REFERENCE.digests)
def test_the_test_splits_are_as_frozen(part: Part) -> None:
    assert digest(REFERENCE.simulate_part(part, workers=2)) in REFERENCE.digests[part]
