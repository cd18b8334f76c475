"""`lociscope export`: a finished Run becomes a Bundle that says what the Run said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lociscope as package
from lociscope.artifacts.bundle import read_reference
from lociscope.artifacts.catalog import Catalog
from lociscope.artifacts.run import Run
from lociscope.images.discovery.sources import read_catalog_sources
from lociscope.images.io.read import read_field
from lociscope.images.statistics import STATISTICS

Command = Callable[..., tuple[int, str, str]]
Trained = tuple[Path, Any]


@pytest.fixture
def doctored(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`doctored(0.1)` lets ONNX and Keras differ by this much, and makes no ONNX model."""
    from lociscope.training import export

    def differ(difference: float) -> None:
        monkeypatch.setattr(export, "to_onnx", lambda *_: b"")
        monkeypatch.setattr(export, "_max_difference", lambda *_: difference)

    return differ


def test_the_bundle_says_what_the_run_said(lociscope: Command, training: Any, trained: Trained, tmp_path: Path) -> None:
    words = ("--limits", "For tests.", "-c", training.catalog, "--reference", 2)
    code, out, err = lociscope("export", trained[0], "-o", "places", *words)
    assert (code, out) == (0, "places\n")
    lines = err.splitlines()
    assert lines[0].startswith("Bundle 'places': ")
    assert float(lines[1].removeprefix("  largest difference between ONNX and Keras ")) <= 1e-5
    assert any(line.startswith("  macro_f1 ") for line in lines)
    predictor = package.open_bundle(tmp_path / "places")
    card = predictor.bundle.card
    assert (card.name, card.licence, card.limits) == ("places", "Apache-2.0", "For tests.")
    assert card.provenance["recipe"]["network"]["name"] == "lenet5"

    run = Run.open(trained[0]).read_predictions()
    sources = {source.id: source for source in read_catalog_sources(Catalog.read(training.catalog))}
    made = predictor.predict([read_field(sources[name]) for name in run.ids], embeddings=True)
    np.testing.assert_allclose(made.probability, run.probability, atol=1e-4)
    assert made.embedding is not None
    assert run.embedding is not None
    np.testing.assert_allclose(made.embedding, run.embedding, atol=1e-3)

    reference = read_reference(predictor.bundle)
    assert reference is not None
    assert reference.names == STATISTICS
    np.testing.assert_allclose(reference.probability, made.probability[:2], atol=1e-6)
    np.testing.assert_allclose(reference.embedding, made.embedding[:2], rtol=1e-3, atol=1e-4)
    assert card.reference is not None
    assert card.reference["fields"] == 2
    assert card.reference["medians"]["MedianIntensity_red"] == pytest.approx(np.median(reference.statistics[:, 1]))

    assert lociscope("predict", training.catalog, "-b", "places", "-o", "out.csv")[:2] == (
        3, "12 fields in out.csv, 12 new\n",
    )  # fmt: skip


@pytest.mark.parametrize("difference", [1.1e-5, float("nan")])
def test_a_network_that_onnx_changes_is_not_exported(
    lociscope: Command, trained: Trained, tmp_path: Path, doctored: Callable[[float], None], difference: float
) -> None:
    doctored(difference)
    code, out, err = lociscope("export", trained[0], "-o", "places")
    assert (code, out) == (1, "")
    assert err.startswith("lociscope: The exported network differs from Keras by ")
    assert "no bundle was written" in err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_bundle_is_left_alone(
    lociscope: Command, trained: Trained, tmp_path: Path, doctored: Callable[[float], None]
) -> None:
    doctored(0.0)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.txt").write_text("mine")
    code, out, err = lociscope("export", trained[0], "-o", "mine")
    assert (code, out, err) == (
        1,
        "",
        "lociscope: 'mine' exists and is not a bundle. Choose another folder with --output.\n",
    )
    assert (tmp_path / "mine" / "work.txt").read_text() == "mine"


def test_an_unfinished_run_is_refused_with_the_command_that_ends_it(
    lociscope: Command, trained: Trained, tmp_path: Path
) -> None:
    shutil.copytree(trained[0], tmp_path / "run")
    (tmp_path / "run" / "DONE").unlink()
    code, out, err = lociscope("export", "run", "-o", "places")
    assert (code, out) == (1, "")
    assert "Run 'run' is not finished." in err
    assert "lociscope train" in err
    assert "-o run" in err
    assert not (tmp_path / "places").exists()


def test_what_is_no_run_is_refused(lociscope: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "nowhere"):
        code, out, err = lociscope("export", name, "-o", "places")
        assert (code, out) == (1, "")
        assert err.startswith(f"lociscope: '{name}' is not a Run: recipe.toml is missing.")


@pytest.mark.slow
def test_a_reference_needs_the_fields_and_says_so(
    lociscope: Command, trained: Trained, tmp_path: Path, write_field: Callable[..., Path]
) -> None:
    code, _, err = lociscope("export", trained[0], "-o", "places")
    assert (code, "pass the Catalog" in err) == (0, True)
    assert not (tmp_path / "places" / "reference.npz").exists()
    assert lociscope("import", "folder", write_field(), "-o", "other.parquet")[0] == 0
    code, _, err = lociscope("export", trained[0], "-o", "more", "-c", "other.parquet")
    assert (code, (tmp_path / "more").exists()) == (1, False)
    assert "holds none of the fields that Run" in err
