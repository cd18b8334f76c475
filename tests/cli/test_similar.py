"""`lociscope similar`: by id and by files; tables of another bundle, without embeddings, and unknown fields."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def table(lociscope: Command, write_field: Callable[..., Path], tiny_bundle: Path) -> Path:
    for number, name in enumerate(("a1", "b2", "c3")):
        folder = write_field(name, seed=number)
    assert lociscope("predict", folder, "-b", tiny_bundle, "--embeddings", "-o", "p.parquet")[0] == 0
    return folder


def test_by_id_and_by_files(lociscope: Command, table: Path, tiny_bundle: Path) -> None:
    code, printed, _ = lociscope("similar", "a1", "--among", "p.parquet", "--json")
    found = json.loads(printed)
    assert code == 0
    assert {each["id"] for each in found} == {"b2", "c3"}
    assert found[0]["similarity"] >= found[1]["similarity"]
    files = [table / f"a1_{name}.png" for name in ("red", "green", "blue", "yellow")]
    again = lociscope("similar", *files, "--among", "p.parquet", "-b", tiny_bundle, "--json")
    assert json.loads(again[1]) == found
    code, printed, _ = lociscope("similar", "a1", "--among", "p.parquet", "-n", "1")
    assert code == 0
    assert printed.split()[:2] == [f"{found[0]['similarity']:.3f}", found[0]["id"]]


def test_what_cannot_be_compared(
    lociscope: Command, table: Path, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    other = make_bundle(tmp_path / "other", seed=5)
    assert lociscope("predict", table, "-b", other, "-o", "plain.parquet")[0] == 0
    code, _, error = lociscope("similar", "a1", "--among", "plain.parquet")
    assert (code, "hold no embeddings" in error) == (1, True)
    code, _, error = lociscope("similar", "zz", "--among", "p.parquet")
    assert (code, "neither a file nor the id" in error) == (1, True)
    code, _, error = lociscope("similar", table, "--among", "p.parquet")
    assert (code, "contain 3 fields" in error) == (1, True)
    files = [table / f"a1_{name}.png" for name in ("red", "green", "blue", "yellow")]
    code, _, error = lociscope("similar", *files, "--among", "p.parquet", "-b", other)
    assert (code, "made by another bundle" in error) == (1, True)
