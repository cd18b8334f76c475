"""What is learned from and what is held out."""

from pathlib import Path

import pytest

from lociscope.data.files import Files
from lociscope.data.fresh import Fresh
from lociscope.data.sets import training_sets
from lociscope.data.store import Stored
from lociscope.errors import LociscopeError
from lociscope.recipe import Recipe

SMALL = {"size": 16, "drawn_size": 64, "fields": 12}


def recipe(**data: object) -> Recipe:
    return Recipe.check({"data": SMALL | data}, "test")


def test_simulated_fields_are_parted_by_specimen(tmp_path: Path) -> None:
    sets = training_sets(recipe(valid=0.3), None, tmp_path / "packed", [])
    assert len(sets.train) + len(sets.valid) == 12
    assert not {*sets.train.groups} & {*sets.valid.groups}  # type: ignore[union-attr]
    assert isinstance(sets.valid.x, Stored)


def test_of_fresh_fields_only_those_held_out_are_packed(tmp_path: Path) -> None:
    made = recipe(valid=0.3, fresh=True)
    sets = training_sets(made, None, tmp_path / "packed", [], workers=3)
    assert sets.train == Fresh(made.data, 4, 8, 3)
    assert len(sets.valid) == 4
    assert len({*sets.valid.groups}) == 2
    again = training_sets(made, None, tmp_path / "packed", [])
    assert again.valid.sha256 == sets.valid.sha256
    with pytest.raises(LociscopeError, match="of which 12 are held out"):
        training_sets(recipe(valid=0.99, fresh=True), None, tmp_path / "other", [])


def test_the_way_of_reading_leaves_the_store_as_it_is(tmp_path: Path) -> None:
    first = training_sets(recipe(), None, tmp_path / "packed", [])
    second = training_sets(recipe(valid=0.5), None, tmp_path / "packed", [])
    assert first.valid.sha256 == second.valid.sha256


def test_pictures_that_are_not_packed(tmp_path: Path) -> None:
    from lociscope.data.importing import import_kaggle
    from lociscope.simulate import write_atlas

    atlas = write_atlas(tmp_path / "atlas", fields=8, size=64)
    import_kaggle(atlas, tmp_path)[0].write(tmp_path / "c.parquet")
    read = training_sets(recipe(pack=False), tmp_path / "c.parquet", tmp_path / "none", [])
    packed = training_sets(recipe(), tmp_path / "c.parquet", tmp_path / "packed", [])
    assert isinstance(read.valid.x, Files)
    assert not (tmp_path / "none").exists()
    assert read.valid.ids == packed.valid.ids
    assert (read.valid.x[:] == packed.valid.x[:]).all()
