"""The way from the competition's files to a submission, as its page tells it, with the recipes made for them."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "competition-files.md").read_text(encoding="utf-8")
FILES = """
lociscope simulate atlas competition --fields 32 --size 64 --balance 0.5
lociscope simulate atlas other --fields 3 --size 64 --seed 1
mv other/train competition/test
lociscope import kaggle competition -o catalog.parquet
lociscope split catalog.parquet --folds 2
"""
SMALLER = {
    "--folds 5": "--folds 2",
    "0 1 2 3 4": "0 1",
    "train $recipe": "train $recipe -s network.weights=none -s data.size=64 -s stages=[] -s train.epochs=1",
}


@pytest.mark.slow
def test_two_networks_in_folds_make_a_submission(tmp_path: Path) -> None:
    (told,) = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for written, run in SMALLER.items():
        assert written in told
        told = told.replace(written, run)
    script = f'set -e\nlociscope() {{ "{sys.executable}" -m lociscope "$@"; }}\n{FILES}{told}'
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=os.environ | {"NO_COLOR": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert len([*(tmp_path / "bundles").iterdir()]) == 4
    with (tmp_path / "submission.csv").open(newline="", encoding="utf-8") as lines:
        header, *rows = csv.reader(lines)
    assert header == ["Id", "Predicted"]
    wanted = {path.name.removesuffix("_red.png") for path in (tmp_path / "competition" / "test").glob("*_red.png")}
    assert sorted(name for name, _ in rows) == sorted(wanted)  # as sample_submission.csv has them
    assert len(rows) == 3
    assert all({*map(int, places.split())} <= {*range(28)} and places for _, places in rows)
