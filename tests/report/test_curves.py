"""Small multiples of learning curves."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lociscope.report.candidates import read_candidate
from lociscope.report.curves import small_curves

Make = Callable[..., Path]


def heights(svg: str) -> set[str]:
    """The labels of the axes."""
    return set(re.findall(r">(0\.\d+)</text>", svg))


def test_runs_of_one_loss_share_a_scale(make_run: Make) -> None:
    a = read_candidate(make_run("a"), "a")
    b = replace(a, name="b", histories=([{"epoch": 1.0, "loss": 0.9, "val_loss": 0.8, "seconds": 1.0}],))
    focal = replace(read_candidate(make_run("c", {"train.loss": "focal"}), "c"), name="c")
    plotted = small_curves([a, b, focal])
    assert list(plotted) == ["a", "b", "c"]
    assert all(str(svg).startswith("<svg") for svg in plotted.values())
    assert heights(plotted["a"]) == heights(plotted["b"]) != heights(plotted["c"])
    assert small_curves([a, b, focal]) == plotted


def test_one_bad_beginning_does_not_flatten_all(make_run: Make) -> None:
    a = read_candidate(make_run("a"), "a")
    rows = [dict(row) for row in a.histories[0]]
    rows[0]["loss"] = 1e6
    plotted = small_curves([replace(a, histories=(rows,))])["a"]
    assert heights(plotted)


def test_every_fold_has_its_line(make_run: Make) -> None:
    a = read_candidate(make_run("a"), "a")
    curves = [small_curves([replace(a, histories=a.histories * n)])["a"] for n in (1, 3)]
    lines = [svg.count('clip-path="url') for svg in curves]
    assert lines[1] - lines[0] == 2 * 3
