"""Simulating an atlas from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lociscope.workflows.simulate import simulate_atlas

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("locations", "labels"), [((), ""), (("Nucleoli",), "2")])
def test_the_locations_are_those_of_every_field(tmp_path: Path, locations: tuple[str, ...], labels: str) -> None:
    folder = simulate_atlas(tmp_path / "atlas", 2, size=64, locations=locations)
    rows = (folder / "train.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [row.partition(",")[2] for row in rows] == [labels] * 2
