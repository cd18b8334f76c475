"""`lociscope retrain`: from a version in production to one that the gate has seen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from fixtures.pixels import patches

from lociscope.artifacts.bundle import read_bundle
from lociscope.artifacts.card import hash_trainings
from lociscope.artifacts.catalog import Catalog
from lociscope.artifacts.run import Run
from lociscope.data.importing import import_folder
from lociscope.images.io.write import write_planes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write_catalog(folder: Path, numbers: range, labels: Callable[[int], str]) -> Path:
    """Fields `f<number>`, as those of the fixture `training`, labelled."""
    rows = [f"f{number:02d},{labels(number)}\n" for number in numbers]
    folder.mkdir()
    (folder / "labels.csv").write_text("Id,Target\n" + "".join(rows))
    for number in numbers:
        write_planes(folder / "fields", f"f{number:02d}", patches((32, 32, 4), number))
    import_folder(folder / "fields", folder / "labels.csv", folder)[0].write(folder / "catalog.parquet")
    return folder / "catalog.parquet"


@pytest.mark.slow
def test_a_version_is_retrained_registered_and_compared(
    lociscope: Any, training: Any, trained: tuple[Path, Any], tmp_path: Path
) -> None:
    assert lociscope("export", trained[0], "-o", "tiny", "--reference", 0)[0] == 0
    assert lociscope("models", "add", "tiny", "-r", "models")[0] == 0
    assert lociscope("models", "promote", "tiny", "-r", "models", "--who", "ann")[0] == 0
    parent = read_bundle(tmp_path / "tiny")
    frozen = write_catalog(tmp_path / "frozen", range(40, 64), lambda number: f"{number % 4}")
    labels = write_catalog(tmp_path / "labels", range(12, 42), lambda number: f"{number % 4} 20")

    words: tuple[Any, ...] = (
        "retrain",
        labels,
        "-r",
        "models",
        "-o",
        "again",
        "--reference",
        0,
        "--who",
        "ann",
        "-s",
        "train.epochs=1",
    )
    code, out, err = lociscope(*words)
    assert (code, out) == (1, "")
    assert "lociscope simulate atlas ATLAS" in err  # the base is missing

    words = (*words, "-c", training.catalog)
    code, out, err = lociscope(*words)  # without a gate
    assert code == 0, err
    assert "30 labels of which 1 replace others, 0 fields left out" in err
    first = out.strip()
    assert Run.open(tmp_path / "again" / "run").read_recipe().train.epochs == 1

    gate = ("--max-seconds", 60, "--margin", 1, "--slice-margin", 1)
    assert lociscope("models", "gate", "-r", "models", "-c", frozen, *gate)[0] == 0
    words = (*words[:5], "other", *words[6:])
    code, out, err = lociscope(*words)
    assert code == 0, err
    version, found = out.splitlines()
    assert found.startswith("gate passed: macro-F1 ")
    assert version != first
    assert "28 labels of which 1 replace others, 2 fields left out" in err

    card = read_bundle(tmp_path / "other" / "bundle").card
    record = card.provenance["retraining"]
    assert json.loads((tmp_path / "other" / "run" / "retraining.json").read_text()) == record
    assert [(each["sha256"], each["trainings"]) for each in record["ancestors"]] == [
        (parent.sha256, hash_trainings(parent.card.provenance))
    ]
    assert (record["base"]["fields"], record["labels"][0]["fields"], record["left_out"]) == (13, 28, 2)
    ids = Catalog.read(tmp_path / "other" / "catalog.parquet").ids
    assert not {"f40", "f41"} & {*ids}
    assert card.name == "tiny"
    assert lociscope(*words)[1].splitlines()[0] == version  # a second call finds everything done

    assert lociscope("models", "promote", version, "-r", "models")[0] == 0
    assert lociscope("card", "other/bundle", "-o", "card.html")[0] == 0
    assert "Retraining" in (tmp_path / "card.md").read_text()
