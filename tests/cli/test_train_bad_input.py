"""What the page of bad inputs says of training and comparing, and `test_train.py` does not make."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lociscope.artifacts.catalog import Catalog

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "bad-input.md").read_text(encoding="utf-8")
PART = PAGE.partition("## Runs, folds and devices")[2].partition("## Fuzzing")[0]
SAID = {
    kind: re.findall(r"`([^`]+)`", said) for kind, said in re.findall(r"^\| (.+?) \| (.+?) \| [^|]+ \|$", PART, re.M)
}
"""What the page says that is said, by what is found."""
Command = Callable[..., Any]


def refused(said: Any, kind: str, code: int = 1) -> None:
    """Asserts that a command ended with the page's sentence, and with no other line."""
    assert (said.code, said.out) == (code, "")
    assert all(part in said.err for part in SAID[kind])
    assert said.err.count("\n") == 1


@pytest.fixture
def vgg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """The words that train VGG16 on weights fetched from an address, with an empty cache."""
    (tmp_path / "keras").mkdir()
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path / "keras"))

    def words(address: str) -> list[str]:
        monkeypatch.setattr("keras.src.applications.vgg16.WEIGHTS_PATH_NO_TOP", address)
        changes = ("network.name=pretrained", "network.backbone=VGG16", "data.size=32")
        return ["train", "lenet5", *(word for each in changes for word in ("-s", each)), "-o", "run"]

    return words


def bare(words: list[str], tmp_path: Path) -> list[str]:
    """The words with a recipe that holds nothing, since lenet5's own options are not VGG16's."""
    (tmp_path / "bare.toml").write_text("")
    return ["bare.toml" if word == "lenet5" else word for word in words]


def test_weights_out_of_reach(lociscope: Command, vgg: Callable[[str], list[str]], tmp_path: Path) -> None:
    words = bare(vgg("http://127.0.0.1:9/weights.h5"), tmp_path)  # the port of the discard service: nobody listens
    refused(lociscope(*words), "ImageNet weights that cannot be reached")
    assert not (tmp_path / "run").exists()


def test_weights_of_another_hash(lociscope: Command, vgg: Callable[[str], list[str]], tmp_path: Path) -> None:
    (tmp_path / "weights.h5").write_bytes(b"another file")
    said = lociscope(*bare(vgg((tmp_path / "weights.h5").as_uri()), tmp_path))
    refused(said, "ImageNet weights of another hash")
    assert "efficientnet-lite0" in said.err
    assert not (tmp_path / "run").exists()


def test_one_fold_is_none(lociscope: Command, training: Any, tmp_path: Path) -> None:
    code, out, err = lociscope(*training.words, "--folds", "1", "-o", "run")
    assert (code, out) == (2, "")
    assert SAID["`--folds 1`"][0] in err
    assert not (tmp_path / "run").exists()


def test_a_store_that_cannot_be_written(lociscope: Command, training: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    refused(lociscope(*training.words, "--store", "file", "-o", "run"), "a `--store` that cannot be written")
    assert (tmp_path / "file").read_text() == "mine"
    assert not (tmp_path / "run" / "recipe.toml").exists()


@pytest.mark.slow
def test_a_refusal_of_folds_is_no_hindrance_and_one_may_be_without_locations(
    lociscope: Command, training: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entries = [
        replace(entry, fold=number % 2, target=() if number % 2 == 0 else entry.target)
        for number, entry in enumerate(Catalog.read(training.catalog))
    ]
    catalog = training.catalog.with_name("halves.parquet")  # where its paths lead to the pictures
    Catalog.from_entries(entries, catalog.parent).write(catalog)
    small = ("-s", "data.size=32", "-s", "network.trees=3", "-s", "network.head=linear")
    words = ["train", "features", "-c", str(catalog), *small, "-o", "out"]
    assert "40 folds need 40 groups of fields or more, received 12. Pass" in lociscope(*words, "--folds", "40").err
    code, out, _ = lociscope(*words, "--folds", "2")
    assert code == 3  # one field cannot be read
    assert SAID["a fold of fields without any location"][0] in caplog.text
    assert out.startswith("out\n")


def test_folders_that_are_no_runs_or_too_new(lociscope: Command, trained: Any, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    refused(lociscope("compare", "photos", "--quick"), "a folder that is no Run")
    shutil.copytree(trained[0], tmp_path / "newer")
    record = tmp_path / "newer" / "environment.json"
    record.write_text(re.sub(r'"schema": *\d+', '"schema": 9', record.read_text(), count=1))
    refused(lociscope("compare", "newer", "--quick"), "a Run of a newer schema")
    assert not (tmp_path / "compare.html").exists()
