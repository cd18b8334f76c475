"""Vocabularies and the mappings between them."""

from __future__ import annotations

import csv
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.errors import LociscopeError
from lociscope.labels import (
    CLASSES_2021,
    COMPARTMENTS,
    FINE,
    HPA_NAMES,
    HPA_WITHOUT_CLASS,
    LABELS,
    LEVELS,
    find_class,
    parse_target,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_every_level_maps_all_classes_into_its_own() -> None:
    for level in LEVELS:
        assert len(level.mapping) == len(LABELS)
        assert {place for place in level.mapping if place is not None} <= set(range(len(level.classes)))
    assert set(COMPARTMENTS.mapping) == {0, 1, 2}


def test_a_level_joins_by_the_highest() -> None:
    values = np.zeros((1, 28), np.float32)
    values[0, [8, 10, 16, 25]] = [0.25, 0.5, 0.75, 1]
    assert FINE.aggregate(values).tolist() == values.tolist()
    view = CLASSES_2021.aggregate(values)
    assert view[0, [17, 16, 18]].tolist() == [0.5, 1, 0]
    assert view.sum() == 1.5
    assert COMPARTMENTS.aggregate(values).tolist() == [[0, 1, 0.5]]


@pytest.mark.parametrize(
    ("place", "compartment"),
    [("Nuclear bodies", 0), ("Centrosome", 1), ("Mitochondria", 1), ("Lipid droplets", 2), ("Cell junctions", 2)],
)
def test_classes_map_to_their_compartment(place: str, compartment: int) -> None:
    assert COMPARTMENTS.mapping[LABELS.index(place)] == compartment


def test_hpa_names_map_to_a_class_or_to_none() -> None:
    assert find_class("centriolar satellite") == 18
    assert [find_class(name) for name in LABELS] == list(range(28))
    assert find_class("Vesicles") is None
    assert not set(HPA_NAMES) & set(HPA_WITHOUT_CLASS)
    with pytest.raises(LociscopeError, match="Did you mean 'Nucleoli'"):
        find_class("Nucleolis")


def test_the_2021_map_agrees_with_the_fields_that_carry_labels_of_both_years(real_data: Path) -> None:
    with (real_data / "tables/hpa2018_train.csv").open() as file:
        old = {row["Id"]: parse_target(row["Target"]) for row in csv.DictReader(file)}
    with (real_data / "tables/hpa2021_train.csv").open() as file:
        new = {row["ID"]: {int(word) for word in row["Label"].split("|")} for row in csv.DictReader(file)}
    count: Counter[int] = Counter()
    agreed: Counter[int] = Counter()
    for name in old.keys() & new.keys():
        for number in old[name]:
            count[number] += 1
            agreed[number] += CLASSES_2021.mapping[number] in new[name]
    assert sum(count.values()) > 30_000
    for number, place in enumerate(CLASSES_2021.mapping):
        share = agreed[number] / count[number]
        assert share > 0.9 if place is not None else share == 0, LABELS[number]
