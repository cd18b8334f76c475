"""What is learned from and what is held out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lociscope.artifacts.provenance import Provenance
from lociscope.artifacts.recipe import Recipe
from lociscope.data.cache.disk import DiskArray
from lociscope.data.cache.fields import PackedFields
from lociscope.data.cache.lazy_images import LazyImageArray
from lociscope.data.datasets import (
    LabelledFields,
    describe_absent,
    kfold_split,
    load_labelled_fields,
    load_training_data,
    train_val_split,
)
from lociscope.data.pipeline.online import OnlineSimulation
from lociscope.errors import LociscopeError
from lociscope.labels import to_multi_hot

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {"size": 16, "simulated_size": 64, "fields": 12}


def recipe(**data: object) -> Recipe:
    return Recipe.from_dict({"data": SMALL | data}, "test")


def test_simulated_fields_are_split_by_specimen(tmp_path: Path) -> None:
    sets = load_training_data(recipe(valid=0.3), None, tmp_path / "packed", [])
    assert len(sets.train) + len(sets.valid) == 12
    assert not {*sets.train.groups} & {*sets.valid.groups}  # type: ignore[union-attr]
    assert isinstance(sets.valid.x, DiskArray)


def test_of_online_fields_only_those_held_out_are_packed(tmp_path: Path) -> None:
    made = recipe(valid=0.3, online=True)
    sets = load_training_data(made, None, tmp_path / "packed", [], workers=2)
    assert sets.train == OnlineSimulation(made.data, 4, 8, 2)
    assert len(sets.valid) == 4
    assert len({*sets.valid.groups}) == 2
    again = load_training_data(made, None, tmp_path / "packed", [])
    assert again.valid.sha256 == sets.valid.sha256
    with pytest.raises(LociscopeError, match="of which 12 are held out"):
        load_training_data(recipe(valid=0.99, online=True), None, tmp_path / "other", [])


def test_the_way_of_reading_leaves_the_store_as_it_is(tmp_path: Path) -> None:
    first = load_training_data(recipe(), None, tmp_path / "packed", [])
    second = load_training_data(recipe(valid=0.5), None, tmp_path / "packed", [])
    assert first.valid.sha256 == second.valid.sha256


def test_pictures_that_are_not_packed(tmp_path: Path) -> None:
    from lociscope.data.importing import import_kaggle
    from lociscope.simulate import write_atlas

    atlas = write_atlas(tmp_path / "atlas", fields=8, size=64)
    import_kaggle(atlas, tmp_path)[0].write(tmp_path / "c.parquet")
    read = load_training_data(recipe(pack=False), tmp_path / "c.parquet", tmp_path / "none", [])
    packed = load_training_data(recipe(), tmp_path / "c.parquet", tmp_path / "packed", [])
    assert isinstance(read.valid.x, LazyImageArray)
    assert not (tmp_path / "none").exists()
    assert read.valid.ids == packed.valid.ids
    assert (read.valid.x[:] == packed.valid.x[:]).all()


@pytest.mark.slow
def test_a_store_keeps_the_same_pixels_once(tmp_path: Path) -> None:
    store = tmp_path / "store"
    first = load_training_data(recipe(), None, tmp_path / "packed", [], store=store)
    again = load_training_data(recipe(valid=0.5), None, tmp_path / "packed", [], store=store)
    (kept,) = store.iterdir()
    assert len(kept.name) == 16
    assert first.valid.sha256 == again.valid.sha256
    load_training_data(recipe(low=1.0), None, tmp_path / "packed", [], store=store)
    load_training_data(recipe(online=True, valid=0.3), None, tmp_path / "packed", [], store=store)
    assert len([*store.iterdir()]) == 3
    assert not (tmp_path / "packed").exists()


# === Folds ===


def known(targets: list[tuple[int, ...]], groups: str, fold: str = "") -> LabelledFields:
    """Fields `0` … with a group each, and a number of a fold (or `-`) each."""
    names = [str(number) for number in range(len(targets))]
    packed = PackedFields(names, [*groups], np.zeros((len(names), 1, 1, 4), np.uint8), to_multi_hot(targets), "hash")
    numbers = [None if letter == "-" else int(letter) for letter in fold]
    return LabelledFields(
        packed, {}, dict(zip(names, numbers, strict=True)) if fold else {}, Provenance("catalog", "c")
    )


def test_folds_of_the_catalog_are_followed() -> None:
    made = kfold_split(known([(0,)] * 6, "aabbcc", "01-012"), 3, 0)
    assert not made.newly_assigned
    assert [sets.valid.ids for sets in made.datasets] == [["0", "3"], ["1", "4"], ["5"]]
    assert next(sets.train.ids for sets in made.datasets if isinstance(sets.train, PackedFields)) == ["1", "4", "5"]
    assert len({sets.valid.sha256 for sets in made.datasets}) == 3
    assert made.absent == {}


def test_other_folds_are_dealt_by_whole_groups() -> None:
    made = kfold_split(known([(0,), (1,)] * 6, "aabbccddeeff", "000000111111"), 3, 0)
    assert made.newly_assigned
    held = [{*sets.valid.groups} for sets in made.datasets]
    assert all(held)
    assert not held[0] & held[1] | held[1] & held[2]
    assert sum(len(sets.valid) for sets in made.datasets) == 12
    again = kfold_split(known([(0,), (1,)] * 6, "aabbccddeeff"), 3, 0)
    assert [sets.valid.ids for sets in again.datasets] == [sets.valid.ids for sets in made.datasets]


def test_a_fold_without_a_class_is_named() -> None:
    made = kfold_split(known([(0,), (0, 3), (0,), (0,)], "abcd", "0011"), 2, 0)
    assert made.absent == {1: (3,)}
    assert describe_absent(made) == [
        "Fold 1 has no field of Nucleoli fibrillar center, which other folds have: its own scores leave it out."
    ]


def test_folds_that_cannot_be() -> None:
    with pytest.raises(LociscopeError, match=r"Fold 1 of Catalog 'c' has no labelled field.*split --folds 3`"):
        kfold_split(known([(0,)] * 4, "abcd", "0022"), 3, 0)
    with pytest.raises(LociscopeError, match="3 folds need 3 groups of fields or more, received 2"):
        kfold_split(known([(0,)] * 4, "aabb"), 3, 0)


def test_online_simulation_has_no_folds(tmp_path: Path) -> None:
    with pytest.raises(LociscopeError, match=r"data\.online .* cannot be split into folds"):
        load_labelled_fields(recipe(online=True), None, tmp_path, [])


def test_a_split_that_holds_out_everything() -> None:
    fields = PackedFields(
        ["a", "b"], ["a", "b"], np.zeros((2, 16, 16, 4), np.uint8), to_multi_hot([(1,), (2,)]), "hash"
    )
    with pytest.raises(LociscopeError, match=r"Of 2 fields 2 are held out; .*\. Fix the column split"):
        train_val_split(
            LabelledFields(fields, {"a": "valid", "b": "valid"}, {}, Provenance("catalog", "here")), recipe()
        )
