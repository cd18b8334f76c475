"""The workflow behind `lociscope compare`, called from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fixtures.codes import raises_code

from lociscope.errors import Code
from lociscope.report import ranking
from lociscope.report.compare import rank_models
from lociscope.workflows.compare import compare_runs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "RESAMPLES", 20)


def test_runs_are_scored_and_failures_have_a_code(
    make_run: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, noisy, unfinished = make_run("good"), make_run("noisy", seed=1, noise=4.0), make_run("unfinished")
    (unfinished / "DONE").unlink()
    steps: list[tuple[int, int, str]] = []
    made = compare_runs(
        [noisy, good, unfinished, good],
        tmp_path / "page.html",
        progress=lambda done, total, text="": steps.append((done, total, text)),
    )
    assert [row["name"] for row in made.rows] == ["noisy", "good"]
    assert [model.candidate.name for model in rank_models(made.groups[0])] == ["good", "noisy"]
    assert [(failure.folder, failure.code) for failure in made.failures] == [(str(unfinished), Code.INCOMPLETE)]
    assert steps[:3] == [(1, 3, "reading noisy"), (2, 3, "reading good"), (3, 3, "reading unfinished")]
    assert steps[-1] == (2, 2, "scoring")
    assert capsys.readouterr() == ("", "")


def test_the_table_is_another_file(make_run: Callable[..., Path], tmp_path: Path) -> None:
    with raises_code(Code.INVALID_VALUE):
        compare_runs([make_run("a")], tmp_path / "a.html", table=tmp_path / "a.html")
    assert not (tmp_path / "a.html").exists()


def test_a_base_that_cannot_be_read_is_an_error(make_run: Callable[..., Path], tmp_path: Path) -> None:
    with raises_code(Code.WRONG_FILE):
        compare_runs([make_run("a")], tmp_path / "a.html", base=tmp_path / "nowhere")
