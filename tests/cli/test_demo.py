"""`lociscope demo`: the story from beginning to end, on few fields."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lociscope.artifacts.run import Run


def demo(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lociscope", "demo", *map(str, words)], capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_the_whole_story_and_again(tmp_path: Path) -> None:
    words = ("-o", tmp_path / "demo", "--fields", 24, "--epochs", 1)
    done = demo(*words)
    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.strip())
    assert page == tmp_path / "demo" / "report.html"
    assert page.stat().st_size > 100_000
    for step in ("simulate 24", "import", "shipped bundle", "cells", "train LeNet-5", "export", "report"):
        assert step in done.stderr
    folder = tmp_path / "demo"
    shipped, trained = (json.loads((folder / name / "metrics.json").read_text()) for name in ("", "training"))
    assert shipped["fields"] == trained["fields"] > 0
    assert shipped["figures"]["lrap"]["value"] > trained["figures"]["lrap"]["value"]
    linked = page.read_text(encoding="utf-8")
    for name in ("cells/fields.html", "training/report.html"):
        assert f'href="{name}"' in linked
        assert (folder / name).stat().st_size > 10_000
    weights = Run.open(folder / "training" / "run").best_model.read_bytes()

    page.unlink()
    again = demo(*words)
    assert again.returncode == 0, again.stderr
    assert page.exists()
    assert Run.open(folder / "training" / "run").best_model.read_bytes() == weights


@pytest.mark.slow
def test_the_story_on_real_fields(tmp_path: Path, real_data: Path) -> None:
    fields = real_data / "hpa2018"
    words = ("--data", fields / "train", "--labels", fields / "fields.csv", "--epochs", 1)
    done = demo("-o", tmp_path / "demo", *words)
    assert done.returncode == 0, done.stderr
    assert "predict 12 test fields" in done.stderr


def test_labels_without_fields(tmp_path: Path) -> None:
    done = demo("-o", tmp_path / "demo", "--labels", tmp_path / "x.csv")
    assert done.returncode == 2
    assert "--data" in done.stderr


def test_fields_without_labels(tmp_path: Path) -> None:
    done = demo("-o", tmp_path / "demo", "--data", tmp_path)
    assert done.returncode == 2
    assert "--labels" in done.stderr
